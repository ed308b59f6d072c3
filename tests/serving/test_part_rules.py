"""`/predict?rules=NAME`: part rules of the service's folder, and nothing else."""

from __future__ import annotations

from pathlib import Path

import bright_model
import pytest
from asking import ask, judging_state, state_in

from ss_poc.core.errors import ConfigError
from ss_poc.core.images import encode_image

PHOTO = encode_image(bright_model.photograph(2), ".png")


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> Path:
    return bright_model.make_run(tmp_path_factory.mktemp("run")).export


@pytest.fixture
def state(tmp_path, export):
    (tmp_path / "press-4.yaml").write_text("classes: {bright: {}, dark: {count: {reject: 1}}}")
    (tmp_path / "press-5.yaml").write_text("classes: {bright: {}, dark: {count: {reject: 2}}}")
    return judging_state(tmp_path, export)


def post(state, query: str):
    return ask(state, "POST", f"/predict{query}", content=PHOTO, headers={"content-type": "image/png"})


def test_a_request_names_the_rules_that_judge(state):
    plain = post(state, "").json()
    judged = {name: post(state, f"?rules={name}").json() for name in ("press-4", "press-5")}
    assert judged["press-4"]["rules"]["verdict"] == "reject" and judged["press-5"]["rules"]["verdict"] == "accept"
    assert judged["press-4"]["rules"]["reasons"] == ["dark: count 2 is above 1 (reject)"]
    for answer in judged.values():  # nothing else changes
        assert {name: value for name, value in answer.items() if name not in ("rules", "milliseconds")} == {
            name: value for name, value in plain.items() if name != "milliseconds"}
    assert ask(state, "GET", "/info").json()["rules"] == ["press-4", "press-5"]


def test_each_photograph_of_a_batch_is_judged(state):
    files = [("image", ("a.png", PHOTO)), ("image", ("b.png", encode_image(bright_model.photograph(1), ".png"))),
             ("image", ("c.png", b"none"))]
    results = ask(state, "POST", "/predict_batch?rules=press-4", files=files).json()["results"]
    assert [result.get("rules", {}).get("verdict") for result in results] == ["reject", "accept", None]


@pytest.mark.parametrize("name", ["press-6", "", "../press-4", "/etc/passwd", "press-4.yaml"])
def test_rules_that_the_service_does_not_have_are_refused_with_those_it_has(state, name):
    answer = post(state, f"?rules={name}")
    assert answer.status_code == 400 and answer.json()["expected"] == "one of press-4, press-5"


@pytest.mark.parametrize("kind", ["png", "heat", "mask", "coco"])
def test_rules_need_an_answer_that_can_hold_measurements(state, kind):
    answer = post(state, f"?rules=press-4&format={kind}")
    assert answer.status_code == 400 and "format=json" in answer.json()["expected"]


def test_a_service_without_rules_says_so(tmp_path):
    answer = ask(state_in(tmp_path), "POST", "/predict?rules=a", content=PHOTO, headers={"content-type": "image/png"})
    assert answer.status_code == 400 and answer.json()["expected"] == "one of none"
    assert "SS_POC_RULES" in answer.json()["to_do"]


@pytest.mark.parametrize(("files", "expected"), [
    ({}, "there are no part rules in"), ({"a.yaml": "mm_per_pixel: 0"}, "a.yaml has an error"),
    ({"a b.yaml": ""}, "part rules are named 'a b'"), ({"a.yaml": "classes: {dent: {}}"}, "has limits for dent")])
def test_a_service_does_not_start_with_rules_that_cannot_be(tmp_path, export, files, expected):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=expected):
        judging_state(tmp_path, export)


def test_a_service_does_not_start_with_a_relative_folder(export):
    with pytest.raises(ConfigError, match="SS_POC_RULES is 'rules'"):
        judging_state(Path("rules"), export)


def test_openapi_describes_the_query_and_the_answer(state):
    described = ask(state, "GET", "/openapi.json").json()["paths"]
    for path in ("/predict", "/predict_batch"):
        assert "rules" in [item["name"] for item in described[path]["post"]["parameters"]]
    schema = described["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"][0]
    judged, answer = schema["properties"]["rules"], post(state, "?rules=press-4").json()["rules"]
    assert set(judged["required"]) == set(judged["properties"]) == set(answer)
    measured = judged["properties"]["measurements"]["items"]["properties"]
    assert set(measured) == set(answer["measurements"][0])
    assert set(measured["each"]["items"]["properties"]) == set(answer["measurements"][0]["each"][0])
