"""ss_poc.data.likeness: near-copies by thumbnails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from repeated_workpieces import photograph, set_of

from ss_poc.core.images import Glance
from ss_poc.data.likeness import confirmed, kept, near_copies


def test_a_near_copy_is_the_same_workpiece_in_other_light(tmp_path):
    dataset = set_of(tmp_path, {f"{number:02}.png": number // 2 for number in range(24)})
    copies = near_copies(dataset.samples)
    assert len(copies) == 24
    assert all(int(name[:2]) // 2 == int(copy[:2]) // 2 and name != copy for name, copy in copies.items())


def test_photographs_of_different_workpieces_have_none(tmp_path):
    assert near_copies(set_of(tmp_path, {f"{number:02}.png": number for number in range(24)}).samples) == {}


def test_byte_identical_files_are_no_near_copies(tmp_path):
    samples = set_of(tmp_path, {f"{number:02}.png": number for number in range(24)}).samples
    copied = [replace(samples[number // 2], name=f"copy{number}.png") for number in range(48)]
    assert near_copies(copied) == {}


def test_light_that_changes_on_one_fixture_makes_no_near_copies(tmp_path):
    """Every photograph shows a workpiece like the others; all that differs is the light, from the left and from above,
    and noise."""
    samples = set_of(tmp_path, {f"{number:02}.png": number for number in range(60)}).samples
    random, slope = np.random.default_rng(0), np.tile(np.linspace(-1, 1, 32), (32, 1))
    looks = [photograph(0, 0)[:32, :32, 0] * 0.5 + 60 + slope * random.normal(0, 15) + slope.T * random.normal(0, 5)
             + random.normal(0, 1, (32, 32)) for _ in samples]
    lit = [replace(sample, glance=Glance(np.clip(look, 0, 255).astype(np.uint8), None))
           for sample, look in zip(samples, looks, strict=True)]
    assert near_copies(lit) == {}


def test_a_few_photographs_tell_nothing(tmp_path):
    assert near_copies(set_of(tmp_path, {f"{number}.png": number // 2 for number in range(6)}).samples) == {}


def test_samples_that_nobody_looked_at_are_left_out(tmp_path):
    samples = set_of(tmp_path, {f"{number:02}.png": number // 2 for number in range(24)}).samples
    assert near_copies([replace(sample, glance=None) for sample in samples]) == {}


def test_blank_photographs_are_no_near_copies(tmp_path):
    samples = set_of(tmp_path, {f"{number:02}.png": number for number in range(12)}).samples
    blank = Glance(np.full((32, 32), 200, np.uint8), None)
    assert near_copies([replace(sample, glance=blank) for sample in samples]) == {}


def test_kept_counts_near_copies_of_the_same_workpiece():
    workpieces = {"a": "1", "b": "1", "c": "2", "d": "", "e": ""}
    assert kept(workpieces, {"a": "b", "b": "a", "c": "a", "d": "e"}) == 0.5  # two that are not known are not the same
    assert kept(workpieces, {}) == 0


@pytest.mark.parametrize(("copies", "right"), [({"a": "b", "b": "a", "c": "d", "d": "c"}, True),
                                               ({"a": "c", "b": "d", "c": "a", "d": "b"}, False), ({}, False)])
def test_workpieces_are_confirmed_where_near_copies_show_the_same(copies, right):
    workpieces = {"a": "1", "b": "1", "c": "2", "d": "2", "e": "3", "f": "3"}  # by chance: 3 of 15 pairs
    assert confirmed(workpieces, copies) == right
