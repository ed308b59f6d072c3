"""Labels in and out of whichever annotator runs; annotator.sh calls it.

    python -m ss_poc.annotator --tool label-studio --url http://127.0.0.1:8890 new photos --labels scratch,pit
    python -m ss_poc.annotator --tool label-studio --url http://127.0.0.1:8890 export photos

The account comes from the environment: ANNOTATOR_TOKEN (Label Studio), ANNOTATOR_LOGIN and ANNOTATOR_PASSWORD.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import AnnotatorError, ArtifactError, DataError
from ..core.run import find_json
from .coco_annotator import CocoAnnotator
from .importers import move_in
from .label_studio import Studio
from .model import (
    Annotator,
    Image,
    document,
    keep_labels,
    new_folder,
    parse_labels,
    photographs_of,
    read_document,
    write_export,
)

__all__ = ["main"]

TOOLS = ("label-studio", "coco-annotator")
UNSHOWN = (".tif", ".tiff")


def main(argv: Sequence[str] | None = None) -> int | None:
    """Run the command: 0 done; `changed` says 1 where nothing is."""
    options = _parser().parse_args(argv)
    options.datasets = options.datasets.resolve()
    code: int | None = options.run(_annotator(options), options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="annotator.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", choices=TOOLS, required=True)
    parser.add_argument("--url", required=True, help="where it answers")
    parser.add_argument("--datasets", type=Path, default=Path("coco-annotator/datasets"))
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, run, meaning in (("new", new, "make a folder and a project on it, or add labels"),
                               ("scan", scan, "take in photographs that were copied into the folder"),
                               ("export", export, "write the labels for training"),
                               ("import", bring, "take in labels from elsewhere"),
                               ("propose", propose, "show what a model found as proposals"),
                               ("assist", assist, "let a service propose when a photograph is opened"),
                               ("changed", changed, "are there labels that the last export has not")):
        verb = verbs.add_parser(name, help=meaning, description=run.__doc__)
        verb.add_argument("name", metavar="NAME", help="of the data set")
        verb.set_defaults(run=run)
        if name in ("new", "import"):
            verb.add_argument("--labels", default="", help="scratch,pit:#00ff00")
        if name == "import":
            verb.add_argument("source", type=Path, metavar="FILE", help="COCO json, zip, or folder (of masks)")
            verb.add_argument("--photos", type=Path, help="folder of the photographs, where they are not beside it")
        if name == "propose":
            verb.add_argument("proposals", type=Path, help="COCO json that predict --rank wrote")
            verb.add_argument("--model", default="model", help="name and version to show")
        if name in ("new", "assist"):
            verb.add_argument("--service", default="", help="address of a service that proposes regions")
    return parser


def _annotator(options: argparse.Namespace) -> Annotator:
    if options.tool == "label-studio":
        return Studio(options.url, os.environ.get("ANNOTATOR_TOKEN", ""), options.datasets)
    return CocoAnnotator(options.url, os.environ.get("ANNOTATOR_LOGIN", ""), os.environ.get("ANNOTATOR_PASSWORD", ""),
                         options.datasets)


def new(annotator: Annotator, options: argparse.Namespace) -> None:
    """Make a folder for photographs and a project on it; on one that is there already, add labels."""
    labels = parse_labels(options.labels)
    folder = new_folder(options.datasets, options.name)
    address = annotator.create(options.name, labels)
    keep_labels(folder, labels)
    if options.service:
        annotator.assist(options.name, options.service)
    found = annotator.scan(options.name) if photographs_of(folder) else 0
    print(f"{options.name}: {', '.join(labels)}; {found} photographs → {address}")
    if not found:
        print(f"copy photographs into {_shown(folder)}, then: sh annotator.sh scan {options.name}")


def scan(annotator: Annotator, options: argparse.Namespace) -> None:
    """Take in photographs that were copied into the folder."""
    folder = options.datasets / options.name
    print(f"{options.name}: {annotator.scan(options.name)} photographs")
    unseen = [path.name for path in folder.rglob("*") if path.suffix.lower() in UNSHOWN]
    if unseen:
        print(f"{len(unseen)} TIFF files are left out, a browser cannot show them: {unseen[0]}, …\n"
              "  to do:    convert them to PNG")


def export(annotator: Annotator, options: argparse.Namespace) -> None:
    """Write the labels into the folder, for training: photographs that were finished, clean ones too."""
    folder = options.datasets / options.name
    labels, images, unlabelled = annotator.export(options.name)
    if not any(image.regions for image in images):
        raise DataError(f"{options.name} has no labelled region yet ({len(images)} photographs done, {unlabelled} not)",
                        "at least one photograph with a region", "label some and submit them")
    path = write_export(folder, document(folder, keep_labels(folder, labels), images))
    regions = sum(len(image.regions) for image in images)
    clean = sum(1 for image in images if not image.regions)
    print(f"{len(images)} photographs ({clean} clean), {regions} regions → {_shown(path)}"
          + (f"; {unlabelled} not labelled yet" if unlabelled else ""))


def changed(annotator: Annotator, options: argparse.Namespace) -> int:
    """Whether there are labels that the newest export has not: exit 0, and how many photographs, or 1."""
    folder = options.datasets / options.name
    _, images, _ = annotator.export(options.name)
    try:
        before = {image.name: _content(image) for image in read_document(find_json(folder))}
    except ArtifactError:
        before = {}
    now = {image.name: _content(image) for image in images}
    differ = {name for name in {*before, *now} if before.get(name) != now.get(name)}
    if not differ or not any(image.regions for image in images):
        return 1
    print(f"{len(differ)} photographs of {options.name} were labelled since the last export")
    return 0


def _content(image: Image) -> list[str]:
    return sorted(f"{region.label} {region.segmentation}" for region in image.regions)


def bring(annotator: Annotator, options: argparse.Namespace) -> None:
    """Take in labels from CVAT, Label Studio, Roboflow, labelme, or masks, to be edited here and trained on."""
    folder = new_folder(options.datasets, options.name)
    moved = move_in(options.source, folder, parse_labels(options.labels) if options.labels else {}, options.photos)
    annotator.create(options.name, moved.labels)
    annotator.scan(options.name)
    annotator.load(options.name, moved.images)
    path = write_export(folder, document(folder, keep_labels(folder, moved.labels), moved.images))
    for line in moved.left_out:
        print(f"left out: {line}")
    print(f"{options.name}: {', '.join(moved.labels)}; {len(moved.images)} photographs ({moved.copied} copied), "
          f"{sum(len(image.regions) for image in moved.images)} regions; to train on them now: {_shown(path)}")


def propose(annotator: Annotator, options: argparse.Namespace) -> None:
    """Show the regions of a model on the photographs that are worth most."""
    images: list[Image] = read_document(options.proposals)
    shown = annotator.propose(options.name, [image for image in images if image.regions], options.model)
    empty = sum(1 for image in images if not image.regions)
    print(f"{options.name}: proposals on {shown} photographs"
          + (f"; nothing was found on {empty}" if empty else "") + "; label these first:")
    for image in images:
        print(f"  {image.name}")


def assist(annotator: Annotator, options: argparse.Namespace) -> None:
    """Let a service propose regions when a photograph is opened."""
    if not options.service:
        raise AnnotatorError("no service is named", "its address", "--service http://127.0.0.1:8892")
    annotator.assist(options.name, options.service)
    print(f"{options.name}: {options.service} proposes regions")


def _shown(path: Path) -> Path:
    """As a user would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
