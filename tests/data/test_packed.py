"""ss_poc.data.packed: masks as bits."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_samples import boxes, coded, labelled

from ss_poc.data.packed import bit, bytes_a_pixel, pack, unpack


@pytest.mark.parametrize(("classes", "size"), [(1, 1), (8, 1), (9, 2), (11, 2), (16, 2), (17, 3)])
def test_a_mask_comes_back_as_it_was_packed(classes, size):
    mask = np.random.default_rng(classes).random((5, 7, classes)) < 0.4
    bits = pack(mask)
    assert bits.shape == (5, 7, size) and bits.dtype == np.uint8 and bytes_a_pixel(classes) == size
    np.testing.assert_array_equal(unpack(bits, classes), mask)


def test_each_class_has_a_bit_of_its_own():
    for channel in range(11):
        byte, alone = bit(channel)
        np.testing.assert_array_equal(pack(np.arange(11) == channel)[byte], alone)


def test_a_sample_draws_the_same_mask_whole_and_packed(tmp_path):
    mask = np.random.default_rng(1).random((40, 60, 11)) < 0.3
    (sample,) = labelled(tmp_path, [coded((40, 60), 0)], [mask | boxes((40, 60), 11, (10, 0, 0, 9, 9))])
    np.testing.assert_array_equal(sample.bits(11), pack(sample.mask(11)))
    with pytest.raises(IndexError, match="class 10, of 10 in all"):
        sample.bits(10)
