"""Move labels into and out of the labelling tool that runs. annotator.sh calls this with the tool and its address:

    python -m ss_poc.annotator --tool label-studio --url http://127.0.0.1:8890 new photos --labels scratch,pit
    python -m ss_poc.annotator --tool label-studio --url http://127.0.0.1:8890 export photos

The account comes from the environment: ANNOTATOR_TOKEN for Label Studio, ANNOTATOR_LOGIN and ANNOTATOR_PASSWORD for
coco-annotator. `… VERB --help` explains a verb and has examples of it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..core.config import EXIF_LABELS
from ..core.errors import AnnotatorError, ArtifactError, DataError
from ..core.images import SUFFIXES, UNREAD_SUFFIXES, images_below
from ..core.run import find_json
from ..core.text_table import counted
from ..formats.labelled import polygons_of
from .exports import document, read_document, usable, write_export
from .folder import SHOWN, keep_labels, new_folder, parse_labels, photographs_of
from .importers import move_in
from .model import Annotator, Image

__all__ = ["main"]

TOOLS = ("label-studio", "coco-annotator")


def main(argv: Sequence[str] | None = None) -> int | None:
    """Run the command. It ends with None (done), or for the verb `changed` with 0 (labels changed) or 1 (none did)."""
    options = _parser().parse_args(argv)
    options.datasets = options.datasets.resolve()
    code: int | None = options.run(_annotator(options), options)
    return code


class _Verb(NamedTuple):
    """A subcommand: what runs it, its line in --help, and the arguments of its examples."""

    name: str
    run: Callable[[Annotator, argparse.Namespace], int | None]
    meaning: str
    examples: tuple[str, ...]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="annotator.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", choices=TOOLS, required=True, help="the labelling tool")
    parser.add_argument("--url", required=True, help="address of the labelling tool")
    parser.add_argument("--datasets", type=Path, default=Path("coco-annotator/datasets"),
                        help="folder of all data sets")
    subcommands = parser.add_subparsers(required=True, metavar="VERB")
    for verb in _verbs():
        examples = "\n".join(f"  sh annotator.sh {verb.name} {example}" for example in verb.examples)
        command = subcommands.add_parser(verb.name, help=verb.meaning, description=verb.run.__doc__,
                                         epilog=f"examples:\n{examples}",
                                         formatter_class=argparse.RawDescriptionHelpFormatter)
        command.add_argument("name", metavar="NAME", type=_named, help="of the data set, or its folder in --datasets")
        command.set_defaults(run=verb.run)
        _arguments(command, verb.name)
    return parser


def _named(text: str) -> str:
    """A data set's name, of the name or of the folder as tab completion writes it."""
    return text.removeprefix("coco-annotator/datasets/").rstrip("/")


def _verbs() -> tuple[_Verb, ...]:
    return (
        _Verb("new", new, "make a folder and a project, or add labels",
              ("photos --labels scratch,pit", "photos --labels 'dent:#00ff00'")),
        _Verb("scan", scan, "take in photographs that were copied into the folder", ("photos",)),
        _Verb("export", export, "write the labels for training", ("photos",)),
        _Verb("import", bring, "take in labels of another tool",
              ("photos cvat.zip", "photos masks --labels scratch,pit --photos /data/photos")),
        _Verb("propose", propose, "show what a model found as proposals",
              ("photos", "photos 20 v_1")),
        _Verb("assist", assist, "let a service propose when a photograph is opened",
              ("photos",)),
        _Verb("changed", changed, "tell whether labels changed since the last export", ("photos",)))


def _arguments(command: argparse.ArgumentParser, verb: str) -> None:
    if verb in ("new", "import"):
        command.add_argument("--labels", default="", help="names, each with a colour if you like: scratch,pit:#00ff00")
    if verb == "import":
        command.add_argument("source", type=Path, metavar="FILE", help="labels: a file, a zip or a folder")
        command.add_argument("--exif_labels", choices=EXIF_LABELS, default="auto", help="whether labels were drawn on "
                             "photographs as shown or as stored, where EXIF turns them and size cannot tell")
        command.add_argument("--photos", type=Path, help="folder of the photographs, if they are not beside FILE")
    if verb == "propose":
        command.add_argument("proposals", type=Path, metavar="FILE", help="COCO json that predict --rank wrote")
        command.add_argument("--model", default="model", help="name and version to show")
    if verb in ("new", "assist"):
        command.add_argument("--service", default="", help="address of a service that proposes regions")
        command.add_argument("--clicks", default="", help="address of one that only answers clicks")


def _annotator(options: argparse.Namespace) -> Annotator:
    # Each tool's driver is imported for that tool only: Label Studio's needs its SDK, which .venv has not.
    if options.tool == "coco-annotator":
        from .coco_annotator import CocoAnnotator

        return CocoAnnotator(options.url, os.environ.get("ANNOTATOR_LOGIN", ""),
                             os.environ.get("ANNOTATOR_PASSWORD", ""), options.datasets)
    try:
        from .label_studio import LabelStudio
    except ImportError as error:
        raise AnnotatorError(f"Label Studio cannot be asked: {error}", "Label Studio's SDK, which it comes with",
                             "sh annotator.sh, which sets up .venv-annotate, or pip install 'ss-poc[annotate]'"
                             ) from error
    return LabelStudio(options.url, os.environ.get("ANNOTATOR_TOKEN", ""), options.datasets)


def new(annotator: Annotator, options: argparse.Namespace) -> None:
    """Make a folder for photographs and a project on it. If both exist already, add labels to the project."""
    labels = parse_labels(options.labels)
    folder = new_folder(options.datasets, options.name)
    address = annotator.create(options.name, labels)
    keep_labels(folder, labels)
    if options.service or options.clicks:
        annotator.assist(options.name, options.service or options.clicks, proposes=bool(options.service))
    found = annotator.scan(options.name) if photographs_of(folder) else 0
    print(f"{options.name}: {', '.join(labels)}; {counted(found, 'photograph')} → {address}")
    if not found:
        print(f"copy photographs into {_shown(folder)}, then: sh annotator.sh scan {options.name}")


def scan(annotator: Annotator, options: argparse.Namespace) -> None:
    """Take in photographs that were copied into the folder of the data set."""
    folder = options.datasets / options.name
    print(f"{options.name}: {counted(annotator.scan(options.name), 'photograph')}")
    unseen = [path.name for path in images_below(folder, (*SUFFIXES, *UNREAD_SUFFIXES))
              if path.suffix.lower() not in SHOWN]
    if unseen:
        print(f"left out, as a browser may not show it: {counted(len(unseen), 'photograph')}, such as {unseen[0]}\n"
              f"  expected: {', '.join(SHOWN)}\n  to do:    convert to PNG or JPEG")


def export(annotator: Annotator, options: argparse.Namespace) -> None:
    """Write the labels of all finished photographs, those without a defect too, for training."""
    folder = options.datasets / options.name
    labels, given, unlabelled = annotator.export(options.name)
    images, left_out = usable(given)
    for line in left_out:
        print(f"left out: {line}")
    if not any(image.regions for image in images):
        raise DataError(f"{options.name} has no labelled region yet ({counted(len(images), 'photograph')} done, "
                        f"{unlabelled} not)", "at least one photograph with a region", "label some and submit them")
    path = write_export(folder, document(folder, keep_labels(folder, labels), images))
    regions = sum(len(image.regions) for image in images)
    clean = sum(1 for image in images if not image.regions)
    print(f"{counted(len(images), 'photograph')} ({clean} clean), {counted(regions, 'region')} → {_shown(path)}"
          + (f"; {unlabelled} not labelled yet" if unlabelled else ""))


def changed(annotator: Annotator, options: argparse.Namespace) -> int:
    """Tell how many photographs were labelled since the last export. The exit status is 0 if any was, else 1."""
    folder = options.datasets / options.name
    images, _ = usable(annotator.export(options.name)[1])
    try:
        before = {image.name: _content(image) for image in read_document(find_json(folder))}
    except ArtifactError:
        before = {}
    now = {image.name: _content(image) for image in images}
    differ = {name for name in {*before, *now} if before.get(name) != now.get(name)}
    if not differ or not any(image.regions for image in images):
        return 1
    print(f"{options.name}: labelled since the last export: {counted(len(differ), 'photograph')}")
    return 0


def _content(image: Image) -> list[str]:
    return sorted(f"{region.label} {region.segmentation}" for region in image.regions)


def bring(annotator: Annotator, options: argparse.Namespace) -> None:
    """Take in labels of any format that training reads, to edit them here and to train."""
    folder = new_folder(options.datasets, options.name)
    moved = move_in(options.source, folder, parse_labels(options.labels) if options.labels else {}, options.photos,
                    options.exif_labels, lambda labels: annotator.create(options.name, labels))
    annotator.scan(options.name)
    annotator.load(options.name, moved.images)
    path = write_export(folder, document(folder, keep_labels(folder, moved.labels), moved.images))
    for line in moved.left_out:
        print(f"left out: {line}")
    for line in moved.notes:
        print(f"note: {line}")
    holed = [image.name for image in moved.images
             if any(polygons_of(region, image.size_hw)[1] for region in image.regions)]
    if holed and options.tool == "coco-annotator":
        print(f"note: coco-annotator keeps outlines alone, so holes in regions are filled there: "
              f"{counted(len(holed), 'photograph')}, such as {holed[0]}")
    regions = sum(len(image.regions) for image in moved.images)
    print(f"{options.name}: {', '.join(moved.labels)}; {counted(len(moved.images), 'photograph')} "
          f"({moved.copied} copied), {counted(regions, 'region')}; to train on them now: {_shown(path)}")


def propose(annotator: Annotator, options: argparse.Namespace) -> None:
    """Show the regions that a model found as proposals, and print the photographs in the order of FILE.

    annotator.sh asks the model first, and gives FILE and --model itself: it takes NAME [N] [VERSION].
    """
    images: list[Image] = read_document(options.proposals)
    shown = annotator.propose(options.name, [image for image in images if image.regions], options.model)
    empty = sum(1 for image in images if not image.regions)
    print(f"{options.name}: proposals on {counted(shown, 'photograph')}"
          + (f"; nothing was found on {empty}" if empty else "") + "; label these first:")
    for image in images:
        print(f"  {image.name}")


def assist(annotator: Annotator, options: argparse.Namespace) -> None:
    """Let a service propose regions when a photograph is opened. annotator.sh gives --service itself."""
    if not options.service and not options.clicks:
        raise AnnotatorError("no service is named", "the address of a service", "--service http://127.0.0.1:8892")
    annotator.assist(options.name, options.service or options.clicks, proposes=bool(options.service))
    print(f"{options.name}: " + (f"{options.service} proposes regions" if options.service else
                                 f"{options.clicks} answers clicks"))


def _shown(path: Path) -> Path:
    """Return a path as a user would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
