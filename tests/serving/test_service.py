"""ss_poc.serving.service and ss_poc.packaging.bento: the Bento, and the service it starts, asked as a client would."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from conftest import stage
from PIL import Image
from pycocotools import mask as coco_mask
from served import encoded, running

from ss_poc.core.images import decode_image
from ss_poc.inference.predictor import Predictor


@pytest.fixture(scope="module", params=["worker", "bentoml"])
def service(request, bento: Path) -> Iterator[httpx.Client]:
    """The Bento, served by a worker of server.sh and by the real `bentoml serve`."""
    with running(bento, request.param, SS_POC_MAX_BYTES="2000000", SS_POC_MAX_PIXELS="4000000") as served:
        yield served.client


def post(client: httpx.Client, data: bytes, name: str = "photo.png", query: str = "", kind: str = "image/png"):
    return client.post(f"/predict{query}", files={"image": (name, data, kind)})


@pytest.fixture(scope="module")
def photo(labelled) -> bytes:
    return (labelled / "01.png").read_bytes()


# --- the Bento


def test_bento_holds_everything_it_needs(bento):
    for name in ("bento.yaml", "env/docker/Dockerfile", "src/ss_poc/keras_segment.py", "models/model.onnx",
                 "models/model.json", "models/rules.json"):
        assert (bento / name).is_file(), name
    assert (bento / "Dockerfile").resolve() == (bento / "env/docker/Dockerfile").resolve()
    rules = json.loads((bento / "models/rules.json").read_text())
    assert [rule["label"] for rule in rules] == ["scratch", "pit"]
    modules = {path.stem for path in (bento / "src/ss_poc").iterdir()}
    assert not modules & {"data", "generator", "train", "fit", "model", "metric"}
    description = yaml.safe_load((bento / "bento.yaml").read_text())
    assert description["version"] == "v_1" and "tensorflow" not in json.dumps(description)


def test_nothing_of_the_build_is_left_beside_the_bento(bento):
    assert [path.name for path in bento.parent.iterdir()] == ["v_1"]


def test_a_failed_build_keeps_the_old_bento_whole(bento, run, tmp_path):
    before = {path: path.read_bytes() for path in bento.rglob("*") if path.is_file()}
    graph = run.export / "model.onnx"
    content = graph.read_bytes()
    try:
        graph.write_bytes(content[:-5])
        done = stage("bento_deploy", "--img_dir_name", "tiny", cwd=run.result.parent, check=False)
    finally:
        graph.write_bytes(content)
    assert done.returncode == 1 and "checksum" in done.stderr
    assert {path: path.read_bytes() for path in bento.rglob("*") if path.is_file()} == before


def check(bento: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ss_poc.keras_segment", "--check"], cwd=bento / "src", text=True,
                          env={**os.environ, **environment}, capture_output=True, timeout=60)


def test_check_passes_a_whole_model_and_names_it(bento):
    done = check(bento)
    assert done.returncode == 0 and "tiny v_1: scratch, pit" in done.stdout


def test_check_refuses_a_damaged_or_missing_model(bento, tmp_path):
    for name in ("model.onnx", "model.json", "rules.json"):
        folder = tmp_path / name
        folder.mkdir()
        for file in (path for path in (bento / "models").iterdir() if path.is_file()):
            (folder / file.name).write_bytes(file.read_bytes()[: 50 if file.name == name else None])
        done = check(bento, SS_POC_MODEL=str(folder))
        assert done.returncode == 1 and name in done.stderr and "Traceback" not in done.stderr
    assert check(bento, SS_POC_MODEL=str(tmp_path / "none")).returncode == 1


def test_wrong_limit_in_the_environment_is_said(bento):
    done = check(bento, SS_POC_MAX_BYTES="lots")
    assert done.returncode == 1 and "SS_POC_MAX_BYTES is 'lots'" in done.stderr and "Traceback" not in done.stderr


# --- the answer


def test_answer_keeps_the_contract(service, photo):
    body = post(service, photo).raise_for_status().json()
    assert list(body) == ["rle", "labels", "colors", "objects", "verdict", "coco", "model", "milliseconds"]
    assert body["labels"] == ["scratch", "pit"] and body["colors"] == ["#ff0000", "#0000ff"]
    assert [rle["size"] for rle in body["rle"]] == [[64, 96]] * 2
    assert body["model"] == {"name": "tiny", "version": "v_1"} and body["milliseconds"] > 0
    assert set(body["verdict"]) == {"defect", "labels"} and set(body["coco"]) == {"images", "categories", "annotations"}
    for item in body["objects"]:
        assert set(item) == {"label", "score", "area", "bbox"} and 0 <= item["score"] <= 1
    for annotation in body["coco"]["annotations"]:
        assert annotation["category_id"] in (2, 7) and len(annotation["segmentation"][0]) >= 6


def test_documented_curl_is_answered(service, labelled):
    done = subprocess.run(["curl", "-sS", "-X", "POST", f"{service.base_url}/predict", "-F",
                           f"image=@{labelled / '02.png'}"], capture_output=True, text=True, timeout=20)
    assert json.loads(done.stdout)["rle"][0]["size"] == [64, 96]


def test_rle_is_bit_for_bit_the_mask_that_predict_makes(service, run, labelled):
    predictor, found = Predictor.load(run.export, run.rules), 0
    for path in sorted(labelled.glob("*.png")):
        mask = predictor.predict(decode_image(path)).mask
        for channel, rle in enumerate(post(service, path.read_bytes()).json()["rle"]):
            decoded = coco_mask.decode({"size": rle["size"], "counts": rle["counts"].encode()}).astype(bool)
            np.testing.assert_array_equal(decoded, mask[..., channel])
        found += mask.any()
    assert found > 5


def test_verdict_follows_the_masks(service, photo):
    body = post(service, photo).json()
    present = [label for label, rle in zip(body["labels"], body["rle"], strict=True)
               if coco_mask.area({"size": rle["size"], "counts": rle["counts"].encode()})]
    assert body["verdict"] == {"defect": bool(present), "labels": present}
    assert {item["label"] for item in body["objects"]} == set(present)


def test_formats_are_pictures_and_coco(service, photo):
    overlay = post(service, photo, query="?format=png")
    assert overlay.headers["content-type"] == "image/png" and decode_image(overlay.content).shape == (64, 96, 3)
    heat = decode_image(post(service, photo, query="?format=heat").content)
    assert heat.shape == (64, 96, 3) and (heat != decode_image(photo)).any()
    labels = Image.open(io.BytesIO(post(service, photo, query="?format=mask").content))
    assert labels.mode == "L" and labels.size == (96, 64) and set(np.unique(labels)) <= {0, 1, 2}
    coco = post(service, photo, query="?format=coco").json()
    assert coco["images"] == [{"id": 1, "file_name": "photo.png", "width": 96, "height": 64}]


def test_threshold_overrides_the_rules(service, photo):
    everything = post(service, photo, query="?threshold=0").json()
    assert [item["area"] for item in everything["objects"]] == [64 * 96, 64 * 96]
    assert post(service, photo, query="?threshold=1").json()["verdict"] == {"defect": False, "labels": []}


@pytest.mark.parametrize("query", ["?threshold=2", "?threshold=-1", "?threshold=nan", "?threshold=x", "?format=gif"])
def test_wrong_query_is_400(service, photo, query):
    answer = post(service, photo, query=query)
    assert answer.status_code == 400 and "expected" in answer.json()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turned_photograph_is_answered_as_a_viewer_shows_it(service, orientation):
    picture = Image.fromarray(np.zeros((40, 90, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    size = [90, 40] if orientation >= 5 else [40, 90]
    assert post(service, encoded(picture, "JPEG", exif=exif)).json()["rle"][0]["size"] == size


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_other_colour_modes_are_understood(service, mode):
    assert post(service, encoded(Image.new(mode, (33, 21)))).json()["rle"][0]["size"] == [21, 33]


@pytest.mark.parametrize(("format", "mode"), [("JPEG", "CMYK"), ("TIFF", "CMYK"), ("BMP", "RGB"), ("WEBP", "RGB"),
                                              ("GIF", "P")])
def test_other_formats_are_understood_whatever_name_and_type_say(service, format, mode):
    answer = post(service, encoded(Image.new(mode, (33, 21)), format), name="x.txt", kind="image/jpg")
    assert answer.status_code == 200 and answer.json()["rle"][0]["size"] == [21, 33]


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 7)])
def test_odd_sizes_are_answered_at_their_own_size(service, size):
    assert post(service, encoded(Image.new("RGB", size))).json()["rle"][0]["size"] == [size[1], size[0]]


# --- what is no image


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"], ids=repr)
def test_a_file_that_is_no_image_is_400_with_a_sentence(service, data):
    answer = post(service, data)
    assert answer.status_code == 400 and len(answer.json()["error"]) > 10 and "expected" in answer.json()


def test_a_truncated_image_is_422(service, labelled):
    data = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)), "JPEG")
    assert post(service, data[: len(data) // 2]).status_code == 422


@pytest.mark.parametrize("data", [b"%PDF-1.7", b"%!PS-Adobe", b"8BPS\0\1", b"<svg xmlns='x'/>", b"SIMPLE  =   T"],
                         ids=repr)
def test_documents_are_415(service, data):
    assert post(service, data).status_code == 415


def test_no_image_is_400(service):
    assert service.post("/predict").status_code == 400
    assert service.post("/predict", files={"other": b"x"}).status_code == 400


def test_a_text_or_address_instead_of_a_file_is_400_and_nothing_is_fetched(service):
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.5)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/a.png"
        answer = service.post("/predict", data={"image": url}, files={"x": b""})
        assert answer.status_code == 400 and "text" in answer.json()["error"]
        with pytest.raises(TimeoutError):
            trap.accept()


def test_json_body_is_415_and_broken_form_is_400(service):
    assert service.post("/predict", json={"image": "x"}).status_code == 415
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        assert service.post("/predict", content=b"--y\r\nbroken", headers={"content-type": kind}).status_code == 400


def test_wrong_method_is_405_and_unknown_path_404(service):
    assert service.get("/predict").status_code == 405
    assert service.get("/nothing").status_code == 404


def test_too_large_a_body_is_413_with_and_without_content_length(service):
    assert post(service, b"\0" * 2_100_000).status_code == 413

    def chunks():
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(30):
            yield b"\0" * 100_000

    answer = service.post("/predict", content=chunks(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413


def test_a_decompression_bomb_is_413_before_it_is_decoded(service):
    bomb = encoded(Image.new("1", (20000, 20000)))
    assert len(bomb) < 1_000_000
    started = time.monotonic()
    assert post(service, bomb).status_code == 413
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("name", ["a" * 300 + ".png", "../../../etc/passwd", "nul\0.png", "사진.png", ""])
def test_odd_file_names_have_no_effect(service, photo, name):
    assert post(service, photo, name=name).status_code in (200, 400)
    assert post(service, photo).status_code == 200


# --- around it


def test_health_metrics_pages_and_description_are_there(service):
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs-files/swagger-ui-bundle.js",
                 "/drift", "/drift.json", "/info", "/page/app.js", "/"):
        assert service.get(path).status_code == 200, path


def test_readyz_names_version_and_engine(service):
    ready = service.get("/readyz").json()
    assert ready["ready"] is True and (ready["name"], ready["version"]) == ("tiny", "v_1")
    assert ready["engine"] == "onnxruntime"
    assert ready["engines_refused"] == [] and ready["draining"] is False


def test_annotator_of_this_host_may_call_from_a_browser_and_others_may_not(service, photo):
    host = service.base_url.host
    for origin, allowed in ((f"http://{host}:8890", f"http://{host}:8890"), ("http://evil.example:8890", None),
                            (f"http://{host}:8891", None), ("null", None)):
        answer = service.post("/predict", files={"image": photo}, headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == allowed
        asked = service.options("/predict", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert (asked.status_code == 200) == bool(allowed)


def test_many_clients_get_their_own_answers(service, labelled):
    import concurrent.futures

    pictures = {path.name: path.read_bytes() for path in sorted(labelled.glob("*.png"))[:8]}
    alone = {name: post(service, data).json()["rle"] for name, data in pictures.items()}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda name: (name, post(service, pictures[name])), [*pictures] * 6))
    assert {answer.status_code for _, answer in answers} <= {200, 429, 503}
    good = [(name, answer) for name, answer in answers if answer.status_code == 200]
    assert len(good) > 24 and all(answer.json()["rle"] == alone[name] for name, answer in good)
