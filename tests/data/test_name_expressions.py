"""ss_poc.data.name_expressions: regular expressions made of names."""

from __future__ import annotations

import re

import pytest

from ss_poc.data.name_expressions import expressions, shortened
from ss_poc.data.split import workpiece_of

NAMES = {
    "views": ["plate12_cam1.png", "plate12_cam2.png", "plate3_cam1.png"],
    "folders": ["P12/top.jpg", "P12/side.jpg", "P3/top.jpg"],
    "dashes": ["2026-11-02 P1234.jpg", "2026-11-09 P1234.jpg", "2026-11-09 P77.jpg"],
    "positions": ["01_200902053521_585000_090_crop_2.jpg", "01_200902093536_585000_090_crop_2.jpg",
                  "01_200905041126_277500_315_crop_2.jpg"],
    "korean": ["\ubd80\ud48812_\uc717\uba74.png", "\ubd80\ud48812_\uc606\uba74.png", "\ubd80\ud4883_\uc717\uba74.png"],
    "marks": ["a[1]^(x).png", "a[1]^(y).png", "a[2]^(x).png"],
}


@pytest.mark.parametrize("kind", NAMES)
def test_one_of_the_expressions_joins_the_two_photographs_of_a_workpiece(kind):
    names = NAMES[kind]
    found = [[workpiece_of(name, expression.pattern) for name in names] for expression in expressions(names)]
    assert any(first and first == second and third and third != first for first, second, third in found)


@pytest.mark.parametrize("kind", NAMES)
def test_expressions_compile_and_have_one_group_and_are_named_once(kind):
    patterns = [expression.pattern for expression in expressions(NAMES[kind])]
    assert all(re.compile(pattern).groups == 1 for pattern in patterns) and len({*patterns}) == len(patterns)


@pytest.mark.parametrize(("kind", "pattern"), [
    ("views", "^([^_]+)"), ("folders", "^([^/]+)"), ("positions", "^01_[0-9]+_([0-9]+)")])
def test_shortened_says_no_more_than_it_must(kind, pattern):
    names = NAMES[kind]
    assert pattern in {shortened(expression, names) for expression in expressions(names)}


def test_shortened_groups_as_the_expression_does():
    names = [name for kind in NAMES.values() for name in kind]
    for expression in expressions(names):
        same = [[workpiece_of(name, pattern) or name for name in names]
                for pattern in (expression.pattern, shortened(expression, names))]
        assert [same[0].index(key) for key in same[0]] == [same[1].index(key) for key in same[1]]


def test_numbers_that_are_near_are_the_same_without_their_last_digits():
    names = [f"exp{number % 3}_num_{number}.jpg" for number in (573, 592, 1810, 1833, 36258)]
    found = {expression.pattern: [workpiece_of(name, expression.pattern) for name in names]
             for expression in expressions(names) if not expression.whole}
    assert ["num_5", "num_5", "num_18", "num_18", "num_362"] in found.values()
    assert ["num_", "num_", "num_1", "num_1", "num_36"] in found.values()


def test_padded_numbers_lose_their_last_digits_too():
    names = [f"IMG_{number:04}.jpg" for number in (7, 8, 31, 32)]
    found = [[workpiece_of(name, expression.pattern) for name in names] for expression in expressions(names)]
    assert ["IMG_000", "IMG_000", "IMG_003", "IMG_003"] in found


def test_the_view_is_what_follows_the_first_field_that_differs():
    found = {expression.pattern: expression.view for expression in expressions(NAMES["views"])}
    assert found["^([^_]+)_"] == {"plate12_cam1.png": "cam1", "plate12_cam2.png": "cam2", "plate3_cam1.png": "cam1"}
    assert found[r"^[^_]+_([^._]+)\."] is None


@pytest.mark.parametrize("names", [[], ["one.png"], ["same.png", "same.png"], ["a b c d e f.jpg"]])
def test_names_in_which_nothing_differs_have_no_expressions(names):
    assert expressions(names) == []
