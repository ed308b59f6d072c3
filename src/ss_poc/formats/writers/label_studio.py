"""Label Studio: `tasks.json` to import, and `config.xml`, the labelling interface that fits it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from ..label_studio import controls, interface, results_of
from .job import Labelled, Losses, write_file, write_json

__all__ = ["write_label_studio"]


def write_label_studio(folder: Path, labelled: Labelled, losses: Losses) -> None:
    """Write a finished task for each photograph. Holes and overlaps are kept: a region with a hole becomes a stroke.

    Photographs are named as Label Studio serves local files, below the folder above the target.

    Args:
        folder: to write to.
        labelled: what to write.
        losses: gets nothing.
    """
    del losses
    config = interface(labelled.labels)
    offered = controls(config)
    tasks = []
    for number, image in enumerate(labelled.images, 1):
        results = [result for place, region in enumerate(image.regions)
                   for result in results_of(region.segmentation, region.label, image.size_hw, offered,
                                            f"ss{number}-{place}")]
        tasks.append({"id": number, "annotations": [{"result": results, "was_cancelled": False}],
                      "data": {"image": f"/data/local-files/?d={quote(f'{labelled.place}/{image.name}')}"}})
    write_json(folder / "tasks.json", tasks)
    write_file(folder / "config.xml", config)
