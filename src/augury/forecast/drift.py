"""Error that grows with the distance, learned from a backtest.

A law's own interval covers its parameters and its noise, but not the law being wrong. A backtest
shows how wrong it was at which distance: the errors beyond the law's own variance are modelled as a
random walk in the logarithm of the scale, sd = drift x sqrt(distance).
It is evidence, not a factor: a handful of cuts adds to an interval, and does not multiply it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
import scipy
from scipy.special import expit, logit

from augury.fitting.space import Floats

Scale = Literal["log", "logit", "linear"]
# Degrees of freedom of a backtest's errors: some cuts are far off, and must not dominate.
FREEDOM = 4.0
# The prior: no drift at all with this probability, otherwise anything from a tenth of the typical
# error to ten times it.
NO_DRIFT = 1 / 3
DRIFTS = np.geomspace(0.1, 10.0, 16)
# A rate of 0 or 1 is only known to lie this close.
EDGE = 1e-9


@dataclass(frozen=True)
class Drift:
    """The posterior of the drift.

    Attributes:
        scale: on which errors are measured: logarithms, logits, or unchanged.
        values: (K,) standard deviation one e-fold beyond the data.
        weights: (K,) their probabilities.
    """

    scale: Scale
    values: Floats
    weights: Floats

    @property
    def mean(self) -> float:
        """Square root of the mean variance one e-fold beyond the data."""
        return float(np.sqrt(self.weights @ self.values**2))

    def added_to(self, draws: Floats, distance: Floats, rng: np.random.Generator) -> Floats:
        """Move each of (S, m) draws along one random walk to the (m,) distances."""
        size = rng.choice(self.values, size=(len(draws), 1), p=self.weights)
        walk = size * rng.standard_normal((len(draws), 1))
        return off_scale(on_scale(draws, self.scale) + walk * np.sqrt(distance), self.scale)


def on_scale(x: Floats, scale: Scale) -> Floats:
    """Convert values to logarithms or logits, or leave them unchanged."""
    if scale == "log":
        return np.log(np.maximum(x, 1e-300))
    return np.asarray(logit(np.clip(x, EDGE, 1 - EDGE))) if scale == "logit" else x


def off_scale(x: Floats, scale: Scale) -> Floats:
    """Convert values back."""
    with np.errstate(over="ignore"):
        return np.exp(x) if scale == "log" else np.asarray(expit(x)) if scale == "logit" else x


def learn_drift(rows: pl.DataFrame, weights: dict[str, float], level: float, scale: Scale) -> Drift:
    """Weight drifts by the likelihood of a backtest's errors, each cut counting as one.

    Args:
        rows: of a `Backtest`: law, cut, observed, value, low, high, distance.
        weights: of the laws.
        level: of the intervals in `rows`.
        scale: on which errors are measured.
    """
    rows = rows.filter(
        pl.col("law").is_in([n for n, w in weights.items() if w > 0]),
        pl.col("low").is_finite() & pl.col("high").is_finite() & pl.col("value").is_finite(),
        pl.col("distance") > 0,
    )
    value, observed, low, high = (
        on_scale(rows[n].to_numpy().astype(float), scale)
        for n in ("value", "observed", "low", "high")
    )
    error, distance = observed - value, rows["distance"].to_numpy()
    own = (high - low) / 2 / scipy.stats.norm.isf((1 - level) / 2)
    if scale == "logit":  # a count of none or all gives the side, not the distance
        seen = rows["observed"].to_numpy()
        error = np.where((seen <= 0) | (seen >= 1), 0.0, error)
    if not len(error) or not np.abs(error).any():
        return Drift(scale, np.zeros(1), np.ones(1))
    typical = float(np.median(np.abs(error) / np.sqrt(distance))) or float(np.abs(error).mean())
    values = np.concatenate([[0.0], DRIFTS * typical])
    prior = np.concatenate([[NO_DRIFT], np.full(len(DRIFTS), (1 - NO_DRIFT) / len(DRIFTS))])
    count = rows.select(n=pl.len().over("law", "cut"))["n"].to_numpy()
    share = np.array([weights[n] for n in rows["law"]]) / count
    spread = np.sqrt(own**2 + values[:, None] ** 2 * distance) + 1e-12
    density = scipy.stats.t.logpdf(error / spread, FREEDOM) - np.log(spread)
    found = np.log(prior) + (share * density).sum(1)
    found = np.exp(found - found.max())
    return Drift(scale, values, found / found.sum())
