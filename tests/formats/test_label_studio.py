"""ss_poc.formats.label_studio: Label Studio's interface, polygons in percent and brush strokes, out and in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ss_poc.core.errors import RequestError
from ss_poc.core.masks import decode_rle, encode_rle
from ss_poc.formats.label_studio import (
    brush_mask,
    brush_rle,
    controls,
    interface,
    labels_in,
    results_of,
    segmentation_of,
)

ROOT = Path(__file__).resolve().parents[2]
INTERFACE = """<View><Image name="img" value="$photo"/>
<BrushLabels name="brush" toName="img"><Label value="pit"/></BrushLabels>
<PolygonLabels name="poly" toName="img"><Label value="scratch"/><Label value="dent"/></PolygonLabels>
<Choices name="c" toName="img"><Choice value="x"/></Choices></View>"""


def test_polygon_and_brush_tags_are_found_polygons_first():
    polygon, brush = controls(INTERFACE)
    assert (polygon.kind, polygon.name, polygon.to_name, polygon.value, polygon.labels) == (
        "polygonlabels", "poly", "img", "photo", ("scratch", "dent"))
    assert (brush.kind, brush.labels) == ("brushlabels", ("pit",))


@pytest.mark.parametrize("text", ["", "<View>", "<View/>", '<View><Image name="i" value="$i"/></View>',
                                  '<View><PolygonLabels name="p" toName="other"/></View>',
                                  '<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>'])
def test_an_interface_that_cannot_be_used_is_refused(text):
    with pytest.raises(RequestError):
        controls(text)


def bits_of(data: list[int]) -> str:
    return "".join(f"{byte:08b}" for byte in data)


def test_brush_rle_of_a_2x2_mask_by_hand():
    # Row by row: pixel 0 off, pixels 1 and 2 on, pixel 3 off; four values a pixel: runs of 4, 8, 4.
    mask = np.array([[0, 1], [1, 0]], bool)
    expected = (f"{16:032b}" "00111" "0010" "0011" "0111" "1111"
                "1" "00" "011" "00000000"   # 4 values fit 3 bits: 4 - 1
                "1" "00" "111" "11111111"   # 8 values fit 3 bits: 8 - 1
                "1" "00" "011" "00000000")
    assert bits_of(brush_rle(mask)).startswith(expected) and len(bits_of(brush_rle(mask))) - len(expected) < 8


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (200, 300)])
def test_brush_rle_reads_back_as_the_mask(shape):
    random = np.random.default_rng(0)
    for mask in (np.zeros(shape, bool), np.ones(shape, bool), random.random(shape) < 0.3):
        np.testing.assert_array_equal(brush_mask(brush_rle(mask), shape), mask)


def packed(*bits: str) -> list[int]:
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return [int(text[place:place + 8], 2) for place in range(0, len(text), 8)]


def test_a_brush_stroke_of_the_editor_counts_where_it_is_opaque_by_half():
    # One run of values one by one, as the editor writes them: three pixels, red, green, blue and opacity each.
    values = [0, 0, 0, 0, 9, 9, 9, 127, 9, 9, 9, 128]
    rle = packed(f"{12:032b}", "00111", "0010", "0011", "0111", "1111", "0", "01", f"{12 - 1:04b}",
                 *(f"{value:08b}" for value in values))
    np.testing.assert_array_equal(brush_mask(rle, (1, 3)), [[False, False, True]])


@pytest.mark.parametrize(("rle", "size_hw"), [([0, 0], (1, 1)), (brush_rle(np.ones((2, 2), bool)), (2, 3)),
                                              (brush_rle(np.eye(9, dtype=bool))[:-4], (9, 9))])
def test_a_brush_stroke_that_is_cut_off_or_of_another_size_is_refused(rle, size_hw):
    with pytest.raises(RequestError, match="brush stroke"):
        brush_mask(rle, size_hw)


def test_label_studios_own_reader_reads_what_we_write_and_we_what_it_writes(tmp_path):
    python = ROOT / ".venv-annotate" / "bin" / "python"
    if not python.is_file():
        pytest.skip("Label Studio is not installed; sh annotator.sh does it")
    mask = np.random.default_rng(1).random((21, 34)) < 0.4
    np.save(tmp_path / "ours.npy", np.array(brush_rle(mask)))
    np.save(tmp_path / "mask.npy", mask)
    script = ("import numpy as np; from label_studio_sdk.converter.brush import decode_rle, mask2rle\n"
              "mask = np.load('mask.npy')\n"
              "assert (decode_rle(np.load('ours.npy').tolist()).reshape(21, 34, 4)[..., 3] == mask * 255).all()\n"
              "np.save('theirs.npy', np.array(mask2rle(mask.astype(np.uint8) * 255)))")
    subprocess.run([str(python), "-c", script], cwd=tmp_path, check=True, timeout=120,
                   env={**os.environ, "PYTHONPATH": ""})
    np.testing.assert_array_equal(brush_mask(np.load(tmp_path / "theirs.npy").tolist(), (21, 34)), mask)


# --- our interface


def test_our_interface_has_every_label_for_polygons_and_brush_in_its_colour():
    text = interface({"scratch": "#ff0000", 'a "b" <c>': "#00ff00"})
    assert labels_in(text) == {"scratch": "#ff0000", 'a "b" <c>': "#00ff00"}
    polygon, brush = controls(text)
    assert (polygon.name, brush.name, polygon.value) == ("polygon", "brush", "image")
    assert polygon.labels == brush.labels == ("scratch", 'a "b" <c>')


# --- regions out and in


OFFERED = controls(interface({"scratch": "#ff0000", "pit": "#00ff00"}))


def test_each_polygon_of_a_region_is_a_result_in_percent_and_comes_back_in_pixels():
    # On an image 8 wide and 4 high: 2 of 8 are 25 percent, 1 of 4 too.
    polygons = [[2, 1, 6, 1, 6, 3, 2, 3], [0, 0, 1, 0, 1, 1]]
    first, second = results_of(polygons, "scratch", (4, 8), OFFERED, "k")
    assert first["value"] == {"points": [[25, 25], [75, 25], [75, 75], [25, 75]], "closed": True,
                              "polygonlabels": ["scratch"]}
    assert (first["original_width"], first["original_height"], first["from_name"]) == (8, 4, "polygon")
    assert [first["id"], second["id"]] == ["k-0", "k-1"]
    assert [segmentation_of(item) for item in (first, second)] == [("scratch", [polygon]) for polygon in polygons]


@pytest.mark.parametrize("rows", [["....", ".##.", "...."], ["####", "#..#", "####"], ["....", "....", "...."]])
def test_an_rle_is_a_brush_stroke_and_comes_back_pixel_by_pixel(rows):
    mask = np.array([[pixel == "#" for pixel in row] for row in rows])
    (result,) = results_of(encode_rle(mask), "pit", (3, 4), OFFERED, "k")
    assert result["type"] == "brushlabels" and result["value"]["brushlabels"] == ["pit"]
    label, rle = segmentation_of(result)
    assert label == "pit"
    np.testing.assert_array_equal(decode_rle(rle, (3, 4)), mask)


def test_a_rectangle_comes_in_as_its_four_corners_turned_in_pixels():
    result = {"type": "rectanglelabels", "original_width": 200, "original_height": 100,
              "value": {"x": 50, "y": 20, "width": 10, "height": 40, "rotation": 90, "rectanglelabels": ["pit"]}}
    # Its upper left corner is at (100, 20); 20 wide and 40 high, turned clockwise by 90 degrees.
    label, (corners,) = segmentation_of(result)
    assert label == "pit"
    np.testing.assert_allclose(np.reshape(corners, (4, 2)), [[100, 20], [100, 40], [60, 40], [60, 20]], atol=0.01)


@pytest.mark.parametrize("result", [{"type": "choices", "value": {"choices": ["x"]}},
                                    {"type": "polygonlabels", "value": {"points": [[0, 0]], "polygonlabels": []}},
                                    {"from_name": "a", "to_name": "b", "type": "relation"}])
def test_what_is_no_region_of_a_class_is_passed_over(result):
    assert segmentation_of(result) is None


def test_a_label_that_the_interface_does_not_offer_is_refused():
    with pytest.raises(RequestError, match="offers no polygons for 'dent'"):
        results_of([[0, 0, 1, 0, 1, 1]], "dent", (4, 8), OFFERED, "k")
