"""The probability of a defect in the answers: where the model has one, and described."""

from __future__ import annotations

from pathlib import Path

import bright_model
import pytest
from asking import ask, judging_state

from ss_poc.core.files import write_json
from ss_poc.core.images import encode_image
from ss_poc.serving.state import ServiceState

PHOTO = encode_image(bright_model.photograph(2), ".png")


def state_of(folder: Path, **operating: object) -> ServiceState:
    """A service whose model has that in its operating point."""
    paths = bright_model.make_run(folder / "result")
    write_json(paths.operating_point, {"thresholds": {"bright": 0, "dark": 0}, **operating})
    (folder / "press-4.yaml").write_text("classes: {bright: {}}")
    return judging_state(folder, paths.export)


def verdicts(state: ServiceState, query: str = "") -> list[dict]:
    """Those of `/predict` and of `/predict_batch`, to one photograph."""
    one = ask(state, "POST", f"/predict{query}", content=PHOTO, headers={"content-type": "image/png"}).json()
    several = ask(state, "POST", f"/predict_batch{query}", files=[("image", ("a.png", PHOTO, "image/png"))] * 2).json()
    return [one["verdict"], *(result["verdict"] for result in several["results"])]


def test_the_answer_has_the_probability_of_a_defect(tmp_path):
    state = state_of(tmp_path, probability={"factor": 0.1, "offset": 0})
    # The highest probability is 1, a million to one: to the power of a tenth 3.981 : 1.
    assert verdicts(state) == [{"defect": True, "labels": ["bright", "dark"], "probability": 0.7992}] * 3
    assert verdicts(state, "?threshold=1")[0]["probability"] == 0.7992


def test_a_model_of_an_earlier_version_answers_as_before(tmp_path):
    assert verdicts(state_of(tmp_path)) == [{"defect": True, "labels": ["bright", "dark"]}] * 3


@pytest.mark.parametrize("operating", [{}, {"probability": {"factor": 1, "offset": 0}}])
def test_openapi_describes_the_verdict(tmp_path, operating):
    state = state_of(tmp_path, **operating)
    described = ask(state, "GET", "/openapi.json").json()["paths"]["/predict"]["post"]["responses"]["200"]
    verdict = described["content"]["application/json"]["schema"]["anyOf"][0]["properties"]["verdict"]
    assert set(verdicts(state)[0]) <= set(verdict["properties"]) and "required" not in verdict
    probability = verdict["properties"]["probability"]
    assert (probability["minimum"], probability["maximum"]) == (0, 1)
