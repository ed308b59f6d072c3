"""Label Studio, driven over its API: projects on data set folders, regions out and in, proposals.

Its tasks name photographs as `/data/local-files/?d=<folder>/<file>`, below the folder of all data sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..core.errors import AnnotatorError, DataError, ImageError
from ..formats.label_studio import Control, controls, interface, labels_in, results_of, segmentation_of
from .http import Api
from .model import SHOWN, Image, Labels, Region, new_folder, photographs_of, upright_size

__all__ = ["Studio"]

SHOWN_PATTERN = r"(?i)^[^.].*\.(" + "|".join(suffix.lstrip(".") for suffix in SHOWN) + ")$"


class Studio:
    """An annotator (see `labelling.Annotator`).

    Args:
        url: where Label Studio answers.
        token: of its API.
        datasets: folder of all data sets; what it serves files from.
    """

    def __init__(self, url: str, token: str, datasets: Path) -> None:
        self.api = Api("Label Studio", url, {"Authorization": f"Token {token}"})
        self.datasets = datasets.resolve()

    def create(self, name: str, labels: Labels) -> str:
        """See Annotator."""
        folder, project = new_folder(self.datasets, name), self._find(name)
        if project:
            merged = {**labels_in(project["label_config"]), **labels}
            self.api.call("PATCH", f"/api/projects/{project['id']}/", json={"label_config": interface(merged)})
        else:
            project = self.api.call("POST", "/api/projects/", json={
                "title": name, "label_config": interface(labels), "show_collab_predictions": True,
                "description": f"Photographs are copied into {folder.name}, then: sh annotator.sh scan {name}"})
        if not self._storages(project):
            self.api.call("POST", "/api/storages/localfiles/", json={
                "project": project["id"], "title": name, "path": str(folder), "regex_filter": SHOWN_PATTERN,
                "use_blob_urls": True, "recursive_scan": True})
        return f"{self.api.url}/projects/{project['id']}/data"

    def scan(self, name: str) -> int:
        """See Annotator."""
        project = self._project(name)
        for storage in self._storages(project):
            self.api.call("POST", f"/api/storages/localfiles/{storage['id']}/sync", json={})
        return len(self._tasks(project))

    def export(self, name: str) -> tuple[dict[str, str], list[Image], int]:
        """See Annotator. Of several annotations of a photograph the newest one counts."""
        project = self._project(name)
        files = photographs_of(self.datasets / name)
        images, open_tasks, missing = [], 0, []
        for task in self._tasks(project):
            done = [item for item in task.get("annotations", []) if not item.get("was_cancelled")]
            place = self._place(task, name)
            if not done:
                open_tasks += 1
            elif place not in files:
                missing.append(place)
            else:
                newest = max(done, key=lambda item: (item["updated_at"], item["id"]))
                images.append(self._image(task["id"], place, files[place], newest["result"]))
        if missing:
            raise DataError(f"{len(missing)} labelled photographs are not in {self.datasets / name}: {missing[0]}",
                            "the files they were labelled on", "put them back, or delete their tasks in Label Studio")
        return labels_in(project["label_config"]), images, open_tasks

    def load(self, name: str, images: Sequence[Image]) -> int:
        """See Annotator. A photograph that has the very same regions already is passed over."""
        added = 0
        for task, results in self._with_results(name, images):
            if not any(_same(item["result"], results) for item in task.get("annotations", [])):
                self.api.call("POST", f"/api/tasks/{task['id']}/annotations/", json={"result": results})
                added += 1
        return added

    def propose(self, name: str, images: Sequence[Image], model: str) -> int:
        """See Annotator. What was proposed for a photograph before makes way."""
        known: list[dict[str, Any]] = self.api.call("GET", "/api/predictions/",
                                                    params={"project": self._project(name)["id"]})
        proposed = 0
        for task, results in self._with_results(name, images):
            for item in known:
                if item["task"] == task["id"]:
                    self.api.call("DELETE", f"/api/predictions/{item['id']}/")
            self.api.call("POST", "/api/predictions/", json={"task": task["id"], "result": results, "score": 1.0,
                                                             "model_version": model})
            proposed += 1
        return proposed

    def assist(self, name: str, service: str) -> None:
        """See Annotator."""
        project, url = self._project(name), f"{service.rstrip('/')}/label-studio"
        known = self.api.call("GET", "/api/ml/", params={"project": project["id"]})
        if all(item["url"].rstrip("/") != url for item in known):
            self.api.call("POST", "/api/ml/", json={"project": project["id"], "url": url, "title": "SS-PoC",
                                                    "is_interactive": False})
        # Label Studio would tell the service of every label, which has no use for it.
        for item in self.api.call("GET", "/api/webhooks/", params={"project": project["id"]}):
            if item["url"] == f"{url}/webhook":
                self.api.call("DELETE", f"/api/webhooks/{item['id']}/")
        self.api.call("PATCH", f"/api/projects/{project['id']}/",
                      json={"evaluate_predictions_automatically": True, "show_collab_predictions": True})

    def _with_results(self, name: str, images: Sequence[Image]
                      ) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """The task of each photograph, and its regions as results."""
        project = self._project(name)
        offered = controls(project["label_config"])
        tasks = {self._place(task, name): task for task in self._tasks(project)}
        for image in images:
            if image.name not in tasks:
                raise AnnotatorError(f"Label Studio does not know {image.name} of {name}", "a photograph in its folder",
                                     f"sh annotator.sh scan {name}")
            yield tasks[image.name], _results(image, offered)

    def _find(self, name: str) -> dict[str, Any] | None:
        page = self.api.call("GET", "/api/projects/", params={"page_size": 10_000, "title": name})
        found = next((item for item in page["results"] if item["title"] == name), None)
        return self.api.call("GET", f"/api/projects/{found['id']}/") if found else None

    def _project(self, name: str) -> dict[str, Any]:
        found = self._find(name)
        if found is None:
            raise AnnotatorError(f"Label Studio has no project {name}", "one that annotator.sh made",
                                 f"sh annotator.sh new {name} --labels scratch,pit")
        return found

    def _storages(self, project: Mapping[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.call("GET", "/api/storages/localfiles/",
                                                    params={"project": project["id"]})
        return found

    def _tasks(self, project: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All tasks with their annotations, oldest first.

        Not by Label Studio's export: its file is named after project, content and minute, so that of two at a time one
        reads what the other has half written. One page, as a task that is labelled meanwhile changes pages.
        """
        found: list[dict[str, Any]] | None = self.api.call("GET", f"/api/projects/{project['id']}/tasks/", (404,),
                                                           params={"page_size": 1_000_000})
        # A project without tasks is a page that is not there.
        return sorted(found or [], key=lambda task: task["id"])

    def _place(self, task: Mapping[str, Any], name: str) -> str:
        """Posix path of a task's photograph in the data set's folder; as it is where it lies elsewhere."""
        reference = str(next(iter(task["data"].values())))
        path = parse_qs(urlsplit(reference).query).get("d", [reference])[0]
        return path.removeprefix(f"{name}/")

    def _image(self, task: int, place: str, path: Path, results: Sequence[Mapping[str, Any]]) -> Image:
        regions = []
        for result in results:
            try:
                found = segmentation_of(result)
            except ImageError as error:
                raise DataError(f"{place}: {error.what}", error.expected,
                                "open it in Label Studio and draw it again") from error
            if found:
                regions.append(Region(*found, str(result.get("id", ""))))
        sizes = {(int(item["original_height"]), int(item["original_width"])) for item in results
                 if "original_height" in item}
        size_hw = upright_size(path)
        if sizes - {size_hw}:
            raise DataError(f"{place} was labelled at {sorted(sizes)[0]} and is {size_hw} (height, width)",
                            "the photograph that was labelled", "put it back, or label the new one")
        return Image(place, size_hw, tuple(regions), task)


def _results(image: Image, offered: Sequence[Control]) -> list[dict[str, Any]]:
    return [result for number, region in enumerate(image.regions)
            for result in results_of(region.segmentation, region.label, image.size_hw, offered,
                                     f"ss{region.key or number}")]


def _same(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> bool:
    """Whether two lists of results are the same regions, ids aside."""
    return len(first) == len(second) and all(
        segmentation_of(one) == segmentation_of(other) for one, other in zip(first, second, strict=True))
