"""The service as plant IT meets it: batches, tokens, numbers, logs, overload, draining, workers that die."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import time

import httpx
import numpy as np
import pytest
from PIL import Image
from served import Load, encoded, resident_mb, running

from ss_poc.core.images import decode_image


@pytest.fixture(scope="module")
def served(bento, tmp_path_factory):
    with running(bento, folder=tmp_path_factory.mktemp("served"), COLLECT="3", SS_POC_MAX_IMAGES="4") as found:
        yield found


@pytest.fixture(scope="module")
def photo(labelled) -> bytes:
    return (labelled / "01.png").read_bytes()


# --- formats


def test_a_picture_is_given_to_who_accepts_only_pictures(served, photo):
    answer = served.client.post("/predict", files={"image": photo}, headers={"Accept": "image/png"})
    assert answer.headers["content-type"] == "image/png" and decode_image(answer.content).shape == (64, 96, 3)


def test_probability_maps_come_when_asked_for(served, photo):
    assert "maps" not in served.post(photo).json()
    maps = served.post(photo, query="?maps=1").json()["maps"]
    assert [np.asarray(Image.open(io.BytesIO(base64.b64decode(item)))).shape for item in maps] == [(64, 96)] * 2
    assert served.post(photo, query="?maps=yes").status_code == 400


def test_in_a_batch_each_image_is_answered_and_a_broken_one_fails_alone(served, photo):
    files = [("image", ("a.png", photo)), ("image", ("b.png", b"garbage")), ("other", ("c.jpg", photo[:200]))]
    results = served.client.post("/predict_batch", files=files).raise_for_status().json()["results"]
    assert [(item["name"], item["status"]) for item in results] == [("a.png", 200), ("b.png", 400), ("c.jpg", 422)]
    alone = served.post(photo, name="a.png").json()
    assert {key: results[0][key] for key in ("rle", "objects", "verdict", "coco")} == {
        key: alone[key] for key in ("rle", "objects", "verdict", "coco")}
    assert results[1]["error"] and results[1]["expected"]


def test_a_batch_without_images_with_too_many_or_as_a_picture_is_400(served, photo):
    assert served.client.post("/predict_batch", files={"x": (None, "text")}).status_code == 400
    assert served.client.post("/predict_batch", files=[("image", photo)] * 5).status_code == 400
    assert served.client.post("/predict_batch?format=png", files={"image": photo}).status_code == 400


def test_samples_and_scores_come_with_the_model(served):
    info = served.client.get("/info").json()
    assert info["name"] == "tiny" and info["labels"] == ["scratch", "pit"] and 0 < len(info["samples"]) <= 4
    assert set(info["scores"]["dice"]) == {"scratch", "pit"}
    for name in info["samples"]:
        assert decode_image(served.client.get(f"/samples/{name}").content).shape == (64, 96, 3)
    for name in ("nothing.png", "..%2Fcard.json", "%2e%2e/card.json"):
        assert served.client.get(f"/samples/{name}").status_code == 404


# --- numbers and logs


def value_of(text: str, name: str, **labels: str) -> float:
    for line in text.splitlines():
        if line.startswith(name) and all(f'{key}="{value}"' in line for key, value in labels.items()) and \
                line[len(name)] in " {":
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def test_metrics_count_requests_verdicts_and_nothing_a_client_makes_up(served, photo):
    before = served.client.get("/metrics").text
    verdict = served.post(photo).json()["verdict"]
    served.post(b"garbage")
    for number in range(5):
        served.client.get(f"/made/up/{number}")
    after = served.client.get("/metrics").text

    def grown(name: str, **labels: str) -> float:
        return value_of(after, name, **labels) - value_of(before, name, **labels)

    assert grown("segment_requests_total", route="/predict", status="200") == 1
    assert grown("segment_requests_total", route="/predict", status="400") == 1
    assert grown("segment_images_total", verdict="defect" if verdict["defect"] else "clean") == 1
    assert grown("segment_confidence_count") == grown("segment_input_brightness_count") == 1
    assert grown("segment_request_seconds_count", route="/predict") == 2
    assert value_of(after, "segment_ready") == 1 and value_of(after, "segment_model", version="v_1") == 1
    assert "made" not in after and grown("segment_requests_total", route="other", status="404") in (0, 5)


def test_every_request_has_an_id_and_one_log_line_without_its_image_or_name(served, photo):
    answer = served.client.post("/predict", files={"image": ("secret name.png", photo)},
                                headers={"X-Request-ID": "order-17"})
    assert answer.headers["x-request-id"] == "order-17"
    made = served.post(photo).headers["x-request-id"]
    odd = served.client.post("/predict", files={"image": photo}, headers={"X-Request-ID": "a b\tc" * 30})
    assert len(made) == 16 and odd.headers["x-request-id"] != "a b\tc" * 30
    text = served.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "order-17"]
    assert line["route"] == "/predict" and line["status"] == 200 and line["milliseconds"] > 0
    assert (line["height"], line["width"], line["bytes"]) == (64, 96, len(photo)) and "secret" not in text


def test_drift_is_told_against_the_training_photographs(served, labelled):
    before = served.client.get("/drift.json").json()
    for _ in range(3):
        for path in sorted(labelled.glob("*.png"))[:12]:
            served.post(path.read_bytes())
    same = served.client.get("/drift.json").json()
    assert same["images"] == min(500, before["images"] + 36) and len(same["measures"]) == 5
    assert sum(same["measures"][0]["seen"]) == same["images"]


# --- who may ask


def test_a_token_is_wanted_where_one_is_set(bento, photo):
    with running(bento, API_TOKEN="s3cret-토큰") as served:
        wanted = {"Authorization": "Bearer s3cret-토큰".encode()}
        basic = {"Authorization": "Basic " + base64.b64encode("anyone:s3cret-토큰".encode()).decode()}
        for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 401),
                                ({"Authorization": "Basic @"}, 401), (wanted, 200), (basic, 200)):
            answer = served.client.post("/predict", files={"image": photo}, headers=headers)
            assert answer.status_code == status, headers
        for path, status in (("/", 200), ("/page/app.js", 200), ("/livez", 200), ("/readyz", 200), ("/info", 401),
                             ("/metrics", 401), ("/drift.json", 401), ("/samples/sample_1.png", 401)):
            assert served.client.get(path).status_code == status, path
        assert "s3cret" not in served.log.read_text()


# --- Label Studio and the annotator


INTERFACE = """<View><Image name="image" value="$image"/><PolygonLabels name="polygon" toName="image">
<Label value="scratch"/><Label value="pit"/></PolygonLabels></View>"""


def test_label_studio_is_answered_in_its_own_words(served, labelled):
    assert served.client.get("/label-studio/health").json()["status"] == "UP"
    assert served.client.post("/label-studio/setup", json={"project": "1", "schema": INTERFACE}).json() == {
        "model_version": "tiny v_1"}
    pictures = [(labelled / name).read_bytes() for name in ("01.png", "02.png")]
    tasks = [{"id": number, "data": {"image": "data:image/png;base64," + base64.b64encode(data).decode()}}
             for number, data in enumerate(pictures)]
    body = served.client.post("/label-studio/predict", json={"tasks": tasks, "label_config": INTERFACE}).json()
    assert body["model_version"] == "tiny v_1" and len(body["results"]) == 2
    for result, data in zip(body["results"], pictures, strict=True):
        alone = served.post(data).json()
        outlines = [polygon for item in alone["coco"]["annotations"] for polygon in item["segmentation"]]
        assert len(result["result"]) == len(outlines) > 0
        first = np.array(result["result"][0]["value"]["points"]) * (96, 64) / 100
        np.testing.assert_allclose(first.ravel(), outlines[0], atol=0.01)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b'{"tasks": [{"data": {"image": 3}}], "label_config": "x"}',
                                  b'{"tasks": {}, "label_config": "<View/>"}', b"[" * 100_000])
def test_what_label_studio_would_not_send_is_400(served, body):
    assert served.client.post("/label-studio/predict", content=body).status_code == 400


def test_the_annotators_button_gets_polygons_it_can_draw(served, photo):
    # What its browser sends: canvas.toBlob() as the file "blob" in the field "image", from another origin.
    origin = f"http://127.0.0.1:{8890}"
    answer = served.client.post("/predict", files={"image": ("blob", photo, "image/png")}, headers={"Origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    coco = answer.json()["coco"]
    names = {category["id"]: category["name"] for category in coco["categories"]}
    for annotation in coco["annotations"]:
        assert names[annotation["category_id"]] in ("scratch", "pit")
        assert all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in annotation["segmentation"])
    assert coco["annotations"]


# --- too much, too slow, too late


def test_overload_is_answered_at_once_with_when_to_come_back(bento, photo):
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3)).astype(np.uint8)
    large = encoded(Image.fromarray(noise), "JPEG")
    with running(bento, SS_POC_CONCURRENCY="2") as served, Load(served.port, large, 6) as load:
        time.sleep(2.5)
        assert served.client.get("/livez").status_code == served.client.get("/readyz").status_code == 200
        load.stop.set()
    assert set(load.statuses) == {200, 503} and not load.broken
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    refused = [line["milliseconds"] for line in lines if line.get("status") == 503]
    assert refused and np.quantile(refused, 0.9) < 100
    with running(bento, SS_POC_CONCURRENCY="1") as served, Load(served.port, large, 3):
        answers = [served.post(large) for _ in range(10)]
        assert any(answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1 for answer in answers)


def test_an_answer_that_takes_too_long_is_504_and_the_service_goes_on(bento, photo):
    large = encoded(Image.new("L", (9000, 9000), 128), "PNG")
    with running(bento, SS_POC_TIMEOUT="1") as served:
        started = time.monotonic()
        assert served.post(large).status_code == 504 and time.monotonic() - started < 5
        for _ in range(100):
            if served.post(photo).status_code == 200:
                return
            time.sleep(0.2)
        raise AssertionError("it never recovered")


def test_clients_that_trickle_do_not_starve_others_and_are_dropped(bento, photo):
    with running(bento, SS_POC_UPLOAD_TIMEOUT="2", SS_POC_CONCURRENCY="4") as served:
        slow = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(300)]
        for number, connection in enumerate(slow):
            head = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
            if number % 2:
                head += b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 90000\r\n\r\n--b\r\n"
            connection.sendall(head)
        times = []
        for _ in range(10):
            started = time.monotonic()
            assert served.post(photo).status_code == 200
            times.append(time.monotonic() - started)
        assert np.median(times) < 1
        time.sleep(2.5)
        slow[1].settimeout(5)
        assert b" 408 " in slow[1].recv(2000)
        for connection in slow:
            connection.close()
        assert served.post(photo).status_code == 200


@pytest.mark.parametrize("way", ["worker", "bentoml"])
def test_sigterm_answers_all_that_was_accepted_and_says_that_it_drains(bento, photo, way):
    with running(bento, way, SS_POC_DRAIN="1.5") as served:
        with Load(served.port, photo, 8) as load:
            time.sleep(1)
            served.process.send_signal(signal.SIGTERM)
            until = time.monotonic() + 1.4
            while time.monotonic() < until:
                ready = httpx.get(f"http://127.0.0.1:{served.port}/readyz", timeout=2)
                if ready.status_code == 503:
                    break
            alive = httpx.get(f"http://127.0.0.1:{served.port}/livez", timeout=2)
            assert ready.status_code == 503 and alive.status_code == 200
            # Or a client that keeps its connection would ask just as the process leaves.
            assert ready.headers["connection"] == alive.headers["connection"] == "close"
            load.stop.set()
        assert served.process.wait(20) in (0, -signal.SIGTERM, 143)
        assert set(load.statuses) == {200} and len(load.statuses) > 20 and load.broken == []


def test_the_least_certain_photographs_are_collected(served, labelled):
    for path in sorted(labelled.glob("*.png")):
        served.post(path.read_bytes())
    folder = served.log.parent / "collected"
    for _ in range(100):
        if len(list(folder.glob("2*.png"))) == 3:
            break
        time.sleep(0.05)
    assert len(list(folder.glob("2*.png"))) == 3
    (path,) = folder.glob("proposals-*.json")
    assert json.loads(path.read_text())["categories"][0]["name"] == "scratch"


def test_a_full_disk_stops_no_prediction(bento, photo, tmp_path):
    # A file where the collector wants a folder, and no room for temporary files: uploads stay in memory.
    (tmp_path / "full").write_text("")
    with running(bento, COLLECT="5", SS_POC_COLLECT_PATH=str(tmp_path / "full"), TMPDIR="/nowhere") as served:
        large = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1400, 3)).astype(np.uint8)))
        assert len(large) > 2_000_000
        assert served.post(large).status_code == served.post(photo).status_code == 200
        assert "could not be collected" in served.log.read_text()


def test_memory_stays_flat_over_many_requests(served, photo):
    for _ in range(150):
        served.post(photo)
    before = resident_mb(served.process.pid)
    for _ in range(600):
        served.post(photo)
    assert resident_mb(served.process.pid) - before < 12
    assert len(os.listdir(f"/proc/{served.process.pid}/fd")) < 80


def test_a_damaged_model_never_becomes_ready(bento, tmp_path):
    import shutil
    import subprocess
    import sys

    folder = tmp_path / "models"
    shutil.copytree(bento / "models", folder)
    card = json.loads((folder / "card.json").read_text())
    height, width = card["samples"][0]["rle"][0]["size"]
    everything = {"size": [height, width], "counts": "0" + rle_number(height * width)}
    card["samples"][0]["rle"] = [everything, everything]
    (folder / "card.json").write_text(json.dumps(card))
    done = subprocess.run([sys.executable, "-m", "ss_poc.keras_segment", "--check"], cwd=bento / "src", text=True,
                          env={**os.environ, "SS_POC_MODEL": str(folder)}, capture_output=True, timeout=60)
    assert done.returncode == 1 and "does not find in sample_1" in done.stderr and "Traceback" not in done.stderr


def rle_number(value: int) -> str:
    """A number as COCO's RLE string writes it."""
    text = ""
    while True:
        piece, value = value & 31, value >> 5
        more = value != 0 or piece & 16
        text += chr((piece | 32 if more else piece) + 48)
        if not more:
            return text


