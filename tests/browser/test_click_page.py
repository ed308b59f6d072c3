"""Labels by clicks on the service's page: clicked, corrected, kept, downloaded, added to the data set; phones too."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click_page import HEIGHT, PHONE, WIDTH, opened, pick, place, settled
from PIL import Image
from served import encoded, running

from ss_poc.core.masks import polygons_to_mask
from ss_poc.core.run import find_json
from ss_poc.data.dataset import load_coco

pytestmark = pytest.mark.browser
# Of the tiny set: the bright disc on 01.png is a pit, the dark bar on 02.png a scratch.
PIT, SCRATCH = "01.png", "02.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def served(bento, folder):
    with running(bento, folder=folder) as found:
        yield found


@pytest.fixture
def kept(folder):
    """The data set that the page adds to, empty."""
    shutil.rmtree(folder / "collected", ignore_errors=True)
    return folder / "collected"


@pytest.fixture(scope="module")
def truth(labelled):
    """(H, W) bool of the region on each photograph of the tiny set."""
    document = json.loads(find_json(labelled).read_text())
    names = {item["id"]: item["file_name"] for item in document["images"]}
    return {names[item["image_id"]]: polygons_to_mask(item["segmentation"], (HEIGHT, WIDTH))
            for item in document["annotations"]}


@pytest.fixture
def page(browser, served):
    page = opened(browser, served, viewport={"width": 1280, "height": 900})
    yield page
    assert page.complaints == []
    page.context.close()


@pytest.fixture
def phone(browser, served):
    page = opened(browser, served, **PHONE)
    yield page
    assert page.complaints == []
    page.context.close()


def click(page, x, y, **options):
    with page.expect_response("**/click?*") as answer:
        page.mouse.click(*place(page, x, y), **options)
    settled(page)
    return answer.value


def middle(mask):
    rows, columns = np.nonzero(mask)
    return int(columns.mean()), int(rows.mean())


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def downloaded(page):
    with page.expect_download() as download:
        page.locator("#click-coco").click()
    return download.value.suggested_filename, json.loads(download.value.path().read_text())


def listed(page):
    return page.locator("#click-list .label").all_inner_texts()


def test_a_click_and_one_that_takes_away_become_a_label_in_the_coco_file(page, served, labelled, truth):
    pick(page, labelled / PIT)
    assert click(page, *middle(truth[PIT])).json()["area"] > 0
    assert "clicks=" in (asked := click(page, 2, 2, button="right").url) and asked.endswith(",0&box=")
    assert page.locator("#clicked .dot").count() == 2 and page.locator("#clicked .negative").count() == 1
    page.locator("#click-label").select_option("pit")
    page.locator("#click-keep").click()
    assert listed(page) == ["pit"] and page.locator("#clicked .dot, #clicked .draft").count() == 0
    name, document = downloaded(page)
    (annotation,) = document["annotations"]
    mask = polygons_to_mask(annotation["segmentation"], (HEIGHT, WIDTH))
    assert iou(mask, truth[PIT]) >= 0.5 and annotation["area"] == pytest.approx(mask.sum(), rel=0.1)
    assert name == "01_labels.json"
    assert document["images"] == [{"id": 1, "file_name": PIT, "width": WIDTH, "height": HEIGHT}]
    known = served.post((labelled / PIT).read_bytes()).json()["coco"]["categories"]
    assert document["categories"] == known
    assert {item["id"]: item["name"] for item in known}[annotation["category_id"]] == "pit"


def test_what_is_added_to_the_data_set_is_what_training_reads(page, labelled, truth, kept):
    pick(page, labelled / PIT)
    click(page, *middle(truth[PIT]))
    page.locator("#click-label").select_option("pit")
    page.locator("#click-send").click()  # takes the region that was not put into the list yet
    page.wait_for_selector("#click-command:not([hidden])")
    assert f"{kept}/labels-page.json" in page.locator("#click-sent").inner_text()
    command = page.locator("#click-command").inner_text()
    assert command == f"sh annotator.sh import collected {kept}/labels-page.json"
    dataset = load_coco(kept / "labels-page.json", kept)
    (sample,) = dataset.samples
    assert list(dataset.labels) == ["pit"] and iou(sample.mask(1)[..., 0], truth[PIT]) >= 0.5
    assert sample.path.read_bytes() == (labelled / PIT).read_bytes()
    with page.expect_response("**/predict*"):
        page.set_input_files("#file", str(labelled / SCRATCH))
    assert page.dialogs == []  # what was sent is not lost


def test_a_new_label_is_the_next_category(page, labelled, truth):
    pick(page, labelled / SCRATCH)
    click(page, *middle(truth[SCRATCH]))
    page.locator("#click-label").select_option(label="other…")
    page.locator("#click-keep").click()
    assert "name" in page.locator("#click-said").inner_text() and listed(page) == []
    page.locator("#click-name").fill("dent")
    page.keyboard.press("Enter")
    assert listed(page) == ["dent"]
    _, document = downloaded(page)
    *known, new = document["categories"]
    assert new["name"] == "dent" and new["id"] == max(item["id"] for item in known) + 1
    assert document["annotations"][0]["category_id"] == new["id"]


def test_what_the_model_found_is_there_to_begin_with_and_removed_one_by_one(page, served, labelled):
    pick(page, labelled / PIT, found=True)
    found = served.post((labelled / PIT).read_bytes()).json()["coco"]["annotations"]
    outlines = [polygon for item in found for polygon in item["segmentation"]]
    assert len(listed(page)) == len(outlines) and set(listed(page)) == {"pit"}
    _, document = downloaded(page)
    assert [item["segmentation"][0] for item in document["annotations"]] == outlines
    assert sum(item["area"] for item in document["annotations"]) == pytest.approx(found[0]["area"], rel=0.05)
    page.locator("#click-list li").first.hover()
    assert page.locator("#clicked .lit").count() == 1
    page.locator("#click-list button").first.click()
    assert len(listed(page)) == len(outlines) - 1
    page.locator("#click-found").uncheck()
    assert listed(page) == [] and page.locator("#click-none").is_visible()


def test_undo_takes_back_a_click_and_escape_the_region(page, labelled, truth):
    pick(page, labelled / PIT)
    first = click(page, *middle(truth[PIT])).url
    page.keyboard.down("Alt")
    click(page, 2, 2)
    page.keyboard.up("Alt")
    assert page.locator("#clicked .negative").count() == 1
    with page.expect_response("**/click?*") as again:
        page.locator("#click-undo").click()
    settled(page)
    assert again.value.url == first and page.locator("#clicked .draft").count() == 1
    page.locator("#click-undo").click()
    assert page.locator("#clicked .dot, #clicked .draft").count() == 0
    click(page, *middle(truth[PIT]))
    page.keyboard.press("Escape")
    assert page.locator("#clicked .dot, #clicked .draft").count() == 0 and listed(page) == []
    click(page, *middle(truth[PIT]))
    page.keyboard.press("Enter")
    page.wait_for_selector("#click-list li")


def test_a_first_click_that_takes_away_asks_nothing(page, labelled):
    pick(page, labelled / PIT)
    page.mouse.click(*place(page, 2, 2), button="right")
    assert "First click" in page.locator("#click-said").inner_text()
    assert not any("/click?" in url for url in page.asked)


def test_dragging_draws_a_box_in_pixels_of_the_photograph(page, labelled, truth):
    pick(page, labelled / SCRATCH)
    rows, columns = np.nonzero(truth[SCRATCH])
    left, top, right, bottom = columns.min() - 1, rows.min() - 1, columns.max() + 1, rows.max() + 1
    page.mouse.move(*place(page, left, top))
    page.mouse.down()
    page.mouse.move(*place(page, right, bottom), steps=4)
    assert page.locator("#clicked rect").count() == 1
    with page.expect_response("**/click?*") as answer:
        page.mouse.up()
    settled(page)
    assert answer.value.url.endswith(f"clicks=&box={left},{top},{right + 1},{bottom + 1}")
    assert iou(polygons_to_mask(answer.value.json()["polygons"], (HEIGHT, WIDTH)), truth[SCRATCH]) >= 0.5


def test_clicks_on_a_photograph_larger_than_the_canvas_are_whole_pixels_of_it(page, tmp_path):
    image = Image.new("RGB", (2400, 500), (110, 110, 110))
    image.paste((20, 20, 20), (2000, 200, 2200, 400))
    (tmp_path / "large.tif").write_bytes(encoded(image, "TIFF"))  # which the browser cannot show
    pick(page, tmp_path / "large.tif")
    page.mouse.click(*place(page, 2100, 300, 2400, 500))
    settled(page)
    asked = next(url for url in page.asked if "/click?" in url)
    x, y = map(int, asked.split("clicks=")[1].split("&")[0].split(","))
    assert abs(x - 2100) <= 3 and abs(y - 300) <= 3


def test_an_earlier_answer_that_comes_late_does_not_overtake(page, labelled, truth):
    pick(page, labelled / PIT)
    page.evaluate("""() => { const real = window.fetch; let asked = 0; window.fetch = async (...given) => {
      const late = String(given[0]).startsWith("click?") && ++asked === 1;
      const answer = await real(...given);
      if (late) await new Promise((resolve) => { window.release = resolve; document.body.dataset.held = ""; });
      return answer; }; }""")
    page.mouse.click(*place(page, *middle(truth[PIT])))
    assert page.locator("#stage.waiting").count() == 1
    page.wait_for_selector("body[data-held]")
    click(page, 2, 2, button="right")
    shown = page.locator("#clicked .draft").get_attribute("d")
    page.evaluate("window.release()")
    page.wait_for_timeout(200)
    assert page.locator("#clicked .draft").get_attribute("d") == shown
    assert page.locator("#clicked .dot").count() == 2


def test_clicking_and_drawing_for_rules_exclude_each_other_and_hovering_goes_on(page, labelled):
    pick(page, labelled / PIT)
    page.locator("#picture").hover()
    assert page.locator("#hint").is_visible()
    page.locator("#draw-region").click()
    assert page.locator("#stage.clicking").count() == 0 and page.locator("#click-tools").is_hidden()
    page.locator("#picture").click(force=True)
    assert page.locator("#outlines circle").count() == 1 and page.locator("#clicked .dot").count() == 0
    page.locator("#click-start").click()
    assert page.locator("#outlines.drawing").count() == 0
    assert page.locator("#draw-region").get_attribute("aria-pressed") == "false"


def test_work_is_not_lost_without_a_question(page, labelled, truth):
    pick(page, labelled / PIT)
    click(page, *middle(truth[PIT]))
    page.keyboard.press("Enter")
    page.wait_for_selector("#click-list li")
    before = sum("/predict" in url for url in page.asked)
    page.set_input_files("#file", str(labelled / SCRATCH))
    page.wait_for_timeout(200)
    assert len(page.dialogs) == 1 and len(listed(page)) == 1
    assert sum("/predict" in url for url in page.asked) == before
    page.lose = True
    with page.expect_response("**/predict*"):
        page.set_input_files("#file", str(labelled / SCRATCH))
    page.wait_for_selector("#busy", state="hidden")
    assert len(page.dialogs) == 2 and listed(page) == []


def test_a_refusal_is_said_in_words_and_what_was_clicked_before_stands(page, labelled, truth, kept):
    pick(page, labelled / PIT)
    click(page, *middle(truth[PIT]))
    refuse = json.dumps({"error": "the service is busy", "to_do": "ask again"})
    page.route("**/click?*", lambda route: route.fulfill(status=503, content_type="application/json", body=refuse))
    page.mouse.click(*place(page, 2, 2), button="right")
    page.wait_for_selector("#click-said.wrong")
    assert "the service is busy" in page.locator("#click-said").inner_text()
    assert page.locator("#clicked .dot").count() == 1 and page.locator("#clicked .draft").count() == 1
    kept.write_text("no folder")
    page.locator("#click-send").click()
    page.wait_for_selector("#click-sent.wrong")
    assert "cannot be kept" in page.locator("#click-sent").inner_text()
    kept.unlink()
    page.complaints.clear()  # the browser reports every 503 and 507 on its console


def test_a_finger_taps_on_a_phone_and_nothing_runs_over_the_edge(phone, labelled, truth):
    pick(phone, labelled / PIT)
    for negative, (x, y) in ((False, middle(truth[PIT])), (True, (2, 2))):
        if negative:
            phone.locator("#click-negative").tap()
            phone.locator("#picture").scroll_into_view_if_needed()
        with phone.expect_response("**/click?*"):
            phone.touchscreen.tap(*place(phone, x, y))
        settled(phone)
    assert phone.locator("#clicked .dot").count() == 2 and phone.locator("#clicked .negative").count() == 1
    phone.locator("#click-label").select_option("pit")
    phone.locator("#click-keep").tap()
    assert listed(phone) == ["pit"]
    assert phone.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    mask = polygons_to_mask(downloaded(phone)[1]["annotations"][0]["segmentation"], (HEIGHT, WIDTH))
    assert iou(mask, truth[PIT]) >= 0.5


def test_it_speaks_korean(page, labelled):
    pick(page, labelled / PIT)
    page.locator("#language").click()
    assert page.locator("#click-start").inner_text() == "라벨링 끝내기"
    assert page.locator("#click-keep").inner_text() == "영역 추가"
    assert page.locator("#click-other").text_content() == "기타…"
