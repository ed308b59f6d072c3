"""Requests as cameras and Label Studio send them: bodies that are the image, odd headers, many tasks."""

from __future__ import annotations

import base64
import dataclasses

import numpy as np
import pytest
from asking import SPEC, ask, predict, state_in
from PIL import Image
from served import encoded

from ss_poc.core.errors import RequestError
from ss_poc.inference.predictor import Prediction
from ss_poc.serving.answers import label_map

VIEW = ('<View><Image name="i" value="$image"/><PolygonLabels name="l" toName="i"><Label value="scratch"/>'
        "</PolygonLabels></View>")
PHOTO = encoded(Image.new("RGB", (10, 6), (200, 0, 0)))


@pytest.fixture
def state(tmp_path):
    return state_in(tmp_path)


def form(header: str | bytes, disposition: str = 'form-data; name="image"; filename="a.png"') -> dict[str, object]:
    body = f"--x\r\nContent-Disposition: {disposition}\r\n\r\n".encode("latin-1") + PHOTO + b"\r\n--x--\r\n"
    return {"content": body, "headers": {"content-type": header}}


def tasks(*addresses: str) -> dict[str, object]:
    return {"json": {"tasks": [{"data": {"image": address}} for address in addresses], "label_config": VIEW}}


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png; x=1", "IMAGE/PNG", "application/octet-stream"])
def test_a_body_that_is_the_image_is_answered_as_a_form_is(state, kind):
    of_form = ask(state, "POST", "/predict?format=mask", files={"image": ("a.png", PHOTO)})
    of_body = ask(state, "POST", "/predict?format=mask", content=PHOTO, headers={"content-type": kind})
    assert of_body.status_code == 200 and of_body.content == of_form.content
    assert ask(state, "POST", "/predict?threshold=2", content=PHOTO, headers={"content-type": kind}).status_code == 400


def test_a_body_that_says_it_is_an_image_and_is_none_is_refused_and_so_is_text(state):
    for kind, body, status in (("image/jpeg", b"hello", 400), ("application/octet-stream", b"", 400),
                               ("image/png", PHOTO[:45], 422), ("text/plain", PHOTO, 415)):
        answer = ask(state, "POST", "/predict", content=body, headers={"content-type": kind})
        assert (answer.status_code, "error" in answer.json()) == (status, True), kind


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", "idna", "punycode", "rot13", "hex", "no-such", "utf-16",
                                     "undefined", '"', "\xff"])
def test_a_form_of_an_odd_charset_is_a_400_in_our_form(state, charset):
    header = f"multipart/form-data; boundary=x; charset={charset}".encode("latin-1")
    answer = ask(state, "POST", "/predict", **form(header))
    assert answer.status_code in (200, 400) and (answer.status_code == 200 or answer.json()["error"])
    if charset.isalpha():
        assert answer.status_code == 400


@pytest.mark.parametrize("header", ["multipart/form-data", "multipart/form-data; boundary=",
                                    "multipart/form-data; boundary=y",
                                    'multipart/form-data; boundary="x', "multipart/form-data; boundary*=x",
                                    "multipart/form-data; boundary*=utf-7''x", "multipart/form-data; boundary*0=x"])
def test_a_form_of_an_odd_boundary_never_fails(state, header):
    assert ask(state, "POST", "/predict", **form(header)).status_code in (200, 400)


@pytest.mark.parametrize("disposition", [
    "form-data", "", "form-data; name", 'form-data; name="image"; filename*=utf-7\'\'+2AA-',
    'form-data; name="image"; filename*=x', 'form-data; name="image"; filename*=idna\'\'%ff', "\xff; name=image",
    'form-data; name="image"; filename*=unicode_escape\'\'%5cud800', 'form-data; name="image"; filename="\xff"',
    'form-data; name="image"; filename*0="a"', "form-data; name*=idna''%ff; filename=a"])
def test_an_odd_content_disposition_never_fails(state, disposition):
    for charset in ("", "; charset=ascii", "; charset=latin-1"):
        answer = ask(state, "POST", "/predict", **form(f"multipart/form-data; boundary=x{charset}", disposition))
        assert answer.status_code in (200, 400), (charset, answer.text)


@pytest.mark.parametrize("address", ["http://[x", "/data/local-files/?d=%00", "/data/local-files/?d=" + "a" * 5000,
                                     "http://a\x00b", "data:,\xff", "data:", "http://x:99999999/", "/\x00"])
def test_an_address_of_a_task_that_cannot_be_is_a_4xx(state, address, tmp_path):
    for settings in ({}, {"label_studio_url": "http://127.0.0.1:9"}, {"label_studio_files": str(tmp_path)}):
        for name, value in settings.items():
            object.__setattr__(state.config, name, value)
        options = tasks(address)
        answer = ask(state, "POST", "/label-studio/predict", **options)
        assert 400 <= answer.status_code < 500 and answer.json()["error"], (settings, answer.text)


def test_label_studio_may_ask_for_as_many_tasks_as_a_batch_has_images(state):
    address = "data:image/png;base64," + base64.b64encode(PHOTO).decode()
    assert len(ask(state, "POST", "/label-studio/predict", **tasks(*[address] * 32)).json()["results"]) == 32
    answer = ask(state, "POST", "/label-studio/predict", **tasks(*[address] * 33))
    assert answer.status_code == 413 and "33 tasks" in answer.json()["error"] and "32" in answer.json()["expected"]


def test_what_label_studio_sent_counts_as_held_until_its_tasks_are_done_and_large_images_take_turns(state, monkeypatch):
    held, alone = [], []
    state.served.room = dataclasses.replace(state.served.room, large=59)
    monkeypatch.setattr(state.served.predictor, "predict", lambda image, threshold=None: (
        held.append(state.gate.held), alone.append(state.large.locked()), predict(image))[2])
    address = "data:image/png;base64," + base64.b64encode(PHOTO).decode()
    assert ask(state, "POST", "/label-studio/predict", **tasks(address, address)).status_code == 200
    assert min(held) > 2 * len(address) and alone == [True, True] and state.gate.held == 0


def test_a_grey_png_numbers_255_classes_and_refuses_more():
    def found(classes: int) -> Prediction:
        names = tuple(map(str, range(classes)))
        mask = np.zeros((2, 3, classes), bool)
        mask[1, 2, -1] = True
        return Prediction(mask, mask.astype(np.float32), names, names, (0.0,) * classes)

    assert label_map(found(255))[1, 2] == 255
    with pytest.raises(RequestError, match="256 classes") as error:
        label_map(found(256))
    assert error.value.status == 400


def test_a_narrow_image_whose_windows_would_be_too_many_is_a_413_in_every_way_of_asking(state):
    state.served.room = dataclasses.replace(state.served.room, pixels=3200)
    state.served.predictor.spec = dataclasses.replace(SPEC, scale=1.0)
    # A window has 32x32: 101 columns of one row are 3232 pixels to the network.
    long = encoded(Image.new("RGB", (101, 1)))
    answer = ask(state, "POST", "/predict", files={"image": ("a.png", long)})
    assert answer.status_code == 413 and "too narrow" in answer.json()["error"]
    both = ask(state, "POST", "/predict_batch", files=[("image", ("a.png", long)), ("image", ("b.png", PHOTO))])
    assert [item["status"] for item in both.json()["results"]] == [413, 200]
    address = "data:image/png;base64," + base64.b64encode(long).decode()
    assert ask(state, "POST", "/label-studio/predict", **tasks(address)).status_code == 413


def test_images_read_for_label_studio_count_as_held_and_have_the_limit_of_a_body(state, tmp_path):
    (tmp_path / "a.png").write_bytes(PHOTO + bytes(2000))
    state.config = dataclasses.replace(state.config, label_studio_files=str(tmp_path), max_bytes=2000)
    answer = ask(state, "POST", "/label-studio/predict", **tasks("/data/local-files/?d=a.png"))
    assert answer.status_code == 413 and "at most 2000 bytes" in answer.json()["expected"]
    state.config = dataclasses.replace(state.config, max_bytes=4000)
    state.gate.most_bytes = 2000
    answer = ask(state, "POST", "/label-studio/predict", **tasks("/data/local-files/?d=a.png"))
    assert answer.status_code == 503 and answer.headers["retry-after"] and state.gate.held == 0
    state.gate.most_bytes = 4000
    answer = ask(state, "POST", "/label-studio/predict", **tasks("/data/local-files/?d=a.png"))
    assert answer.status_code == 200 and state.gate.held == 0


def test_every_kind_of_body_that_the_description_lists_is_taken_and_no_other(state):
    operation = ask(state, "GET", "/openapi.json").json()["paths"]["/predict"]["post"]
    listed = operation["requestBody"]["content"]
    assert set(listed) == {"multipart/form-data", "image/*", "application/octet-stream"}
    assert listed["image/*"]["schema"] == {"type": "string", "format": "binary"}
    answers = {kind: ask(state, "POST", "/predict", content=PHOTO, headers={"content-type": kind.replace("*", "jpeg")})
               for kind in (*listed, "text/plain", "application/json", "video/mp4") if kind != "multipart/form-data"}
    assert {kind: answer.status_code for kind, answer in answers.items()} == {
        "image/*": 200, "application/octet-stream": 200, "text/plain": 415, "application/json": 415, "video/mp4": 415}
    assert {str(answer.status_code) for answer in answers.values()} <= set(operation["responses"])
    required = operation["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"][0]["required"]
    assert set(required) <= set(answers["image/*"].json())
