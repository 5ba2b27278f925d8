"""Find the effects of a study's families, about which they are integrated out.

If effects are expanded to first order about zero, a family that is early by a width of the rise
looks like noise, and the curve of the average family comes out too flat and too late. So effects
are expanded about their estimates, which alternate with the curve's (first-order conditional
estimation, Lindstrom & Bates 1990, Biometrics 46:673): first about estimates common to all draws,
found here; then about each draw's own, starting from these. With common estimates alone, points
came out late by another .1 to .2 decades.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from augury.forecast.emergence.ensemble import Floats, run_ensemble
from augury.forecast.emergence.moved_curve import Families, MovedCurve, MovedStudy

# Iterations, and steps of the walkers in each.
TURNS, STEPS = 3, 160


class FoundFamilies(NamedTuple):
    """Effects of a study's families, and (W, P) walkers from the draws behind them."""

    centre: Families
    walkers: Floats


def find_families(study: MovedStudy, seed: int) -> FoundFamilies | None:
    """Find the effects of a study's families; None if there is only one."""
    if study.families < 2:
        return None
    rng = np.random.default_rng([seed, 1])
    none = np.zeros(study.families)
    centre, z = Families(none, none), None
    for _ in range(TURNS):
        curve = MovedCurve(study, centre, turns=0)
        start = curve.starts(rng) if z is None else z
        drawn = run_ensemble(curve.log_density, start, rng, steps=STEPS)
        z = drawn.z[rng.integers(len(drawn.z), size=len(start))]
        found = curve.family_effects(z)
        # The mean belongs to the curve: if kept, curve and families drift together.
        centre = Families(found.ahead - found.ahead.mean(), found.recipe - found.recipe.mean())
    assert z is not None
    return FoundFamilies(centre, z)
