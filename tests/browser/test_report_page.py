"""The report in a browser: it filters, enlarges, complains of nothing and asks nobody for anything."""

from __future__ import annotations

import json

import pytest
from conftest import stage

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def path(run, labelled):
    stage("report", "--img_dir_name", "tiny", cwd=labelled.parent)
    return run.valid / "report.html"


@pytest.fixture
def page(browser, path):
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    page = context.new_page()
    page.complaints, page.asked = [], []
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(path.as_uri())
    yield page
    assert page.complaints == []
    assert [url for url in page.asked if not url.startswith(("data:", path.as_uri()))] == []
    context.close()


def shown(page) -> list[dict]:
    return [{"labels": json.loads(card.get_attribute("data-labels")), "kind": card.get_attribute("data-kind")}
            for card in page.locator(".card:not([hidden])").all()]


def test_gallery_filters_by_class_and_by_error(page):
    everything = shown(page)
    assert everything and page.locator("#count").inner_text() == f"images: {len(everything)} of {len(everything)}"
    page.locator("[data-filter=label] button[data-value=pit]").click()
    assert shown(page) == [card for card in everything if "pit" in card["labels"]]
    page.locator("[data-filter=kind] button[data-value=found]").click()
    both = [card for card in everything if "pit" in card["labels"] and card["kind"] == "found"]
    assert shown(page) == both and page.locator("#count").inner_text() == f"images: {len(both)} of {len(everything)}"
    for group in ("label", "kind"):
        page.locator(f"[data-filter={group}] button[data-value='']").click()
    assert shown(page) == everything


def test_a_picture_is_enlarged_and_put_back(page):
    picture = page.locator(".card:not([hidden]) img").first
    picture.scroll_into_view_if_needed()
    small = picture.bounding_box()["width"]
    picture.click()
    large = page.locator("dialog img")
    assert large.is_visible() and large.bounding_box()["width"] > 1.5 * small
    assert large.get_attribute("src") == picture.get_attribute("src")
    page.keyboard.press("Escape")
    assert not large.is_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_picture_and_chart_is_drawn(page):
    assert page.evaluate("[...document.images].every(image => { image.loading = 'eager'; return true })")
    page.wait_for_function("[...document.images].filter(image => image.src).every(image => image.complete)")
    assert page.evaluate("[...document.images].filter(image => image.src).every(image => image.naturalWidth > 0)")
    charts = page.locator("main svg").all()
    assert len(charts) == 6 and min(chart.bounding_box()["width"] for chart in charts) > 150
