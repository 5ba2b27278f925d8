"""Where the families of a study are: the point about which their effects are integrated out.

To first order about none, a family that is early by a width of the rise looks like noise, and the
curve of the families' mean comes out too flat and too late. So effects are expanded about where
they are found, in turns with the curve (first-order conditional estimation, Lindstrom & Bates 1990,
Biometrics 46:673): first about one place for all draws, here; then, from there, about each draw's
own. About one place for all, points came out late by another .1 to .2 decades.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from augury.forecast.emergence.ensemble import Floats, run_ensemble
from augury.forecast.emergence.moved_curve import Families, MovedCurve, MovedStudy

# Turns, and steps of the walkers in each.
TURNS, STEPS = 3, 160


class FoundFamilies(NamedTuple):
    """Where the families of a study are, and (W, P) walkers among the draws that say so."""

    centre: Families
    walkers: Floats


def find_families(study: MovedStudy, seed: int) -> FoundFamilies | None:
    """Find the families of a study; None where there is one."""
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
        # Their mean is the curve's: left in, curve and families drift along together.
        centre = Families(found.ahead - found.ahead.mean(), found.recipe - found.recipe.mean())
    assert z is not None
    return FoundFamilies(centre, z)
