"""Requests as cameras and Label Studio send them: bodies that are the image, odd headers, many tasks."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from asking import ask, predict, state_in
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
    monkeypatch.setattr("ss_poc.serving.state.LARGE", 59)
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
