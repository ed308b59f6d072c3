"""ss_poc.serving.label_studio: regions that the service proposes, and where images may come from."""

from __future__ import annotations

import base64
import http.server
import threading

import numpy as np
import pytest

from ss_poc.core.config import ServeConfig
from ss_poc.core.errors import RequestError
from ss_poc.formats.label_studio import brush_mask, controls
from ss_poc.inference.predictor import Prediction
from ss_poc.serving.label_studio import image_name, load_image, regions

INTERFACE = """<View><Image name="img" value="$photo"/>
<BrushLabels name="brush" toName="img"><Label value="pit"/></BrushLabels>
<PolygonLabels name="poly" toName="img"><Label value="scratch"/><Label value="dent"/></PolygonLabels>
<Choices name="c" toName="img"><Choice value="x"/></Choices></View>"""


def load(reference: str, config: ServeConfig) -> bytes:
    """The image of a task, whose size is counted."""
    counted: list[int] = []
    data = load_image(reference, config, counted.append)
    assert len(data) <= sum(counted) <= len(data) + 2
    return data


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
    np.testing.assert_array_equal(brush_mask(brush["value"]["rle"], (4, 8)), pit)
    assert polygon["id"] != brush["id"]


def test_an_empty_mask_gives_no_region():
    assert regions(found(scratch=np.zeros((4, 8), bool)), controls(INTERFACE)) == []


# --- images


def test_inline_images_are_decoded_and_damaged_ones_refused():
    inline = "data:image/png;base64," + base64.b64encode(b"abc").decode()
    assert load(inline, ServeConfig()) == b"abc"
    for broken in ("data:image/png;base64,@@", "data:x"):
        with pytest.raises(RequestError):
            load(broken, ServeConfig())


def test_local_files_stay_below_their_folder(tmp_path):
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "sub" / "a b.png").write_bytes(b"image")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "secret")
    config = ServeConfig(label_studio_files=str(tmp_path / "root"))
    assert load("/data/local-files/?d=sub/a%20b.png", config) == b"image"
    for name in ("../secret", "/etc/passwd", "link", "", "sub"):
        with pytest.raises(RequestError):
            load(f"/data/local-files/?d={name}", config)


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
    assert load("/data/upload/1/a.png", config) == load(f"{home}/data/upload/1/a.png", config) == b"image"
    newer = ServeConfig(label_studio_url=home, label_studio_token="a.b.c")
    assert load("/data/upload/1/a.png", newer) == b"image"
    assert asked[-2][0] == "/api/token/refresh" and '"a.b.c"' in asked[-2][1]


def test_nothing_is_fetched_from_elsewhere(label_studio):
    home, asked = label_studio
    config = ServeConfig(label_studio_url=home, label_studio_token="abc")
    for reference in ("http://169.254.169.254/latest", "file:///etc/passwd", "//evil.example/a.png",
                      home.replace("127.0.0.1", "localhost") + "/a.png", f"{home}@evil.example/a.png"):
        with pytest.raises(RequestError):
            load(reference, config)
    assert asked == []
    with pytest.raises(RequestError) as caught:
        load("/away", config)
    assert "302" in str(caught.value)
    with pytest.raises(RequestError) as caught:
        load("/data/upload/a.png", ServeConfig())
    assert "SS_POC_LABEL_STUDIO_URL" in str(caught.value)


def test_too_large_an_image_or_a_wrong_token_is_said(label_studio):
    home, _ = label_studio
    with pytest.raises(RequestError) as caught:
        load("/a.png", ServeConfig(label_studio_url=home, label_studio_token="wrong"))
    assert "401" in str(caught.value)


def test_image_names_come_from_any_kind_of_reference():
    assert image_name("/data/upload/1/a%20b.png") == "a b.png"
    assert image_name("/data/local-files/?d=x/c.png") == "c.png"
    assert image_name("data:image/png;base64,AAAA") != ""
