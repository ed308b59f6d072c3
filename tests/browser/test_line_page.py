"""The page of a line in a browser, in two languages: what comes, one part, a search, labelling, exports."""

from __future__ import annotations

import base64
import csv
import io
import json
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from line_page import key, opened, part
from lines import photograph
from PIL import Image

from ss_poc.core.images import decode_image

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=\"document.title='hurt'\">"


@pytest.fixture
def line(tmp_path):
    with opened(tmp_path) as found:
        now = int(time.time() * 1000)
        found.add(part(0, part="16", lot="A", taken_ms=now - 3_600_000),
                  found.defect(1, part="17", lot=HOSTILE, name=HOSTILE, taken_ms=now,
                               measurements=({"label": "scratch", "length_mm": 3.5}, {"label": HOSTILE})))
        yield found


@pytest.fixture
def page(browser, line):
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.complaints, page.asked = [], []
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.goto(f"{line.url}/line")
    shown(page, "reject")
    yield page
    assert page.complaints == []
    assert [url for url in page.asked if not url.startswith((line.url, "blob:", "data:"))] == []
    assert page.title() == "press"
    context.close()


def shown(page, verdict: str) -> None:
    page.wait_for_selector(f"#verdict.{verdict}")


def facts(page) -> dict[str, str]:
    return dict(zip(page.locator("#facts dt").all_text_contents(), page.locator("#facts dd").all_text_contents(),
                    strict=True))


def rows(page) -> list[str]:
    return page.locator("#list tbody tr td:nth-child(3)").all_text_contents()


def listed(page, count: int) -> None:
    """Wait for a list of so many parts."""
    page.wait_for_selector(f"#list tbody tr:nth-child({count}):last-child" if count else "#list tbody:empty",
                           state="attached")


def pixels(page) -> np.ndarray:
    data = page.evaluate("document.querySelector('#picture').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.split(",")[1]))).convert("RGB")).astype(int)


def test_the_newest_part_is_shown_with_overlay_facts_and_measurements_and_strangers_words_as_text(page):
    assert (facts(page)["Part"], facts(page)["Lot"], facts(page)["Photograph"]) == ("17", HOSTILE, HOSTILE)
    assert page.locator("#verdict").inner_text().split("\n") == ["Reject", "scratch was found"]
    assert page.locator("#measures tr").all_text_contents() == ["Classlength_mm", "scratch3.5", f"{HOSTILE}–"]
    changed = (pixels(page) != decode_image(photograph(1, defect=True)).astype(int)).any(axis=-1)
    expected = np.zeros((24, 40), bool)
    expected[10:14, 20:25] = True
    np.testing.assert_array_equal(changed, expected)
    page.locator("#show-outlines").uncheck()
    np.testing.assert_array_equal(pixels(page), decode_image(photograph(1, defect=True)).astype(int))
    assert page.locator("#keys").inner_text() == "scratch" and page.locator("main img").count() == 0


def test_what_comes_is_added_counted_and_shown_until_a_part_is_chosen(page, line):
    assert rows(page) == ["17", "16"] and page.locator("#shown").inner_text() == "The last parts, as they come."
    line.add(part(2, part="18", taken_ms=int(time.time() * 1000)))
    shown(page, "accept")
    assert facts(page)["Part"] == "18" and rows(page) == ["18", "17", "16"]
    page.wait_for_selector("[data-verdict=accept]:has(b:text-matches('^[12]$'))")  # the hour before may be yesterday
    page.locator(f"#list tbody tr[data-id='{key(1)}']").click()
    shown(page, "reject")
    line.add(part(3, "error", part="19", reasons=("no image",), taken_ms=int(time.time() * 1000)))
    page.wait_for_selector("#list tbody tr:nth-child(4)")
    assert facts(page)["Part"] == "17" and page.locator("#title").inner_text() == "Part"
    page.locator("#newest").click()
    shown(page, "error")
    assert page.locator("#no-picture").inner_text() == "The picture of this part is not kept."
    assert page.locator("#trend rect").count() >= 4


def test_a_search_stands_still_and_clearing_it_lets_parts_come_again(page, line):
    page.locator("[name=label]").select_option("scratch")
    page.locator("[name=part]").fill("1")
    page.locator("#search .strong").click()
    listed(page, 1)
    line.add(part(2, part="18"))
    page.wait_for_timeout(700)
    assert rows(page) == ["17"] and "not added" in page.locator("#shown").inner_text()
    page.locator("[name=part]").fill("nothing")
    page.locator("#search .strong").click()
    listed(page, 0)
    assert page.locator("#shown").inner_text() == "Nothing was found."
    page.locator("#clear").click()
    listed(page, 3)


def test_older_parts_are_a_button_away(page, line):
    line.add(*[part(number) for number in range(2, 62)])
    page.reload()
    page.wait_for_selector("#list tbody tr:nth-child(50)")
    assert page.locator("#list tbody tr").count() == 50
    page.locator("#older").click()
    page.wait_for_selector("#list tbody tr:nth-child(62)")
    assert page.locator("#older").is_hidden() and rows(page)[-2:] == ["17", "16"]


def test_a_wrong_part_goes_to_labelling(page, line):
    page.locator("#wrong").click()
    page.wait_for_selector("#wrong", state="hidden")
    name = f"press-{key(1)[:16]}.png"
    assert page.locator("#sent").inner_text() == f"In labelling: {name}"
    collected = line.folder / "state" / "collected"
    assert (collected / name).is_file()
    assert len(json.loads((collected / "proposals-press.json").read_text())["annotations"]) == 1


def test_what_the_search_found_is_exported(page):
    page.locator("[name=verdict]").select_option("reject")
    page.locator("#search .strong").click()
    listed(page, 1)
    found = {}
    for kind in ("csv", "parquet"):
        with page.expect_download() as waiting:
            page.locator(f"[data-export={kind}]").click()
        found[kind] = waiting.value.path()
    with open(found["csv"], encoding="utf-8-sig") as file:
        assert [row["part"] for row in csv.DictReader(file)] == ["17"]
    assert pq.read_table(found["parquet"])["lot"].to_pylist() == [HOSTILE]


def test_it_speaks_korean_and_leaves_no_word_untranslated(page):
    english = page.locator("[data-word]").all_text_contents()
    page.locator("#language").click()
    assert page.locator("html").get_attribute("lang") == "ko"
    assert page.locator("#verdict b").inner_text() == "불량" and facts(page)["부품 번호"] == "17"
    assert page.locator("#tiles").inner_text().split("\n")[1] == "오늘 부품"
    korean = page.locator("[data-word]").all_text_contents()
    same = {before for before, after in zip(english, korean, strict=True) if before == after}
    assert same <= {""}
    assert page.evaluate("""async () => {
      const keys = [...document.querySelectorAll("[data-word]")].map((item) => item.dataset.word);
      const { word } = await import("./page/words.js");
      return keys.filter((key) => word(key) === key);
    }""") == []


def test_trouble_and_a_line_that_is_gone_are_said(page, line):
    (line.folder / "state" / "status.json").write_text(json.dumps(
        {"line": "press", "service": "", "archive": "", "alarms": ["3 of the last 10 parts were rejected"],
         "sources": [{"name": "camera", "trouble": ""}],
         "sinks": [{"name": "bus", "trouble": "no connection", "waiting": 5}]}))
    page.reload()
    page.wait_for_selector("#state.trouble")
    assert page.locator("#state").inner_text().split("\n") == [
        "Sink bus: no connection (5 waiting)", "Alarm: 3 of the last 10 parts were rejected"]


def test_a_token_is_asked_for_once(browser, tmp_path):
    with opened(tmp_path, token="s3cret") as line:
        line.add(line.defect(1, part="17"))
        context = browser.new_context(locale="en-US")
        page = context.new_page()
        page.goto(f"{line.url}/line")
        page.wait_for_selector("#token-dialog[open]")
        page.locator("#token").fill("s3cret")
        page.locator("#token-dialog button").click()
        shown(page, "reject")
        page.wait_for_selector("#picture:not([hidden])")
        page.reload()
        shown(page, "reject")
        line.news.close()
        page.wait_for_selector("#state.trouble")
        assert "does not answer" in page.locator("#state").inner_text()
        context.close()
