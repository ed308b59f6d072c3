"""What a labelling tool holds and can be told to do: images with regions, and the interface of an annotator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..core.errors import AnnotatorError
from ..formats.labelled import Image, Labels, Region

__all__ = ["Annotator", "Image", "Labels", "Region", "not_made"]


class Annotator(Protocol):
    """What every labelling tool is told in the same way. All methods raise AnnotatorError where the tool refuses or
    does not answer. `name` is the name of the data set, which is that of its folder and of its project."""

    def create(self, name: str, labels: Labels) -> str:
        """Make a project on the folder, or add labels to the project; return the address of its page."""

    def scan(self, name: str) -> int:
        """Take in photographs that were copied into the folder; return the number of photographs in the project."""

    def export(self, name: str) -> tuple[dict[str, str], list[Image], int]:
        """Return the labels with their colours, the finished images, and the number of unfinished photographs."""

    def load(self, name: str, images: Sequence[Image]) -> int:
        """Add regions that can be edited; return the number of photographs that got some."""

    def propose(self, name: str, images: Sequence[Image], model: str) -> int:
        """Show regions of a model (its name and version) as proposals; return the number of photographs with some."""

    def assist(self, name: str, service: str, proposes: bool = True) -> None:
        """Let the service at this address answer clicks and, if it proposes, mark regions on what is opened."""


def not_made(tool: str, kind: str, name: str) -> AnnotatorError:
    """The error of a project or data set (`kind`) that the tool does not know."""
    return AnnotatorError(f"{tool} has no {kind} {name}", "one that annotator.sh made",
                          f"sh annotator.sh new {name} --labels scratch,pit")
