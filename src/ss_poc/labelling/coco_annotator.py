"""coco-annotator, driven over its API: categories and data sets, regions out and in.

It keeps polygons only: brush strokes and RLE become outlines, and their holes are lost. It has no button for "no defect
here": a photograph without regions counts as clean once somebody has opened it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import AnnotatorError
from ..core.text_table import counted
from ..formats.labelled import Image, Labels, polygons_of
from .exports import document, regions_of
from .folder import keep_labels, new_folder
from .http import Client
from .model import not_made

__all__ = ["CocoAnnotator"]

TASK_SECONDS, PAUSE = 600.0, 0.5
PAGE = 500


class CocoAnnotator:
    """coco-annotator as an `Annotator` (see `labelling.model`).

    Args:
        url: where coco-annotator answers.
        login, password: of an account; the first one that registers may do everything.
        datasets: folder of all data sets, which it sees as /datasets.

    Raises:
        AnnotatorError: it does not answer, or refuses the account.
    """

    def __init__(self, url: str, login: str, password: str, datasets: Path) -> None:
        self.api = Client("coco-annotator", url)
        self.datasets = datasets.resolve()
        account = {"username": login, "password": password}
        try:
            self.api.call("POST", "/api/user/login", json=account)
        except AnnotatorError as error:
            # On its first start there is no account yet.
            if self.api.call("GET", "/api/info/").get("total_users", 1):
                raise error
            self.api.call("POST", "/api/user/register", json={**account, "name": login, "email": ""})

    def create(self, name: str, labels: Labels) -> str:
        """See Annotator."""
        new_folder(self.datasets, name)
        known = self._categories()
        for label, color in labels.items():
            if label not in known:
                self.api.call("POST", "/api/category/", json={"name": label, "color": color, "supercategory": "",
                                                              "metadata": {}})
        dataset = self._find(name)
        if dataset is None:
            dataset = self.api.call("POST", "/api/dataset/", json={"name": name, "categories": [*labels]})
        else:
            wanted = dict.fromkeys([*self._labels(dataset), *labels])
            self.api.call("POST", f"/api/dataset/{dataset['id']}", json={"categories": [*wanted]})
        return f"{self.api.url}/#/dataset/{dataset['id']}"

    def scan(self, name: str) -> int:
        """See Annotator."""
        dataset = self._dataset(name)
        self._wait(self.api.call("GET", f"/api/dataset/{dataset['id']}/scan"), f"scanning {name}")
        return len(self._images(dataset))

    def export(self, name: str) -> tuple[dict[str, str], list[Image], int]:
        """See Annotator."""
        dataset = self._dataset(name)
        found = self.api.call("GET", f"/api/dataset/{dataset['id']}/coco")
        regions, images, unlabelled = regions_of(found), [], 0
        for row in self._images(dataset):
            mine = regions.get(row["id"], ())
            if mine or row.get("milliseconds"):
                place = row["path"].partition(f"/{name}/")[2] or row["file_name"]
                images.append(Image(place, (row["height"], row["width"]), mine, row["id"]))
            else:
                unlabelled += 1
        return {item["name"]: item.get("color") or "" for item in found["categories"]}, images, unlabelled

    def load(self, name: str, images: Sequence[Image]) -> int:
        """See Annotator. coco-annotator itself leaves out the regions that it has already."""
        dataset = self._dataset(name)
        drawn = [replace(image, regions=tuple(replace(region, segmentation=polygons_of(region, image.size_hw)[0])
                                              for region in image.regions)) for image in images]
        labels = {region.label: "" for image in drawn for region in image.regions}
        body = json.dumps(document(self.datasets / name, keep_labels(self.datasets / name, labels), drawn)).encode()
        task = self.api.call("POST", f"/api/dataset/{dataset['id']}/coco",
                             files={"coco": ("coco.json", body, "application/json")})
        self._wait(task, f"importing into {name}")
        return sum(1 for image in drawn if image.regions)

    def propose(self, name: str, images: Sequence[Image], model: str) -> int:
        """See Annotator. coco-annotator has no proposals: they are loaded as regions, to be corrected."""
        return self.load(name, images)

    def assist(self, name: str, service: str, proposes: bool = True) -> None:
        """See Annotator. It has no clicks. The browser asks the service, which must allow that (SS_POC_CORS)."""
        dataset, url = self._dataset(name), f"{service.rstrip('/')}/predict"
        self.api.call("POST", f"/api/dataset/{dataset['id']}", json={
            "categories": self._labels(dataset), "annotate_url": url})
        if self._dataset(name).get("annotate_url") != url:
            raise AnnotatorError(f"this coco-annotator does not take the Annotate URL of {name} from us", url,
                                 "set it in the settings of the data set")

    def _categories(self) -> dict[str, int]:
        return {item["name"]: item["id"] for item in self.api.call("GET", "/api/category/")
                if not item.get("deleted")}

    def _labels(self, dataset: Mapping[str, Any]) -> list[str]:
        names = {number: name for name, number in self._categories().items()}
        return [names[number] for number in dataset["categories"] if number in names]

    def _find(self, name: str) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = self.api.call("GET", "/api/dataset/")
        return next((item for item in found if item["name"] == name and not item.get("deleted")), None)

    def _dataset(self, name: str) -> dict[str, Any]:
        found = self._find(name)
        if found is None:
            raise not_made("coco-annotator", "data set", name)
        return found

    def _images(self, dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
        images: list[dict[str, Any]] = []
        page = pages = 1
        while page <= pages:
            found = self.api.call("GET", "/api/image/", params={"page": page, "per_page": PAGE})
            images += [item for item in found["images"] if item["dataset_id"] == dataset["id"]]
            page, pages = page + 1, found["pages"]
        return images

    def _wait(self, task: Mapping[str, Any], what: str) -> None:
        """Wait until the workers have done a task."""
        until = time.monotonic() + TASK_SECONDS
        while time.monotonic() < until:
            found = next((item for item in self.api.call("GET", "/api/tasks/") if item["id"] == task["id"]), None)
            if found is None or found.get("completed") or found.get("progress", 0) >= 100:
                if found and found.get("errors"):
                    raise AnnotatorError(f"{what}: {counted(found['errors'], 'error')}",
                                         fix="see Tasks in coco-annotator")
                return
            time.sleep(PAUSE)
        raise AnnotatorError(f"{what} was not done after {TASK_SECONDS:.0f} s",
                             fix="sh annotator.sh logs: do its workers run?")
