"""Polygons of part rules, clicked on the service's page, and read back by the rules."""

from __future__ import annotations

import bright_model
import pytest
from line_service import asked
from PIL import Image
from served import encoded, free_port

from ss_poc.measuring.settings import read_rules

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A service whose model finds what is bright and what is dark."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "press.yaml").write_text("mm_per_pixel: 1")
    with asked(free_port(), folder, bright_model.make_run(folder / "result").export) as service:
        yield f"{service.url}/"


@pytest.fixture
def page(browser, address, tmp_path):
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#legend button")
    (tmp_path / "photo.png").write_bytes(encoded(Image.new("RGB", (96, 64), (90, 90, 90))))
    assert page.locator("#polygons").is_hidden()
    page.set_input_files("#file", str(tmp_path / "photo.png"))
    page.wait_for_selector("#polygons:not([hidden])")
    page.wait_for_selector("#busy", state="hidden")
    yield page
    context.close()
    assert complaints == []


def click(page, *corners):
    """Click on fractions of the photograph."""
    for x, y in corners:
        box = page.locator("#picture").bounding_box()
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_clicked_corners_become_yaml_that_the_rules_read(page, tmp_path):
    page.locator("#draw-region").click()
    click(page, (0.25, 0.25), (0.75, 0.25))
    assert page.locator("#rules-yaml").is_hidden()  # two corners are no polygon
    click(page, (0.75, 0.75), (0.1, 0.9))
    page.locator("#draw-undo").click()
    page.locator("#draw-ignore").click()
    click(page, (0.4, 0.4), (0.5, 0.4), (0.5, 0.5))
    page.locator("#draw-ignore").click()  # ends it: later clicks draw nothing
    click(page, (0.1, 0.1))
    assert page.locator("#outlines polygon").count() == 2
    (tmp_path / "rules.yaml").write_text(page.locator("#rules-yaml").inner_text())
    rules = read_rules(tmp_path / "rules.yaml")
    for found, right in ((rules.region, ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75))),
                         (rules.ignore, ((0.4, 0.4), (0.5, 0.4), (0.5, 0.5)))):
        assert len(found) == 1 and len(found[0]) == 3
        for corner, place in zip(found[0], right, strict=True):
            assert corner == pytest.approx(place, abs=0.01)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#draw-copy").click()
    page.wait_for_function("document.querySelector('#draw-copy').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#rules-yaml").inner_text()


def test_polygons_stay_on_the_photograph_when_the_window_changes_and_speak_korean(page):
    page.locator("#draw-region").click()
    click(page, (0.25, 0.25), (0.75, 0.25), (0.75, 0.75))
    before = page.locator("#rules-yaml").inner_text()
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_timeout(200)
    picture, outlines = page.locator("#picture").bounding_box(), page.locator("#outlines").bounding_box()
    assert picture == pytest.approx(outlines, abs=1)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    shape = page.locator("#outlines polygon").bounding_box()
    assert shape["x"] == pytest.approx(picture["x"] + picture["width"] / 4, abs=3)
    assert page.locator("#rules-yaml").inner_text() == before
    page.locator("#language").click()
    assert page.locator("#draw-ignore").inner_text() == "무시할 영역"
