"""ss_poc.core.parallel: work done ahead in threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from ss_poc.core.parallel import ahead


@pytest.mark.parametrize("workers", [1, 3, 20])
def test_what_is_made_ahead_comes_in_order_and_only_a_little_ahead(workers):
    made, most = [], workers + 2

    def make(index):
        made.append(index)
        return np.array(index), np.array(-index)

    for taken, (left, right) in enumerate(ahead(make, 30, workers)):
        assert (int(left), int(right)) == (taken, -taken)
        assert len(made) <= taken + most
    assert sorted(made) == list(range(30))
    assert list(ahead(make, 0, workers)) == []


def test_threads_end_with_who_takes_from_them():
    before = threading.active_count()
    stream = ahead(lambda index: (np.array(index), np.array(index)), 1000, 3)
    next(stream)
    stream.close()
    assert threading.active_count() == before
