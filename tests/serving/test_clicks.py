"""Clicks on photographs: the page's `/click` and `/label`, and Label Studio's smart tools."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from asking import ask, state_in
from PIL import Image
from served import encoded

from ss_poc.core.config import ServeConfig
from ss_poc.core.masks import decode_rle, polygons_to_mask
from ss_poc.data.dataset import load_coco
from ss_poc.serving.state import ServiceState

WIDTH, HEIGHT = 200, 120
LEFT, TOP, RIGHT, BOTTOM = 80, 40, 130, 80
INTERFACE = """<View><Image name="image" value="$image"/>
<PolygonLabels name="polygon" toName="image"><Label value="pit"/></PolygonLabels>
<BrushLabels name="brush" toName="image"><Label value="pit"/><Label value="stain"/></BrushLabels>
<KeyPointLabels name="point" toName="image" smart="true"><Label value="pit"/></KeyPointLabels></View>"""


@pytest.fixture(scope="module")
def photograph():
    """A dark rectangle on a brighter ground, 200 wide and 120 high, as PNG."""
    values = np.random.default_rng(0).normal(150, 4, (HEIGHT, WIDTH))
    values[TOP:BOTTOM, LEFT:RIGHT] -= 70
    return encoded(Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB"))


@pytest.fixture(scope="module")
def truth():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[TOP:BOTTOM, LEFT:RIGHT] = True
    return mask


@pytest.fixture
def state(tmp_path):
    return state_in(tmp_path)


@pytest.fixture
def assistant():
    """A service without a model."""
    found = ServiceState.of(ServeConfig())
    found.without_model = True
    return found


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def clicked(state, photograph, query):
    return ask(state, "POST", f"/click?{query}", files={"image": ("photo.png", photograph)})


# --- the page


def test_a_click_gives_the_region_as_rle_and_as_polygons_of_few_corners(state, photograph, truth):
    answer = clicked(state, photograph, "clicks=105,60").json()
    mask = decode_rle(answer["rle"], (HEIGHT, WIDTH))
    assert iou(mask, truth) > 0.85 and answer["area"] == mask.sum() and 0.5 < answer["score"] <= 1
    assert iou(polygons_to_mask(answer["polygons"], (HEIGHT, WIDTH)), mask) > 0.95
    assert sum(map(len, answer["polygons"])) < 80


def test_a_box_gives_the_region(state, photograph, truth):
    answer = clicked(state, photograph, f"box={LEFT - 4},{TOP - 4},{RIGHT + 4},{BOTTOM + 4}").json()
    assert iou(decode_rle(answer["rle"], (HEIGHT, WIDTH)), truth) > 0.7


def test_a_photograph_turned_by_its_exif_is_clicked_on_as_it_is_shown(state, truth):
    upright = Image.fromarray(np.where(truth, 60, 150).astype(np.uint8)).convert("RGB")
    stored = upright.transpose(Image.Transpose.ROTATE_90)  # EXIF 6 says: turn by 90 degrees clockwise to show it
    exif = Image.Exif()
    exif[0x0112] = 6
    answer = clicked(state, encoded(stored, "JPEG", exif=exif), "clicks=105,60").json()
    assert answer["rle"]["size"] == [HEIGHT, WIDTH] and iou(decode_rle(answer["rle"], (HEIGHT, WIDTH)), truth) > 0.8


@pytest.mark.parametrize(("query", "words"), [
    ("", "nothing says which region"), ("clicks=5,5,0", "nothing says which region"), ("clicks=5", "cannot be read"),
    ("clicks=5,x", "cannot be read"), ("clicks=5,5,2", "cannot be read"), ("box=1,2,3", "cannot be read"),
    ("clicks=200,60", "outside of the photograph"), ("clicks=nan,60", "outside of the photograph"),
    ("box=300,300,400,400", "covers pixels"), ("box=nan,1,2,3", "covers pixels")])
def test_a_request_that_means_no_place_says_so(state, photograph, query, words):
    answer = clicked(state, photograph, query)
    assert answer.status_code == 400 and words in json.dumps(answer.json())


def test_no_photograph_and_a_damaged_one_are_refused(state):
    assert ask(state, "POST", "/click?clicks=5,5", files={"other": ("photo.png", b"x")}).status_code == 400
    assert ask(state, "POST", "/click?clicks=5,5", files={"image": ("photo.png", b"x")}).status_code == 400


def test_two_hundred_clicks_are_answered(state, photograph):
    clicks = ";".join(f"{LEFT + 1 + number % 48},{TOP + 1 + number // 48 * 8}" for number in range(200))
    assert clicked(state, photograph, f"clicks={clicks}").json()["area"] > 0


def test_two_people_clicking_at_once_get_what_each_would_get_alone(state, photograph):
    other = encoded(Image.fromarray(np.full((90, 70, 3), 90, np.uint8)))
    alone = [clicked(state, photo, "clicks=60,60").json()["rle"] for photo in (photograph, other)]
    with ThreadPoolExecutor(4) as pool:
        both = list(pool.map(lambda number: clicked(state, (photograph, other)[number % 2], "clicks=60,60"), range(8)))
    assert [answer.json()["rle"] for answer in both] == alone * 4


# --- labels of the page


def label(state, photograph, regions):
    return ask(state, "POST", "/label", files={"image": ("photo.png", photograph),
                                               "regions": ("regions.json", json.dumps(regions).encode())})


def test_labels_of_the_page_are_a_data_set_that_training_reads(tmp_path, photograph, truth):
    state = ServiceState.of(ServeConfig(collect_path=str(tmp_path / "kept")))
    square = [[LEFT, TOP, RIGHT, TOP, RIGHT, BOTTOM, LEFT, BOTTOM]]
    said = label(state, photograph, [{"label": " pit ", "color": "#ff0000", "segmentation": square}]).json()
    other = encoded(Image.fromarray(np.zeros((30, 50, 3), np.uint8)))
    assert label(state, other, []).json()["photographs"] == 2
    data = load_coco(tmp_path / "kept/labels-page.json", tmp_path / "kept")
    assert data.labels == ("pit",) or list(data.labels) == ["pit"]
    masks = {sample.name: sample.mask(1)[..., 0] for sample in data.samples}
    assert (masks[said["file"].rsplit("/", 1)[1]] == truth).all()
    assert sorted(mask.any() for mask in masks.values()) == [False, True]


def test_a_photograph_sent_again_has_its_new_regions_and_categories_keep_their_numbers(tmp_path, photograph):
    state = ServiceState.of(ServeConfig(collect_path=str(tmp_path)))
    for name in ("pit", "stain"):
        label(state, photograph, [{"label": name, "segmentation": [[1, 1, 9, 1, 9, 9]]}])
    found = json.loads((tmp_path / "labels-page.json").read_text())
    assert [item["name"] for item in found["categories"]] == ["pit", "stain"] and len(found["images"]) == 1
    assert [item["category_id"] for item in found["annotations"]] == [2]


@pytest.mark.parametrize("regions", [{}, ["pit"], [{"segmentation": [[1, 1, 9, 1, 9, 9]]}],
                                     [{"label": "pit", "segmentation": [[1, 1]]}], [{"label": "pit"}],
                                     [{"label": "", "segmentation": [[1, 1, 9, 1, 9, 9]]}]])
def test_regions_that_are_none_are_refused_and_nothing_is_kept(tmp_path, photograph, regions):
    answer = label(ServiceState.of(ServeConfig(collect_path=str(tmp_path / "kept"))), photograph, regions)
    assert answer.status_code == 400 and answer.json()["expected"] and not (tmp_path / "kept").exists()


def test_a_folder_that_cannot_be_written_is_said(tmp_path, photograph):
    (tmp_path / "file").write_text("")
    answer = label(ServiceState.of(ServeConfig(collect_path=str(tmp_path / "file/kept"))), photograph, [])
    assert answer.status_code == 507 and "cannot be kept" in answer.json()["error"]


# --- Label Studio


def smart(photograph, *results, interface=INTERFACE):
    return {"tasks": [{"id": 1, "data": {"image": "data:image/png;base64," + base64.b64encode(photograph).decode()}}],
            "label_config": interface, "params": {"context": {"result": list(results)}}}


def point(x, y, positive=True, name="pit"):
    return {"type": "keypointlabels", "is_positive": positive, "original_width": WIDTH, "original_height": HEIGHT,
            "value": {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "width": 0.5, "keypointlabels": [name]}}


def box(left, top, right, bottom, name="pit", **more):
    return {"type": "rectanglelabels", "value": {
        "x": 100 * left / WIDTH, "y": 100 * top / HEIGHT, "width": 100 * (right - left) / WIDTH,
        "height": 100 * (bottom - top) / HEIGHT, "rotation": 0, "rectanglelabels": [name], **more}}


def answered(state, body):
    answer = ask(state, "POST", "/label-studio/predict", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"][0]["result"]


def drawn(results):
    polygons = [(np.array(item["value"]["points"]) * (WIDTH, HEIGHT) / 100).ravel().tolist() for item in results]
    return polygons_to_mask(polygons, (HEIGHT, WIDTH))


def test_a_smart_point_becomes_a_polygon_of_its_label(assistant, photograph, truth):
    results = answered(assistant, smart(photograph, point(105, 60)))
    assert {item["type"] for item in results} == {"polygonlabels"} and results[0]["from_name"] == "polygon"
    assert results[0]["value"]["polygonlabels"] == ["pit"] and iou(drawn(results), truth) > 0.85


def test_a_smart_box_becomes_a_polygon_and_a_negative_point_alone_corrects_it(assistant, photograph, truth):
    results = answered(assistant, smart(photograph, box(LEFT - 3, TOP - 3, RIGHT + 3, BOTTOM + 3)))
    assert iou(drawn(results), truth) > 0.7
    corrected = answered(assistant, smart(photograph, point(20, 20, positive=False)))
    assert corrected and not drawn(corrected)[20, 20]


def test_a_label_that_only_the_brush_has_becomes_a_brush_stroke(assistant, photograph):
    results = answered(assistant, smart(photograph, point(105, 60, name="stain")))
    assert [item["type"] for item in results] == ["brushlabels"]


def test_a_point_on_the_very_edge_is_on_the_last_pixel(assistant, photograph):
    assert isinstance(answered(assistant, smart(photograph, point(WIDTH, HEIGHT))), list)


@pytest.mark.parametrize("results", [[], [point(20, 20, positive=False)], [{"type": "brushlabels", "value": {}}]])
def test_nothing_pointed_at_is_answered_with_nothing(assistant, photograph, results):
    assert answered(assistant, smart(photograph, *results)) == []


def test_a_request_without_a_context_gets_nothing_where_there_is_no_model_and_proposals_where_there_is(
        assistant, state, photograph):
    body = smart(photograph) | {"params": {"context": None}}
    answer = ask(assistant, "POST", "/label-studio/predict", json=body)
    assert answer.status_code == 200 and answer.json()["results"] == [[]]
    for service in (assistant, state):
        assert ask(service, "POST", "/label-studio/setup", json={"schema": INTERFACE}).status_code == 200


@pytest.mark.parametrize("context", [[], {"result": {}}, {"result": ["x"]}, {"result": [{"type": "keypointlabels"}]},
                                     {"result": [point(105, 60) | {"value": {"keypointlabels": ["pit"]}}]},
                                     {"result": [point(500, 60)]}])
def test_a_context_that_means_nothing_is_refused_with_words(assistant, photograph, context):
    answer = ask(assistant, "POST", "/label-studio/predict",
                 json=smart(photograph) | {"params": {"context": context}})
    assert answer.status_code == 400 and answer.json()["expected"]


def test_a_photograph_that_is_gone_is_refused_with_words(tmp_path):
    state = ServiceState.of(ServeConfig(label_studio_files=str(tmp_path)))
    state.without_model = True
    body = smart(b"", point(105, 60))
    body["tasks"][0]["data"]["image"] = "/data/local-files/?d=photos/gone.png"
    answer = ask(state, "POST", "/label-studio/predict", json=body)
    assert answer.status_code == 400 and "no file" in answer.json()["error"]
