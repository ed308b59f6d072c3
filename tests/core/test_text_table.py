"""ss_poc.core.text_table: columns under each other, whatever the script."""

import math

import pytest

from ss_poc.core.text_table import counted, figure, text_table


def test_the_first_column_begins_and_the_others_end_at_their_edge():
    assert text_table([["class", "n"], ["pit", "12"]]) == "class   n\npit    12"


def test_named_columns_begin_at_their_edge_and_no_line_ends_in_spaces():
    assert text_table([["a", "xyz", "why"], ["bc", "x", ""]], left=(0, 1, 2)) == "a   xyz  why\nbc  x"


def test_wide_characters_take_two_columns():
    assert text_table([["크랙", "1"], ["abcd", "2"]]) == "크랙  1\nabcd  2"


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_was_not_measured_is_a_dash(value):
    assert figure(value, ".3f") == "-"


def test_a_figure_has_its_format():
    assert figure(0.12345, ".3f") == "0.123"


@pytest.mark.parametrize(("number", "noun", "text"), [
    (0, "image", "0 images"), (1, "image", "1 image"), (2, "image", "2 images"), (1, "class", "1 class"),
    (5, "class", "5 classes"), (1, "validation image", "1 validation image"), (2, "batch", "2 batches")])
def test_a_noun_goes_with_its_number(number, noun, text):
    assert counted(number, noun) == text
