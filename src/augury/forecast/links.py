"""Scales on which a trend may be a straight line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from augury.fitting.space import Floats

# A score of 0 or 1 has no logit: it is assumed to lie this close. Pass rates may be smaller.
EDGE = 1e-6
LEAST_RATE = 1e-300
# A loss at the floor itself has no logarithm.
ABOVE_FLOOR = 1e-9


@dataclass(frozen=True)
class Link:
    """A transform and its inverse."""

    to: Callable[[Floats], Floats]
    back: Callable[[Floats], Floats]


POINTS = Link(lambda y: np.asarray(y, float), lambda v: v)
# Of scores from 0 to 1: a line may go further, what it forecasts may not.
SCORE = Link(POINTS.to, lambda v: np.clip(v, 0.0, 1.0))
LOG = Link(lambda y: np.log(np.maximum(y, LEAST_RATE)), np.exp)
LOGIT = Link(
    lambda y: np.asarray(logit(np.clip(y, EDGE, 1 - EDGE))), lambda v: np.asarray(expit(v))
)
# A share of n trials has the standard error 1 / sqrt(n) everywhere (Freeman & Tukey 1950); 0 and 1
# are as good as other scores.
ARCSINE = Link(
    lambda p: 2.0 * np.arcsin(np.sqrt(np.clip(p, 0.0, 1.0))),
    lambda a: np.sin(np.clip(a, 0.0, np.pi) / 2.0) ** 2,
)


def log_above(floor: float) -> Link:
    """Return the logarithm above a floor, in which a power law with that floor is straight."""
    return Link(
        lambda y: np.log(np.maximum(np.asarray(y) - floor, ABOVE_FLOOR)),
        lambda v: floor + np.exp(v),
    )
