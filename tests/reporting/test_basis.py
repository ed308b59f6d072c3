"""ss_poc.reporting.basis: what the scores of a run stand for."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from repeated_workpieces import set_of

from ss_poc.core.config import ChosenConfig
from ss_poc.core.images import decode_image
from ss_poc.core.run import Run, Split
from ss_poc.data.workpieces import find_repeated
from ss_poc.reporting.basis import basis_of


def run_of(group: str | None = None, train=(), valid=(), **sections) -> Run:
    config = ChosenConfig(img_path="photos", group=group)
    return Run(config=config, split=Split(train, valid), **sections)


@pytest.fixture
def repeated(tmp_path):
    return set_of(tmp_path, {f"P{number // 3}_{number % 3}.png": number // 3 for number in range(24)})


def test_grouped_scores_are_those_of_workpieces_that_the_training_never_saw(repeated):
    run = run_of("^([^_]+)", ["P0_0.png", "P0_1.png"], ["P1_0.png", "P1_1.png", "P2_0.png"])
    basis = basis_of(run, repeated)
    assert basis.label == "on workpieces that the training never saw" and basis.repeated is None
    assert "2 workpieces validated that the training never saw." in basis.says


def test_photographs_whose_names_tell_no_workpiece_are_counted(repeated):
    run = run_of("^(P[0-9])", ["P0_0.png"], ["P1_0.png", "other.png"])
    assert "1 workpiece validated that the training never saw, and 1 photograph whose names tell no workpiece" in \
        basis_of(run, repeated).says


def test_a_workpiece_on_both_sides_is_not_passed_over(repeated):
    """Where a run goes on from weights whose photographs stay where they were."""
    basis = basis_of(run_of("^(P[0-9])", ["P0_0.png"], ["P0_1.png", "P1_0.png"]), repeated)
    assert basis.label == "on other photographs" and "Of 2 workpieces in validation, 1 also trained." in basis.says


def test_what_speaks_against_the_expression_is_kept(repeated):
    run = run_of("P", ["P0_0.png"], ["x.png"], workpieces={"repeated": None, "against_group": ["it is poor"]})
    assert basis_of(run, repeated).against == ["it is poor"]


@pytest.mark.parametrize("earlier", [True, False])
def test_suspected_workpieces_come_with_their_flag_and_pictures(repeated, earlier):
    """An earlier version kept nothing: then the photographs are looked at now."""
    kept = {} if earlier else {"workpieces": {"repeated": asdict(find_repeated(repeated)), "against_group": []}}
    basis = basis_of(run_of(**kept), repeated)
    assert basis.repeated.flag == "--group '^([^_]+)'" and basis.says == ""
    assert basis.label == "on other photographs, perhaps of the same workpieces"
    height, width, _ = decode_image(basis.picture).shape
    assert height > 3 * 80 and width > 3 * 80 * 1.5  # three rows of three photographs, half as wide again as high


def test_where_nothing_hints_at_workpieces_a_quiet_sentence_says_so(tmp_path):
    dataset = set_of(tmp_path, {f"{number:02}.png": number for number in range(24)})
    for run in (run_of(), run_of(workpieces={"repeated": None, "against_group": []})):
        basis = basis_of(run, dataset)
        assert (basis.label, basis.repeated, basis.picture) == ("on other photographs", None, b"")
        assert "photographs like these" in basis.says


def test_a_model_of_good_photographs_says_its_own(repeated):
    config = ChosenConfig(img_path="photos", good_only=True, group="^([^/]+)/")
    basis = basis_of(Run(config=config), repeated)
    assert (basis.label, basis.says, basis.repeated) == ("", "", None)
