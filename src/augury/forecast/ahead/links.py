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
LOG = Link(lambda y: np.log(np.maximum(y, LEAST_RATE)), np.exp)
LOGIT = Link(
    lambda y: np.asarray(logit(np.clip(y, EDGE, 1 - EDGE))), lambda v: np.asarray(expit(v))
)


def log_above(floor: float) -> Link:
    """Return the logarithm above a floor, in which a power law with that floor is straight."""
    return Link(
        lambda y: np.log(np.maximum(np.asarray(y) - floor, ABOVE_FLOOR)),
        lambda v: floor + np.exp(v),
    )
