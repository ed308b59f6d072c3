"""ss_poc.optimising.probe_weight: which weight a probe gets."""

from __future__ import annotations

import pytest

from ss_poc.optimising.probe_weight import WEIGHTS, heaviest


@pytest.mark.parametrize(("means", "weight"), [
    ([0.80, 0.81, 0.82, 0.816], 1.0),  # within half a hundredth of the best: what is least learned by heart
    ([0.80, 0.81, 0.82, 0.814], 0.5),
    ([0.80, 0.70, 0.60, 0.50], 0.0),  # the probe only harms
    ([0.00, 0.00, 0.00, 0.00], 1.0),
])
def test_the_heaviest_of_about_equal_weights_is_taken(means, weight):
    assert WEIGHTS == (0.0, 0.25, 0.5, 1.0) and heaviest(means) == weight
