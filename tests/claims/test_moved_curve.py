"""The moved curve in simulation: 90 % intervals with an unknown floor, by shape of the shift."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from augury.forecast.emergence import fit_moved, moved_study
from tests.moved_studies import SHAPES, families_table, moved_table

STUDIES = 60


def coverage(shape: str, n: int, seed: int) -> float:
    """Share of the studies whose interval contains the point.

    The floor is unknown, D_h spans four decades, and noise comes from counting, runs, checkpoints
    and subsets. With "families ...", public models of eight families are on the FLOPs axis.
    """
    held = 0
    for k in range(n):
        rng = np.random.default_rng([k, seed])
        if shape.startswith("families, "):
            truth, table = families_table(rng, shape.removeprefix("families, "))
            study = moved_study(table, "flops")
        else:
            truth, table, _ = moved_table(rng, shape)
            study = moved_study(table)
        _, low, high = fit_moved(study, control=False).point(0.1)
        held += low <= truth <= high
    return held / n


@pytest.mark.claims
@pytest.mark.parametrize("shape", SHAPES)
def test_intervals_hold_in_simulation(shape: str) -> None:
    """85 to 95 %, within the limits that 60 studies exceed once in 100.

    Not claimed for families on FLOPs (`benchmarks.emergence_families`): there 40 of 46 hold, and
    the others are late.
    """
    held = STUDIES * coverage(shape, STUDIES, 77)
    assert stats.binom.ppf(0.01, STUDIES, 0.85) <= held <= stats.binom.ppf(0.99, STUDIES, 0.95)
