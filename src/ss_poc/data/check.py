"""Check a labelled data set: what is in it, what is wrong with it, and a picture of it."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..core import images
from ..core.config import EXIF_LABELS
from ..core.errors import ConfigError
from ..core.text_table import counted, text_table
from ..formats.archives import is_zip
from ..formats.coco_rules import RULES, Finding
from .dataset import Dataset, inspect_coco
from .sheet import draw_sheet, draw_workpieces
from .split import workpiece_of
from .workpieces import check_group, find_repeated

__all__ = ["EXAMPLES", "describe_dataset", "describe_findings", "main"]

EXAMPLES = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 1 where the data set must be refused, else 0.

    Raises:
        ConfigError: a picture would be written over a photograph, or `--group` makes no split.
    """
    options = _parser().parse_args(argv)
    if options.command == "rules":
        print("\n".join(f"{code:<24}{action:<13}{sentence}" for code, (action, sentence) in RULES.items()))
        return 0
    photos = options.img_path or _beside(options.json)
    dataset, findings = inspect_coco(options.json, photos, True, options.exif_labels)
    if dataset:
        print(describe_dataset(dataset) + "\n")
    print(describe_findings(findings, None if options.all else EXAMPLES))
    if dataset is None:
        print(f"\nRefused: {options.json} cannot be trained on until the findings marked 'refuse' are corrected.")
        return 1
    _save(options.output, draw_sheet(dataset), dataset)
    print("\n" + (_describe_group(dataset, options.group) if options.group else
                  _describe_repeated(dataset, options.output)))
    print(f"\nThis can be trained on. Look at the regions in {options.output}")
    return 0


def _save(path: Path, picture: np.ndarray, dataset: Dataset) -> None:
    if path.resolve() in {sample.path.resolve() for sample in dataset.samples}:
        raise ConfigError(f"--output {path} is a photograph of the data set", "a new file", "--output check.jpg")
    images.save_image(path, picture)


def _describe_group(dataset: Dataset, pattern: str) -> str:
    """Which workpieces an expression finds, and what speaks against it."""
    said = check_group(dataset, pattern)
    counts = Counter(workpiece_of(sample.name, pattern) for sample in dataset.samples)
    alone = counts.pop("", 0)
    least, most = min(counts.values()), max(counts.values())
    each = f"{least} to {most} photographs" if least < most else counted(most, "photograph")
    lines = [f"workpieces: {len(counts)}, {each} each"
             + f"; in {counted(alone, 'name')} none is found" * bool(alone)]
    return "\n".join([*lines, *(f"warning: {sentence}" for sentence in said)])


def _describe_repeated(dataset: Dataset, output: Path) -> str:
    """Whether photographs seem to show the same workpieces, with a picture of some beside `output`."""
    repeated = find_repeated(dataset)
    if repeated is None:
        return "workpieces: nothing hints at photographs that show the same one"
    picture = output.with_stem(f"{output.stem}_workpieces")
    _save(picture, draw_workpieces(dataset, repeated.examples), dataset)
    return (f"workpieces: {repeated.says}\n  Each row of {picture} seems to show one. If so, scores flatter unless you "
            f"keep its photographs together:\n  {repeated.advice}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ss_poc.data", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="check a data set", allow_abbrev=False)
    check.add_argument("json", type=Path, metavar="LABELS",
                       help="labels: a file, a folder or a zip of any format in docs/data.md")
    check.add_argument("img_path", type=Path, metavar="IMG_PATH", nargs="?",
                       help="folder of the images, or a zip of it (default: LABELS, or the folder they lie in)")
    check.add_argument("--output", type=_picture_path, default=Path("check.jpg"),
                       help="picture to write, .jpg or .png (default: %(default)s)")
    check.add_argument("--exif_labels", choices=EXIF_LABELS, default="auto",
                       help="as for training (default: %(default)s)")
    check.add_argument("--group", type=_expression, metavar="EXPRESSION",
                       help="as for training: say which workpieces this regular expression finds")
    check.add_argument("--all", action="store_true", help=f"list every finding, not {EXAMPLES} of a kind")
    commands.add_parser("rules", help="print every rule: code, what is done, why", allow_abbrev=False)
    commands.add_parser("convert", help="write the labels in another format", allow_abbrev=False)  # see __main__
    return parser


def _beside(labels: Path) -> Path:
    """Where photographs are whose folder is not named: the folder or zip of the labels, or the folder they lie in."""
    if labels.is_dir() or is_zip(labels):
        return labels
    return labels.parent.parent if labels.parent.name in (".exports", "annotations") else labels.parent


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None
    return text


def _picture_path(text: str) -> Path:
    if Path(text).suffix.lower() not in (".jpg", ".png"):
        raise argparse.ArgumentTypeError(f"{text!r} should end in .jpg or .png")
    return Path(text)


def describe_dataset(dataset: Dataset) -> str:
    """Describe a data set in lines of text: its counts, and a table with a row for each class.

    A row has the number of images and regions, and the area of a region in pixels and in percent of its image.
    """
    total, clean = len(dataset.samples), sum(not sample.regions for sample in dataset.samples)
    sizes = sorted(sample.size_hw for sample in dataset.samples)
    rows = [["class", "images", "regions", "area px: least", "median", "most", "% of image: least", "median", "most"]]
    for channel, label in enumerate(dataset.labels):
        found = [(region.area, sample) for sample in dataset.samples for region in sample.regions
                 if region.channel == channel]
        areas = [area for area, _ in found]
        shares = [100 * area / (sample.size_hw[0] * sample.size_hw[1]) for area, sample in found]
        rows.append([label, str(sum(channel in sample.classes for sample in dataset.samples)), str(len(found)),
                     *(f"{value:.0f}" for value in (min(areas), np.median(areas), max(areas))),
                     *(f"{value:.3g}" for value in (min(shares), np.median(shares), max(shares)))])
    levels, low_high = dataset.levels, dataset.levels.span or (0, 0)
    used = [f"bits         {levels.bit_depth}, used by {dataset.wide} images of 16 bits"] * bool(dataset.wide)
    used += [f"values       {low_high[0]:g} to {low_high[1]:g} become black to white, in {dataset.spanned} images of "
             "float, signed or 32-bit values"] * bool(dataset.spanned)
    return "\n".join([f"data set     {dataset.name}",
                      f"images       {total}: {total - clean} with regions, {clean} clean",
                      f"sizes        {sizes[0][0]}x{sizes[0][1]} to {sizes[-1][0]}x{sizes[-1][1]} (height x width)",
                      *used,
                      f"regions      {sum(len(sample.regions) for sample in dataset.samples)}",
                      f"fingerprint  {dataset.fingerprint[:16]}", "", text_table(rows)])


def describe_findings(findings: Iterable[Finding], examples: int | None) -> str:
    """List findings by rule in lines of text: how many, what was done and why, and examples.

    Args:
        findings: to list.
        examples: number of findings of each rule that are shown; None for all.
    """
    kinds: dict[str, list[Finding]] = {}
    for item in findings:
        kinds.setdefault(item.code, []).append(item)
    if not kinds:
        return "findings: none"
    lines = [f"findings: {sum(map(len, kinds.values()))}"]
    for code, found in kinds.items():
        lines += ["", f"{code}: {len(found)} ({RULES[code][0]})", f"  {RULES[code][1]}"]
        lines += [f"    {item.where}: {item.detail}" for item in found[:examples]]
        if examples is not None and len(found) > examples:
            lines.append(f"    … and {len(found) - examples} more; --all lists them")
    return "\n".join(lines)
