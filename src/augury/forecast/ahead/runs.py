"""Checkpoints of one run are not independent models.

What is particular to a run (its seed, its data, its tuning) is in every one of its checkpoints, but
differs in the next run. Points that share a run count as n / (1 + (m - 1) rho), with m points per
run and rho the correlation of their residuals (the design effect of Kish 1965).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from augury.fitting.space import Floats

Ints = NDArray[np.int64]
# The prior correlation, and how many runs it is worth: few runs hide theirs, as the line follows
# them.
USUAL, RUNS = 0.5, 2.0


def points_per_run(residual: Floats, weights: Floats, run: Ints | None) -> float:
    """Return the design effect: how many points are worth one independent point.

    Args:
        residual, weights: (n,) of the line.
        run: (n,) labels; None if every point has its own.
    """
    if run is None:
        return 1.0
    _, which = np.unique(run, return_inverse=True)
    each = np.bincount(which, weights)
    mates = float((each**2).sum() / (weights**2).sum())
    if mates <= 1.0 + 1e-9:
        return 1.0
    off = weights * residual
    own = float((np.bincount(which, off) ** 2).sum() - (off**2).sum())
    pairs = float((each**2).sum() - (weights**2).sum())
    variance = float(weights @ residual**2 / weights.sum())
    seen = float(np.clip(own / pairs / max(variance, 1e-300), 0.0, 1.0))
    correlation = (seen * len(each) + USUAL * RUNS) / (len(each) + RUNS)
    return 1.0 + (mates - 1.0) * correlation
