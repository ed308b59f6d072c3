"""The service's pages in a browser: pick, drop, paste, toggle, slide, hover, download, in two languages, on a phone."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from served import encoded, running

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(bento):
    with running(bento) as found:
        yield found


@pytest.fixture(params=["desktop", "phone"])
def page(request, browser, served):
    phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
    context = browser.new_context(locale="en-US", **(phone if request.param == "phone" else
                                                     {"viewport": {"width": 1280, "height": 900}}))
    page = context.new_page()
    page.complaints, page.asked = [], []
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.goto(f"http://127.0.0.1:{served.port}/")
    page.wait_for_selector("#legend button")
    yield page
    assert page.complaints == []
    home = f"http://127.0.0.1:{served.port}/"
    assert [url for url in page.asked if not url.startswith((home, "blob:", "data:"))] == []
    context.close()


def pick(page, labelled, name="01.png"):
    page.set_input_files("#file", str(labelled / name))
    page.wait_for_selector("#picture:not([hidden])")
    page.wait_for_selector("#busy", state="hidden")


def posts(page) -> int:
    return sum("/predict" in url for url in page.asked)


def pixels(page) -> np.ndarray:
    data = page.evaluate("document.querySelector('#picture').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.split(",")[1]))).convert("RGB")).astype(int)


def test_a_picked_photograph_is_shown_with_verdict_areas_and_objects(page, served, labelled):
    pick(page, labelled)
    answer = served.post((labelled / "01.png").read_bytes()).json()
    assert answer["verdict"]["labels"] == ["pit"]
    assert "pit" in page.locator("#verdict b").inner_text()
    assert page.locator("#verdict").get_attribute("class") == "defect"
    total = sum(item["area"] for item in answer["objects"])
    assert f"{total:,} px" in page.locator("#legend li", has_text="pit").inner_text()
    assert page.locator("#objects tbody tr").count() == len(answer["objects"])
    assert pixels(page).shape == (64, 96, 3)


def test_a_model_without_a_probability_of_a_defect_shows_none(page, labelled):
    pick(page, labelled)
    assert page.locator("#verdict em").is_hidden()


@pytest.mark.parametrize(("believed", "shown"), [(0.5, "50 %"), (0.974, "97 %"), (0.9999, "> 99 %"), (0.002, "< 1 %")])
def test_the_probability_of_a_defect_stands_beside_the_verdict(page, labelled, believed, shown):
    def answer(route):
        found = route.fetch()
        body = found.json()
        body["verdict"]["probability"] = believed
        route.fulfill(response=found, json=body)

    page.route("**/predict*", answer)
    pick(page, labelled)
    assert page.locator("#verdict em").inner_text() == f"Probability of a defect: {shown}"
    page.locator("#language").click()
    assert page.locator("#verdict em").inner_text() == f"결함이 있을 확률: {shown}"


def test_it_says_whose_model_and_which_version_is_served(page):
    told = dict(zip(page.locator("#card dt").all_text_contents(), page.locator("#card dd").all_text_contents(),
                    strict=True))
    assert told["data set"] == "tiny" and told["version"] == "v_1"


def test_classes_are_toggled_and_sliders_act_without_another_request(page, labelled):
    pick(page, labelled)
    asked, before = posts(page), pixels(page)
    button = page.locator("#legend button", has_text="pit")
    button.click()
    original = np.asarray(Image.open(labelled / "01.png").convert("RGB")).astype(int)
    np.testing.assert_array_equal(pixels(page), original)
    page.locator("#legend button", has_text="pit").click()
    np.testing.assert_array_equal(pixels(page), before)
    page.locator("#opacity").fill("90")
    assert (pixels(page) != before).any()
    page.locator("#threshold").fill("1")
    low = int((pixels(page) != original).any(axis=-1).sum())
    page.locator("#threshold").fill("99")
    high = int((pixels(page) != original).any(axis=-1).sum())
    assert low > high
    page.locator("#threshold-auto").click()
    page.locator("#opacity").fill("45")
    np.testing.assert_array_equal(pixels(page), before)
    assert posts(page) == asked


def test_a_heat_map_shows_what_no_threshold_reaches(page, labelled):
    """Where a probability is 0 the photograph shows; at 1 it is red, as opaque as the slider says."""
    pick(page, labelled)
    asked, masks = posts(page), pixels(page)
    original = np.asarray(Image.open(labelled / "01.png").convert("RGB")).astype(int)
    page.locator("#heat").check()
    page.locator("#opacity").fill("100")
    heat = page.evaluate("""() => { const { data } = document.querySelector("#picture").getContext("2d")
      .getImageData(0, 0, 96, 64); return [...data]; }""")
    heat = np.array(heat).reshape(64, 96, 4)[..., :3]
    marked = (masks != original).any(axis=-1)
    assert (heat[marked, 0] >= original[marked, 0]).all() and heat[marked, 2].sum() < 0.75 * original[marked, 2].sum()
    change = np.abs(heat - original).max(axis=-1)
    assert change[~marked].mean() < change[marked].mean() / 4
    page.locator("#heat").uncheck()
    page.locator("#opacity").fill("45")
    np.testing.assert_array_equal(pixels(page), masks)
    assert posts(page) == asked


def test_hovering_names_the_class_and_its_score(page, served, labelled):
    pick(page, labelled)
    (item, *_) = served.post((labelled / "01.png").read_bytes()).json()["objects"]
    box = page.locator("#picture").bounding_box()
    left, top, width, height = item["bbox"]
    page.locator("#picture").hover(position={"x": (left + width / 2) / 96 * box["width"],
                                             "y": (top + height / 2) / 64 * box["height"]})
    assert page.locator("#hint").inner_text().startswith("pit 0.") or "pit 1.00" in page.locator("#hint").inner_text()


def test_a_dropped_and_a_pasted_photograph_are_taken(page, labelled):
    data = base64.b64encode((labelled / "02.png").read_bytes()).decode()
    make = f"""(name, init) => {{ const bytes = Uint8Array.from(atob("{data}"), c => c.charCodeAt(0));
      const files = new DataTransfer(); files.items.add(new File([bytes], "02.png", {{type: "image/png"}}));
      document.dispatchEvent(new (name === "drop" ? DragEvent : ClipboardEvent)(name,
        {{bubbles: true, cancelable: true, [name === "drop" ? "dataTransfer" : "clipboardData"]: files}})); }}"""
    for name in ("drop", "paste"):
        with page.expect_response("**/predict*"):
            page.evaluate(f"({make})('{name}')")
        page.wait_for_selector("#busy", state="hidden")
        assert "scratch" in page.locator("#verdict b").inner_text()


def test_mask_overlay_and_coco_are_downloaded(page, served, labelled):
    pick(page, labelled)
    found = {}
    for kind in ("overlay", "mask", "coco"):
        with page.expect_download() as download:
            page.locator(f"[data-download={kind}]").click()
        found[download.value.suggested_filename] = download.value.path().read_bytes()
    assert set(found) == {"01_overlay.png", "01_mask.png", "01_coco.json"}
    data = (labelled / "01.png").read_bytes()
    assert found["01_mask.png"] == served.post(data, query="?format=mask").content
    assert json.loads(found["01_coco.json"])["annotations"] == served.post(data).json()["coco"]["annotations"]
    assert Image.open(io.BytesIO(found["01_overlay.png"])).size == (96, 64)


def test_samples_are_offered_and_tried(page):
    page.locator(".strip button").first.click()
    page.wait_for_selector("#picture:not([hidden])")
    assert posts(page) == 1


def test_a_file_that_is_no_image_is_said_and_the_page_goes_on(page, labelled, tmp_path):
    (tmp_path / "notes.png").write_text("no image")
    page.set_input_files("#file", str(tmp_path / "notes.png"))
    page.wait_for_selector("#error:not([hidden])")
    assert "no image" in page.locator("#error").inner_text() and "Expected" in page.locator("#error").inner_text()
    page.complaints.clear()  # the browser reports every 400 on its console
    pick(page, labelled)
    assert page.locator("#error").is_hidden()


def test_a_photograph_larger_than_the_canvas_is_analysed_whole(page, tmp_path):
    (tmp_path / "large.jpg").write_bytes(encoded(Image.new("RGB", (3000, 1000), (110, 110, 110)), "JPEG"))
    page.set_input_files("#file", str(tmp_path / "large.jpg"))
    page.wait_for_selector("#picture:not([hidden])")
    assert pixels(page).shape == (533, 1600, 3)


def test_the_page_speaks_korean_and_remembers_it(page):
    page.locator("#language").click()
    assert page.locator("#pick").inner_text() == "파일 선택" and page.evaluate("document.documentElement.lang") == "ko"
    page.reload()
    page.wait_for_selector("#legend button")
    assert page.locator("#pick").inner_text() == "파일 선택"
    page.locator("#language").click()
    assert page.locator("#pick").inner_text() == "Choose a file"


def test_calls_from_programs_are_shown_for_this_address(page, served):
    for name, part in (("curl", "curl -X POST"), ("Python", "httpx.post"), ("JavaScript", "await fetch")):
        page.locator(".tabs button", has_text=name).click()
        text = page.locator("#code").inner_text()
        assert part in text and f"http://127.0.0.1:{served.port}/predict" in text


def test_nothing_runs_over_the_edge(page, labelled):
    pick(page, labelled)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_drift_page_draws_a_chart_a_measure(page, served, labelled):
    for path in sorted(labelled.glob("*.png")):
        served.post(path.read_bytes())
    page.goto(f"http://127.0.0.1:{served.port}/drift")
    page.wait_for_selector(".charts svg")
    assert page.locator(".charts .box").count() == 5 and page.locator("#note").inner_text().startswith("The last ")


def test_api_page_lists_the_routes_offline(page, served):
    page.goto(f"http://127.0.0.1:{served.port}/docs")
    page.wait_for_selector(".opblock")
    paths = {text.strip() for text in page.locator(".opblock-summary-path").all_inner_texts()}
    assert {"/predict", "/predict_batch"} <= {path.replace("\u200b", "") for path in paths}


def test_masks_are_decoded_as_pycocotools_encodes_them(page):
    from pycocotools import mask as coco_mask

    random = np.random.default_rng(0)
    speckled = (random.random((70, 130)) < 0.2).astype(np.uint8)
    for mask in (np.zeros((5, 9), np.uint8), np.ones((5, 9), np.uint8), speckled):
        rle = coco_mask.encode(np.asfortranarray(mask))
        found = page.evaluate("""async ([size, counts, width, height]) => {
            const { bytes, area } = await import("/page/masks.js");
            return [[...bytes({ size, counts }, width, height)], area({ size, counts })]; }""",
            [[int(side) for side in rle["size"]], rle["counts"].decode(), mask.shape[1], mask.shape[0]])
        np.testing.assert_array_equal(np.array(found[0]).reshape(mask.shape), mask)
        assert found[1] == mask.sum()
