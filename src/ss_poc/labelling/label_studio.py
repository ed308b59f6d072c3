"""Label Studio, driven by its own SDK: projects on the folders of data sets, regions out and in, proposals.

Its tasks name photographs as `/data/local-files/?d=<folder>/<file>`, below the folder of all data sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

# Not label_studio_sdk.LabelStudio: that class adds checks of label configurations, which are not used here, and imports
# pandas, boto3 and Azure's client for them, which takes two seconds more at every call of annotator.sh.
from label_studio_sdk.base_client import LabelStudioBase
from label_studio_sdk.types.lse_project_response import LseProjectResponse

from ..core.errors import AnnotatorError, DataError, RequestError
from ..core.text_table import counted
from ..formats.label_studio import Control, controls, interface, labels_in, results_of, segmentation_of
from .folder import SHOWN, new_folder, photographs_of, upright_size
from .http import SECONDS, Client, NotFoundError
from .model import Image, Labels, Region, not_made

__all__ = ["LabelStudio"]

# Of our service in the settings of a project.
TITLE = "SS-PoC"
SHOWN_PATTERN = r"(?i)^[^.].*\.(" + "|".join(suffix.lstrip(".") for suffix in SHOWN) + ")$"


class LabelStudio:
    """Label Studio as an `Annotator` (see `labelling.model`).

    Args:
        url: where Label Studio answers.
        token: of its API.
        datasets: folder of all data sets; what it serves files from.
    """

    def __init__(self, url: str, token: str, datasets: Path) -> None:
        self.http = Client("Label Studio", url, {"Authorization": f"Token {token}"})
        self.api = LabelStudioBase(base_url=self.http.url, api_key=token, timeout=SECONDS, httpx_client=self.http)
        self.datasets = datasets.resolve()

    def create(self, name: str, labels: Labels) -> str:
        """See Annotator."""
        folder, project = new_folder(self.datasets, name), self._find(name)
        if project:
            merged = {**labels_in(project.label_config), **labels}
            self.api.projects.update(project.id, label_config=interface(merged))
        else:
            project = self.api.projects.create(
                title=name, label_config=interface(labels), show_collab_predictions=True,
                description=f"Copy photographs into the folder {folder.name}, then: sh annotator.sh scan {name}")
        storages = self.api.import_storage.local
        if not storages.list(project=project.id):
            storages.create(project=project.id, title=name, path=str(folder), regex_filter=SHOWN_PATTERN,
                            use_blob_urls=True, recursive_scan=True)
        return f"{self.http.url}/projects/{project.id}/data"

    def scan(self, name: str) -> int:
        """See Annotator."""
        project = self._project(name)
        for storage in self.api.import_storage.local.list(project=project.id):
            self.api.import_storage.local.sync(storage.id)
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
            raise DataError(f"{counted(len(missing), 'labelled photograph')} cannot be found in "
                            f"{self.datasets / name}: {missing[0]}", "every file that was labelled",
                            "put back what is missing, or delete its tasks in Label Studio")
        return labels_in(project.label_config), images, open_tasks

    def load(self, name: str, images: Sequence[Image]) -> int:
        """See Annotator. A photograph that has the very same regions already gets no second copy."""
        added = 0
        for task, results in self._with_results(name, images):
            if not any(_same(item["result"], results) for item in task.get("annotations", [])):
                self.api.annotations.create(task["id"], result=results)
                added += 1
        return added

    def propose(self, name: str, images: Sequence[Image], model: str) -> int:
        """See Annotator. The proposals that a photograph had before are removed."""
        known = self.api.predictions.list(project=self._project(name).id)
        proposed = 0
        for task, results in self._with_results(name, images):
            self.api.predictions.create(task=task["id"], result=results, score=1.0, model_version=model)
            for item in known:
                if item.task == task["id"]:
                    self.api.predictions.delete(item.id)
            proposed += 1
        return proposed

    def assist(self, name: str, service: str, proposes: bool = True) -> None:
        """See Annotator. A project has one service: a new one takes the place of the one before."""
        project, url = self._project(name), f"{service.rstrip('/')}/label-studio"
        known = [item for item in self.api.ml.list(project=project.id) if item.title == TITLE]
        if known:
            self.api.ml.update(known[0].id, url=url, project=project.id, title=TITLE, is_interactive=True)
        else:
            self.api.ml.create(project=project.id, url=url, title=TITLE, is_interactive=True)
        # Label Studio would send every label to the service, which has no use for labels.
        for item in self.api.webhooks.list(project=project.id):
            if item.url == f"{url}/webhook":
                self.api.webhooks.delete(item.id)
        self.api.projects.update(project.id, evaluate_predictions_automatically=proposes,
                                 show_collab_predictions=True)

    def _with_results(self, name: str, images: Sequence[Image]
                      ) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Yield the task of each photograph, and its regions as results."""
        project = self._project(name)
        offered = controls(project.label_config)
        tasks = {self._place(task, name): task for task in self._tasks(project)}
        for image in images:
            if image.name not in tasks:
                raise AnnotatorError(f"Label Studio does not know {image.name} of {name}", "a photograph in its folder",
                                     f"sh annotator.sh scan {name}")
            yield tasks[image.name], _results(image, offered)

    def _find(self, name: str) -> LseProjectResponse | None:
        # The list matches parts of titles too, and leaves the label configuration out.
        titled = self.api.projects.list(title=name, page_size=10_000).items or []
        found = next((item for item in titled if item.title == name), None)
        return self.api.projects.get(found.id) if found else None

    def _project(self, name: str) -> LseProjectResponse:
        found = self._find(name)
        if found is None:
            raise not_made("Label Studio", "project", name)
        return found

    def _tasks(self, project: LseProjectResponse) -> list[dict[str, Any]]:
        """Return all tasks with their annotations, oldest first.

        Not by the SDK. Its tasks.list asks what Label Studio's own page asks, and where a service assists, every
        reading of that list has the service look at all photographs without proposals. Its exports write a file named
        after project, content and minute, so that two exports at a time read each other's half-written file.
        One page holds all, because a task that is labelled meanwhile would change pages.
        """
        try:
            found: list[dict[str, Any]] = self.http.call("GET", f"/api/projects/{project.id}/tasks/",
                                                         params={"page_size": 1_000_000})
        except NotFoundError:  # the first page of a project without tasks
            return []
        return sorted(found, key=lambda task: task["id"])

    def _place(self, task: Mapping[str, Any], name: str) -> str:
        """Return the posix path of a task's photograph in the data set's folder, or its whole path if it is outside."""
        reference = str(next(iter(task["data"].values())))
        path = parse_qs(urlsplit(reference).query).get("d", [reference])[0]
        return path.removeprefix(f"{name}/")

    def _image(self, task: int, place: str, path: Path, results: Sequence[Mapping[str, Any]]) -> Image:
        regions = []
        for result in results:
            try:
                found = segmentation_of(result)
            except RequestError as error:
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
    """Tell whether two lists of results are the same regions, whatever their ids."""
    return len(first) == len(second) and all(
        segmentation_of(one) == segmentation_of(other) for one, other in zip(first, second, strict=True))
