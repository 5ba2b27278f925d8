"""Whether a straight rise past the elbow can locate scores at a distance above chance.

Scores often rise faster as the loss nears its floor. A law that is straight in the loss then finds
the elbow, but puts scores well above chance at too low a loss, and more so the farther the point
lies beyond the checkpoints.
"""

from __future__ import annotations

import numpy as np

from augury.forecast.emergence.checks import residuals
from augury.forecast.emergence.result import (
    EmergenceFit,
    EmergenceStatus,
    LawFit,
    point_of,
)
from augury.forecast.emergence.search import Floats
from augury.notes import Note

# Scores past their elbow bend upwards if they do so by this many standard errors (few checkpoints
# make heavy tails); fewer scores than this cannot show it.
BENT, FEWEST = 2.5, 8
# The point relies on the rise being straight if more than this lies between the best checkpoint and
# the point, as a share of the unit of scale. Both limits were chosen on 40 simulated studies whose
# scores accelerate and 24 whose scores do not (tests/forecast/test_emergence_above.py has others).
BEYOND = 0.25


def check_straight(fit: EmergenceFit, distance: float) -> tuple[EmergenceStatus, list[Note]]:
    """Whether the point at this distance above the base can be trusted; ANSWERED if so.

    Args:
        fit: a fit that is answered.
        distance: score above the base.
    """
    law = fit.fits[int(np.argmax(fit.weights))]
    unit = float(fit.data.scales.unit)
    point = fit.point_draws(distance=distance)
    ahead = float(np.median(point)) - float(fit.data.progress.max())
    with np.errstate(invalid="ignore"):
        way = float(np.median(point - fit.point_draws()))
    beyond = min(ahead, way)
    bend = upward_bend(fit, law)
    far = beyond > BEYOND * unit
    if not far and not bend > BENT:
        return EmergenceStatus.ANSWERED, []
    name = "nats" if fit.data.scale == "loss" else "decades of FLOPs"
    why = (
        f"The last {beyond:.3g} {name} of the way to the point lie beyond the best checkpoint."
        if far
        else f"Scores past their elbow bend upwards, by {bend:.1f} standard errors."
    )
    status = EmergenceStatus.STRAIGHT
    told = {"beyond": beyond, "unit": unit, "bend": bend if np.isfinite(bend) else None}
    return status, [Note("straight-rise", "serious", f"{why} {status.remedy}", told)]


def upward_bend(fit: EmergenceFit, law: LawFit) -> float:
    """By how many standard errors scores past their elbow bend upwards; NaN if too few are past it.

    Residuals are regressed on the square of the distance past the elbow, less its straight part.
    The sampling unit is the checkpoint, not the score.
    """
    data = fit.data
    past = np.empty(len(data.y))
    for amount in np.unique(data.amount):
        rows = data.amount == amount
        low = max(float(amount), data.low_data)
        elbow = float(point_of(law.law, law.peak[None], data, low_data=low)[0])
        past[rows] = data.progress[rows] - elbow
    keep = past > 0
    if keep.sum() < FEWEST:
        return float("nan")
    off = residuals(fit, law)[0][keep]
    way = past[keep] / past[keep].max()
    straight = np.column_stack([np.ones_like(way), way])
    square, off = _rest(way**2, straight), _rest(off, straight)
    size = float((square**2).sum())
    bend = float((square * off).sum()) / size
    left = square * (off - bend * square)
    by_checkpoint = np.bincount(data.checkpoint[keep], left)
    error = float(np.sqrt((by_checkpoint**2).sum())) / size
    return bend / error if error > 0 else float("nan")


def _rest(y: Floats, columns: Floats) -> Floats:
    """Residuals of (n,) `y` from its regression on (n, k) columns."""
    return np.asarray(y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0])
