"""Pictures of the service's page for the docs, with a model of the demo set, and a Korean font for its buttons
(apt-get install fonts-nanum):

    SS_POC_PICTURES=docs/images .venv/bin/python -m pytest -m '' tests/browser/test_page_pictures.py
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from click_page import PHONE, opened, pick, place, settled, show
from conftest import stage
from served import running

from ss_poc.clicks.simulate import middle_of, next_click
from ss_poc.core.masks import polygons_to_mask
from ss_poc.core.run import find_json
from ss_poc.data.dataset import load_coco

PICTURES = os.environ.get("SS_POC_PICTURES")
pytestmark = [pytest.mark.browser, pytest.mark.slow,
              pytest.mark.skipif(not PICTURES, reason="SS_POC_PICTURES names no folder for pictures")]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder with the demo set and a model of it, packaged."""
    folder = tmp_path_factory.mktemp("demo")
    names = ("--img_dir_name", "demo", "--model_name", "v_1")
    stage("demo", "--out", "demo", cwd=folder)
    stage("train", "--img_path", "demo", "--budget", "3m", *names, cwd=folder)
    for name in ("export", "post_processing", "optimise", "bento_deploy"):
        stage(name, *names, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def dataset(demo):
    return load_coco(find_json(demo / "demo"), demo / "demo")


@pytest.fixture(scope="module")
def served(demo):
    with running(demo / "deploy/KerasSegmentationService/segment/v_1") as found:
        yield found


@pytest.fixture
def sample(dataset):
    """A photograph with two kinds of defects, its largest class, and the mask of that."""
    found = next(item for item in dataset.samples if len(item.classes) > 1)
    masks = found.mask(len(dataset.labels))
    channel = int(masks.sum(axis=(0, 1)).argmax())
    return found, dataset.labels[channel], masks[..., channel]


def closed(page, name, **options):
    """A screenshot; nothing may have been complained about."""
    page.screenshot(path=Path(PICTURES) / name, **options)
    assert page.complaints == []
    page.context.close()


def test_a_prediction(browser, served, sample):
    found, _, mask = sample
    page = opened(browser, served, viewport={"width": 1280, "height": 900})
    show(page, found.path)
    x, y = middle_of(mask)
    page.mouse.move(*place(page, x, y, *found.size_hw[::-1]))
    closed(page, "page.png", full_page=True)


def test_a_prediction_on_a_phone_in_korean(browser, served, sample):
    page = opened(browser, served, **PHONE | {"device_scale_factor": 1.5})
    page.locator("#language").click()
    show(page, sample[0].path)
    page.evaluate("scrollTo(0, 0)")
    closed(page, "page_phone.png")


def test_a_region_that_is_labelled_by_clicks(browser, served, sample):
    """The largest region is clicked on as a robot does, beside those that were found."""
    photograph, label, meant = sample
    page = opened(browser, served, viewport={"width": 1280, "height": 1120})
    pick(page, photograph.path, found=True)
    page.locator("#click-list li", has_text=label).first.locator("button").click()
    page.locator("#click-label").select_option(label)
    found = np.zeros(photograph.size_hw, bool)
    for _ in range(4):
        at = next_click(meant, found)
        with page.expect_response("**/click?*") as answer:
            page.mouse.click(*place(page, at.x, at.y, *photograph.size_hw[::-1]),
                             button="left" if at.positive else "right")
        settled(page)
        found = polygons_to_mask(answer.value.json()["polygons"], photograph.size_hw)
    page.locator("#click-list li").last.hover()
    closed(page, "page_clicks.png")
