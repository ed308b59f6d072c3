"""Labels of any format that is read, with their photographs, as a new folder of another format."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.config import EXIF_LABELS
from ..core.errors import ConfigError
from ..core.images import images_below
from ..core.text_table import counted
from ..formats.archives import opened, photo_folder
from ..formats.labels import MASKS, find_labels
from ..formats.write_labels import WRITERS, require_new, write_labels
from ..formats.writers.job import Losses
from .check import EXAMPLES, describe_findings
from .dataset import Dataset, load_coco
from .upright import labelled_image

__all__ = ["convert", "main"]

# What a check says for the sake of the training alone.
OF_TRAINING = {"class-rare", "category-unused", "identical-copies", "copies-differ", "bit-depth", "value-range",
               "range-unused"}
# Every browser shows the others.
UNSHOWN = (".tif", ".tiff")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: convert, and say what was left out and what the format cannot hold. Returns 0."""
    options = _parser().parse_args(argv)
    dataset, losses, names = convert(options.source, options.target, options.to, options.photos,
                                     not options.no_photos, options.exif_labels)
    findings = [item for item in dataset.findings if item.code not in OF_TRAINING]
    if findings:
        print(describe_findings(findings, None if options.all else EXAMPLES) + "\n")
    for line in _told(losses, names, None if options.all else EXAMPLES):
        print(line)
    clean = sum(not sample.regions for sample in dataset.samples)
    regions = sum(len(sample.regions) for sample in dataset.samples)
    writer = WRITERS[options.to]
    if not options.no_photos:
        print(f"photographs are copied to {options.target / writer.photos}")
    if options.to == "label-studio":
        print(f"Label Studio finds them where {options.target.resolve().parent} is its "
              "LOCAL_FILES_DOCUMENT_ROOT; config.xml is the labelling interface")
        unshown = [name for name in names if name.lower().endswith(UNSHOWN)]
        if unshown:
            print(f"a browser cannot show {counted(len(unshown), 'TIFF file')}, such as {unshown[0]}")
    print(f"{', '.join(dataset.labels)}; {counted(len(dataset.samples), 'photograph')} ({clean} clean), "
          f"{counted(regions, 'region')} → {options.target}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="labels.sh convert", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  sh labels.sh convert coco-annotator/datasets/photos yolo --to yolo\n"
               "  sh labels.sh convert /data/voc labelme --to labelme --no_photos")
    parser.add_argument("source", type=Path, metavar="SOURCE", help="labels of any format that training reads")
    parser.add_argument("target", type=Path, metavar="TARGET", help="folder to write; it must not be there yet")
    parser.add_argument("--to", choices=WRITERS, required=True, help="format to write")
    parser.add_argument("--photos", type=Path, help="folder of the photographs, if they are not beside SOURCE")
    parser.add_argument("--no_photos", action="store_true", help="write labels alone; photographs keep their names")
    parser.add_argument("--exif_labels", choices=EXIF_LABELS, default="auto", help="as for training")
    parser.add_argument("--all", action="store_true", help=f"name every photograph, not {EXAMPLES} of a kind")
    return parser


def convert(source: Path, target: Path, to: str, photos: Path | None = None, copy: bool = True,
            exif_labels: str = "auto") -> tuple[Dataset, Losses, dict[str, str]]:
    """Convert labels, and copy their photographs. Whatever goes wrong, there is no target then.

    Args:
        source: labels: a file, a folder or a zip.
        target: folder to write.
        to: key of WRITERS.
        photos: folder of the photographs; None to look beside the labels.
        copy: copy the photographs too.
        exif_labels: one of EXIF_LABELS of `core.config`.

    Returns:
        What was read; what the format cannot hold; and the new name of each photograph by its old one.

    Raises:
        ConfigError: the target lies in the source.
        ArtifactError, DataError: as `load_coco` and `write_labels` raise them.
    """
    for place in (source, photos):
        if place and place.is_dir() and target.resolve().is_relative_to(place.resolve()):
            raise ConfigError(f"{target} lies in {place}", "a folder outside, or its photographs would be found twice",
                              "name another one")
    require_new(target)  # before all is read, which may take minutes
    with opened(source) as place:
        home = photo_folder(photos or _photos_of(place))
        dataset = load_coco(place, home, True, exif_labels)
        images = [labelled_image(sample, dataset.labels) for sample in dataset.samples]
        losses, names = write_labels(target, to, dataset.all_labels, images, home, copy)
        return dataset, losses, names


def _photos_of(source: Path) -> Path:
    """The folder of the photographs: that of the labels; or the one above, where that one has none but labels."""
    if source.is_dir():
        found = find_labels(source)
        return source.parent if found.kind == MASKS and found.path == source else source
    return source.parent if images_below(source.parent) else source.parent.parent


def _told(losses: Losses, names: Mapping[str, str], examples: int | None) -> list[str]:
    """Lines on what the format cannot hold, and on photographs of another name."""
    told = dict(losses.found)
    moved = {name: new for name, new in names.items() if Path(name).name != Path(new).name}
    if moved:
        told["photographs of one name have names of their own"] = moved
    lines = []
    for what, found in told.items():
        lines.append(f"{what}: {counted(len(found), 'photograph')}")
        lines += [f"    {name}: {how_much}" for name, how_much in [*found.items()][:examples]]
        if examples is not None and len(found) > examples:
            lines.append(f"    … and {len(found) - examples} more; --all lists them")
    return lines
