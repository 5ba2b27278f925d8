"""Which laws may forecast a curve, and how priors hold each where its points are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from augury.fitting.space import Floats
from augury.forecast.curves.cuts import Priors
from augury.laws import BrokenPowerLaw, Law, PowerLaw, parse_law

# Exponents of losses over data lie around .3, mostly within a factor of two.
EXPONENT = (float(np.log(0.3)), 0.7)
# A break bends a curve by less than its own slope, over a third of a decade to three decades.
BREAK = {"c0": (0.3, 0.3), "c1": (0.0, 0.3), "f1": (float(np.log(0.3)), 0.7)}
# Fewest points for a fit of the end of a curve.
FEWEST_LATE = 5


@dataclass(frozen=True)
class CurveCandidate:
    """A law that may forecast a curve; `late` fits it to the later half of the points in log x."""

    name: str
    law: Law
    priors: Priors
    late: bool = False

    def weights(self, x: Floats, last: int) -> Floats:
        """Return (n,) 1 for the points that it uses among the first `last`."""
        first = 0
        if self.late:
            middle = np.sqrt(x[0] * x[last - 1]) if x[0] > 0 else x[last - 1] / 2
            first = min(int(np.searchsorted(x[:last], middle)), last - FEWEST_LATE)
        at = np.arange(len(x))
        return ((at >= max(first, 0)) & (at < last)).astype(float)


def candidates(x: str, laws: Sequence[Law | str] | None) -> list[CurveCandidate]:
    """Return the laws asked for, or the defaults.

    The defaults are a broken power law, and a power law of all points and of the later half. The
    last value is always added.

    Chosen on one half of each of three public collections (docs/curves.md): adding M4 raised the
    mean error in all three, and so did leaving out the later half or the last value.
    """
    if laws is None:
        power, broken = PowerLaw(over=x), BrokenPowerLaw(over=x)
        return [
            CurveCandidate("broken-power", broken, BREAK),
            CurveCandidate("power", power, {"alpha": EXPONENT}),
            CurveCandidate("late-power", power, {"alpha": EXPONENT}, late=True),
        ]
    parsed = [parse_law(law) if isinstance(law, str) else law for law in laws]
    return [CurveCandidate(str(law), law, {}) for law in parsed]
