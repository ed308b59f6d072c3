"""ss_poc.serving.app: one application in this process, with a stand-in for the model."""

from __future__ import annotations

import pytest
from asking import ask, state_in
from PIL import Image
from served import encoded

from ss_poc.core import images
from ss_poc.core.config import ServeConfig
from ss_poc.serving.state import ServiceState


@pytest.fixture
def state(tmp_path):
    return state_in(tmp_path)


def test_the_header_of_an_upload_is_parsed_once_even_where_it_is_collected(state, tmp_path, monkeypatch):
    opened, really = [], images._open
    monkeypatch.setattr(images, "_open", lambda data: opened.append(len(data)) or really(data))
    data = encoded(Image.new("RGB", (10, 6)))
    answer = ask(state, "POST", "/predict", files={"image": ("photo.png", data)})
    state.model.collector.finish()
    assert answer.status_code == 200 and opened == [len(data)]
    assert [path.read_bytes() for path in (tmp_path / "kept").glob("*.png")] == [data]


def test_a_request_before_the_model_is_loaded_is_503_and_told_to_come_back():
    answer = ask(ServiceState.of(ServeConfig()), "GET", "/info")
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "1" and "not loaded" in answer.json()["error"]


def test_what_a_request_asks_for_wrongly_is_400_and_a_sample_that_is_not_there_404(state):
    data = encoded(Image.new("RGB", (10, 6)))
    for query in ("format=gif", "threshold=2", "threshold=x", "maps=3"):
        assert ask(state, "POST", f"/predict?{query}", files={"image": ("photo.png", data)}).status_code == 400, query
    assert ask(state, "POST", "/predict", files={"other": ("photo.png", data)}).status_code == 400
    assert ask(state, "POST", "/predict_batch?format=png", files={"image": ("photo.png", data)}).status_code == 400
    assert ask(state, "GET", "/samples/sample_2.png").status_code == 404


def test_the_description_of_the_api_is_shown_with_files_of_this_package(state):
    page = ask(state, "GET", "/docs").text
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        assert f"docs-files/{name}" in page and len(ask(state, "GET", f"/docs-files/{name}").content) > 100_000
    for name in ("LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"):
        assert ask(state, "GET", f"/docs-files/{name}").status_code == 200
