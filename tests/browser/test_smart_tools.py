"""Clicks in Label Studio before any model is trained, as a person makes them: one, a correction, a box; then export.

The pictures of docs/labelling.md come from here:

    SS_POC_PICTURES=docs/images .venv/bin/python -m pytest -m '' tests/browser/test_smart_tools.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from clones import clone_into
from conftest import stage
from label_studio_page import Canvas, Site, iou, logged_in

from ss_poc.clicks.guidance import Click
from ss_poc.clicks.predictor import ClickPredictor
from ss_poc.clicks.simulate import box_around, middle_of
from ss_poc.core.images import PLAIN, open_image
from ss_poc.core.run import find_json
from ss_poc.data.dataset import Dataset, Sample, load_coco
from ss_poc.labelling.exports import read_document
from ss_poc.serving.corrections import Corrections, LabelledRegion

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PICTURES = os.environ.get("SS_POC_PICTURES")
LABEL, COUNT = "stain", 5


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Photographs of the demo set."""
    here = tmp_path_factory.mktemp("drawn")
    stage("demo", "--out", "demo", "--images", "100", cwd=here)
    return load_coco(find_json(here / "demo"), here / "demo")


@pytest.fixture(scope="module")
def stained(drawn: Dataset) -> list[Sample]:
    """Those with one stain of some size, away from the border, and nothing else; one that a correction helps first."""
    alone = [sample for sample in drawn.samples if sample.classes == {drawn.labels.index(LABEL)}]
    plain = [sample for sample in alone if is_plain(truth(sample, drawn))][:COUNT]
    return sorted(plain, key=lambda sample: -gain_by_correction(sample.image(), truth(sample, drawn)))


def is_plain(mask: np.ndarray) -> bool:
    edge = np.ones_like(mask)
    edge[4:-4, 4:-4] = False
    count, _ = cv2.connectedComponents(mask.astype(np.uint8))
    return bool(mask.sum() > 1000 and not (mask & edge).any() and count == 2)


def gain_by_correction(image: np.ndarray, true: np.ndarray) -> float:
    """What a negative click on what is marked beside the region adds to the IoU after a click in its middle."""
    clicks = ClickPredictor.load()
    clicks.set_image(image)
    first = clicks.predict([Click(*middle_of(true))])
    too_much = correction(first.mask, true)
    both = clicks.predict([Click(*middle_of(true)), too_much], previous=first.probability)
    return iou(both.mask, true) - iou(first.mask, true)


def correction(found: np.ndarray, true: np.ndarray) -> Click:
    """A negative click in the middle of what should not be marked; on clean ground where all that is marked should."""
    x, y = middle_of(found & ~true) or middle_of(~true)
    return Click(x, y, positive=False)


def truth(sample: Sample, drawn: Dataset) -> np.ndarray:
    """(H, W) bool of the stain."""
    return sample.mask(len(drawn.labels))[..., drawn.labels.index(LABEL)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, stained: list[Sample]) -> Iterator[Site]:
    """Label Studio with these photographs; no model anywhere."""
    folder = clone_into(tmp_path_factory.mktemp("site") / "ss poc", ".venv", ".venv-annotate")
    found = Site(folder)
    found.said = found.run("annotator.sh")
    found.run("annotator.sh", "new", "photos", "--labels", f"{LABEL},pit")
    for sample in stained:
        shutil.copy(sample.path, found.photos)
    found.run("annotator.sh", "scan", "photos")
    yield found
    subprocess.run(["sh", "annotator.sh", "stop"], cwd=folder, capture_output=True, timeout=90, env=found.environment)


@pytest.fixture(scope="module")
def page(browser: Any, site: Site) -> Iterator[Any]:
    found = logged_in(browser, site)
    yield found
    found.context.close()


def picture(page: Any, name: str) -> None:
    """A screenshot for docs/labelling.md."""
    if PICTURES:
        page.wait_for_timeout(1000)
        page.screenshot(path=f"{PICTURES}/labelling-{name}.png")


def exported(site: Site, sample: Sample) -> np.ndarray:
    """(H, W) bool of what the export says of a photograph."""
    site.run("annotator.sh", "export", "photos")
    data = load_coco(find_json(site.photos), site.photos)
    found = next(item for item in data.samples if item.path.name == sample.path.name)
    return found.mask(len(data.labels))[..., list(data.labels).index(LABEL)]


def test_start_says_that_clicks_are_answered_and_the_project_has_smart_tools(site):
    assert "clicks:    a region for each click" in site.said
    interface = site.ask("projects/", title="photos")["results"][0]["label_config"]
    assert interface.count('smart="true"') == 2 and interface.count('smart="false"') == 2


def test_one_click_and_one_correction_give_a_region_that_is_exported(site, page, drawn, stained):
    sample, true = stained[0], truth(stained[0], drawn)
    canvas = Canvas(page, site, sample)
    canvas.smart("click", LABEL)
    canvas.click(*middle_of(true))
    picture(page, "click")
    canvas.choose("click", LABEL)
    clicks = ClickPredictor.load()  # as what answers the page does
    clicks.set_image(sample.image())
    away = correction(clicks.predict([Click(*middle_of(true))]).mask, true)
    canvas.click(away.x, away.y, positive=False)
    picture(page, "corrected")
    canvas.accept()
    canvas.submit()
    assert iou(exported(site, sample), true) >= 0.8
    images = {image.name: image for image in read_document(find_json(site.photos))}
    assert all(not isinstance(region.segmentation, dict) for region in images[sample.path.name].regions)


def test_a_box_gives_a_region_that_is_exported(site, page, drawn, stained):
    sample, true = stained[1], truth(stained[1], drawn)
    canvas = Canvas(page, site, sample)
    canvas.smart("box", LABEL)
    around = box_around(true)
    canvas.drag(around.left - 2, around.top - 2, around.right + 2, around.bottom + 2)
    picture(page, "box")
    canvas.accept()
    canvas.submit()
    assert iou(exported(site, sample), true) >= 0.8


def test_two_people_clicking_at_once_each_get_their_region(site, browser, page, drawn, stained):
    other = logged_in(browser, site)
    canvases = [Canvas(one, site, sample) for one, sample in zip((page, other), stained[2:4], strict=True)]
    for canvas, sample in zip(canvases, stained[2:4], strict=True):
        canvas.smart("click", LABEL)
        canvas.click(*middle_of(truth(sample, drawn)))
    assert all(canvas.page.get_by_text("1 suggestions").count() for canvas in canvases)
    other.context.close()


def test_a_photograph_that_is_gone_stays_without_a_region_and_the_next_click_works(site, page, drawn, stained):
    sample = stained[4]
    canvas = Canvas(page, site, sample)
    canvas.smart("click", LABEL)
    (site.photos / sample.path.name).rename(site.photos / "gone")
    canvas.click(*middle_of(truth(sample, drawn)))
    assert page.get_by_text("1 suggestions").count() == 0
    (site.photos / "gone").rename(site.photos / sample.path.name)
    canvas.choose("click", LABEL)
    x, y = middle_of(truth(sample, drawn))
    canvas.click(x + 4, y)
    assert page.get_by_text("1 suggestions").count() == 1


def test_what_was_labelled_on_the_page_of_the_service_is_taken_in(site, stained):
    folder = site.folder / "coco-annotator/datasets/collected"
    data = stained[0].path.read_bytes()
    region = LabelledRegion(LABEL, "#ff0000", [[10, 10, 60, 10, 60, 50]])
    kept = Corrections(str(folder)).keep(data, open_image(data), [region], PLAIN)
    said = site.run("annotator.sh", "import", "collected", kept["labels"])
    assert "1 photograph (0 copied), 1 region" in said


def test_what_answers_clicks_ends_with_label_studio_and_takes_little_memory(site):
    pid = int((site.folder / "coco-annotator/.annotator/clicks.pid").read_text())
    status = Path(f"/proc/{pid}/status").read_text()
    assert int(status.split("VmHWM:")[1].split()[0]) < 400_000
    address = f"http://127.0.0.1:{site.environment['CLICKS_PORT']}/label-studio/health"
    assert httpx.get(address, trust_env=False).json()["status"] == "UP"
    site.run("annotator.sh", "stop")
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)
