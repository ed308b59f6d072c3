"""ss_poc.label_studio: interfaces, regions, brush RLE, and where images may come from."""

from __future__ import annotations

import base64
import http.server
import threading

import numpy as np
import pytest

from ss_poc.config import ServeConfig
from ss_poc.errors import ImageError
from ss_poc.inference import Prediction
from ss_poc.label_studio import brush_rle, controls, image_name, load_image, regions

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
    with pytest.raises(ImageError):
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


def decoded(data: list[int]) -> np.ndarray:
    """rle-pack, read by its description: only runs of one value occur."""
    bits, at = bits_of(data), 0

    def read(count: int) -> int:
        nonlocal at
        at += count
        return int(bits[at - count:at], 2)

    total, word = read(32), read(5) + 1
    sizes, values = [read(4) + 1 for _ in range(4)], []
    while len(values) < total:
        assert read(1) == 1
        run = read(sizes[read(2)]) + 1
        values += [read(word)] * run
    return np.array(values)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (200, 300)])
def test_brush_rle_reads_back_as_the_mask_four_times_over(shape):
    random = np.random.default_rng(0)
    for mask in (np.zeros(shape, bool), np.ones(shape, bool), random.random(shape) < 0.3):
        np.testing.assert_array_equal(decoded(brush_rle(mask)), np.repeat(mask.ravel(), 4) * 255)


def found(**masks: np.ndarray) -> Prediction:
    mask = np.stack(list(masks.values()), axis=-1)
    return Prediction(mask, mask.astype(np.float32) * 0.8, tuple(masks), ("#ff0000",) * len(masks), (0.0,) * len(masks))


def test_regions_are_polygons_in_percent_or_brush_strokes_as_the_interface_offers():
    scratch, pit, other = (np.zeros((4, 8), bool) for _ in range(3))
    scratch[1:3, 2:6] = pit[0, 0] = other[3, 3] = True
    polygon, brush = regions(found(scratch=scratch, pit=pit, other=other), controls(INTERFACE))
    assert polygon["type"] == "polygonlabels" and polygon["value"]["polygonlabels"] == ["scratch"]
    assert sorted(polygon["value"]["points"]) == [[25, 25], [25, 75], [75, 25], [75, 75]]
    assert (polygon["original_width"], polygon["original_height"]) == (8, 4)
    assert (polygon["from_name"], polygon["to_name"], polygon["score"]) == ("poly", "img", 0.8)
    assert brush["value"]["brushlabels"] == ["pit"] and brush["value"]["format"] == "rle"
    np.testing.assert_array_equal(decoded(brush["value"]["rle"])[::4].reshape(4, 8), pit * 255)
    assert polygon["id"] != brush["id"]


def test_an_empty_mask_gives_no_region():
    assert regions(found(scratch=np.zeros((4, 8), bool)), controls(INTERFACE)) == []


# --- images


def test_inline_images_are_decoded_and_damaged_ones_refused():
    inline = "data:image/png;base64," + base64.b64encode(b"abc").decode()
    assert load_image(inline, ServeConfig()) == b"abc"
    for broken in ("data:image/png;base64,@@", "data:x"):
        with pytest.raises(ImageError):
            load_image(broken, ServeConfig())


def test_local_files_stay_below_their_folder(tmp_path):
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "sub" / "a b.png").write_bytes(b"image")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "secret")
    config = ServeConfig(label_studio_files=str(tmp_path / "root"))
    assert load_image("/data/local-files/?d=sub/a%20b.png", config) == b"image"
    for name in ("../secret", "/etc/passwd", "link", "", "sub"):
        with pytest.raises(ImageError):
            load_image(f"/data/local-files/?d={name}", config)


@pytest.fixture
def label_studio():
    """A stand-in that gives an image to who has the token, and a redirect."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            if self.path.startswith("/away"):
                self.send_response(302)
                self.send_header("Location", "http://169.254.169.254/")
                self.end_headers()
            else:
                allowed = self.headers.get("Authorization") in ("Token abc", "Bearer short")
                self.send_response(200 if allowed else 401)
                self.end_headers()
                self.wfile.write(b"image" if allowed else b"")

        def do_POST(self):
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"access": "short"}')

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_an_image_is_fetched_from_label_studio_with_either_kind_of_token(label_studio):
    home, asked = label_studio
    config = ServeConfig(label_studio_url=home, label_studio_token="abc")
    assert load_image("/data/upload/1/a.png", config) == load_image(f"{home}/data/upload/1/a.png", config) == b"image"
    newer = ServeConfig(label_studio_url=home, label_studio_token="a.b.c")
    assert load_image("/data/upload/1/a.png", newer) == b"image"
    assert asked[-2][0] == "/api/token/refresh" and '"a.b.c"' in asked[-2][1]


def test_nothing_is_fetched_from_elsewhere(label_studio):
    home, asked = label_studio
    config = ServeConfig(label_studio_url=home, label_studio_token="abc")
    for reference in ("http://169.254.169.254/latest", "file:///etc/passwd", "//evil.example/a.png",
                      home.replace("127.0.0.1", "localhost") + "/a.png", f"{home}@evil.example/a.png"):
        with pytest.raises(ImageError):
            load_image(reference, config)
    assert asked == []
    with pytest.raises(ImageError) as caught:
        load_image("/away", config)
    assert "302" in str(caught.value)
    with pytest.raises(ImageError) as caught:
        load_image("/data/upload/a.png", ServeConfig())
    assert "SS_POC_LABEL_STUDIO_URL" in str(caught.value)


def test_too_large_an_image_or_a_wrong_token_is_said(label_studio):
    home, _ = label_studio
    with pytest.raises(ImageError) as caught:
        load_image("/a.png", ServeConfig(label_studio_url=home, label_studio_token="wrong"))
    assert "401" in str(caught.value)


def test_image_names_come_from_any_kind_of_reference():
    assert image_name("/data/upload/1/a%20b.png") == "a b.png"
    assert image_name("/data/local-files/?d=x/c.png") == "c.png"
    assert image_name("data:image/png;base64,AAAA") != ""
