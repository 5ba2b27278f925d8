"""The sequential test of coverage errs as seldom as the fixed one, and draws less."""

from __future__ import annotations

import numpy as np
import pytest

from tests.sequential import Bound, coverage


@pytest.mark.parametrize(("of", "least", "most"), [(150, 0.84, 1.0), (200, 0.85, 0.95)])
def test_it_errs_as_seldom_as_the_fixed_test_and_draws_less(
    of: int, least: float, most: float
) -> None:
    rng = np.random.default_rng(0)
    bounds = [Bound(round(least * of), of, 0.9, lower=True)]
    if most < 1:
        bounds.append(Bound(round(most * of), of, 0.9, lower=False))
    size = sum(bound.size for bound in bounds)
    drawn = []
    for p, passes in [(0.9, 1 - size), *((bound.other, 0.05) for bound in bounds)]:
        ends = [
            coverage(((hit,) for hit in rng.random(of) < p), of=of, least=least, most=most)
            for _ in range(500)
        ]
        rate = np.mean([end.passed for end in ends])
        assert abs(rate - passes) < 0.03 + 2 * np.sqrt(passes * (1 - passes) / 500)
        drawn.append(np.mean([end.drawn for end in ends]))
    assert max(drawn) < 0.7 * of


def test_every_interval_has_to_hold() -> None:
    good = np.random.default_rng(1).random((150, 2)) < (0.92, 0.65)
    end = coverage(map(tuple, good), of=150, least=0.84)
    assert not end.passed
    assert end.shares[1] < 0.8 < end.shares[0]
    with pytest.raises(ValueError, match="fewer than 150 draws"):
        coverage([(True,)], of=150, least=0.84)
