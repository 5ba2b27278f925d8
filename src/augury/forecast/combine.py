"""A forecaster that chooses or weighs laws by their backtest on the data it is given.

Nobody knows beforehand which law a task follows. What a forecaster may use to decide is how each
would have done so far: every candidate is fitted below each scale of the data and scored above it.
The target is never looked at. Intervals are widened by what the backtest says of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from augury.display import Card, Shown
from augury.errors import UsageError
from augury.fitting import Likelihood, Status
from augury.fitting.space import Floats
from augury.forecast.backtest import Backtest, Fitted, backtest, usable
from augury.forecast.backtest import fitter as fitter_of
from augury.forecast.predict import Predictive, observed, predictive
from augury.laws import Law, parse_law
from augury.notes import Note

# No more widening than this: a backtest of a few points from a handful of runs says that intervals
# were too narrow, not by which factor of ten.
MOST_WIDENING = 3.0
# Draws of the final fits: smooth bands, 10 times a backtest's.
FINAL_DRAWS = 4000


@dataclass(frozen=True)
class Combination(Shown):
    """Laws fitted to all the data, weighed by their backtest.

    Attributes:
        fits: by law.
        weights: by law, summing to 1; with "choose" the best has it all.
        backtest: what the weights rest on.
        widening: factor by which intervals are widened around the value, at least 1: what would
            have made the backtest's intervals hold at their level.
        level: of intervals.
    """

    fits: dict[str, Fitted]
    weights: dict[str, float]
    backtest: Backtest
    widening: float
    level: float

    @property
    def best(self) -> str:
        """The law with the largest weight."""
        return max(self.weights, key=lambda name: self.weights[name])

    @property
    def status(self) -> Status:
        return self.fits[self.best].status

    @property
    def notes(self) -> tuple[Note, ...]:
        return self.fits[self.best].notes

    def _card(self) -> Card:
        scores = common_scores(self.backtest)
        rows = [
            {"law": name, "weight": weight, "crps": scores.get(name),
             "status": str(self.fits[name].status)}
            for name, weight in sorted(self.weights.items(), key=lambda pair: -pair[1])
        ]  # fmt: skip
        return Card(
            f"{len(rows)} laws, weighed by their backtest; intervals widened by "
            f"{self.widening:.2f}",
            pl.DataFrame(rows),
            self.notes,
        )


def combine(
    laws: Sequence[Law | str],
    data: pl.DataFrame,
    *,
    how: Literal["choose", "weigh"] = "weigh",
    by: str | None = None,
    likelihood: Likelihood | str | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> Combination:
    """Fit all laws; choose the best by backtest, or weigh them.

    Weights are proportional to 1 / CRPS^2 of the backtest (Bates & Granger 1969, with a proper
    score in place of the squared error). Laws that could not be backtested (too many parameters
    for the runs below any cut) get none.

    Args:
        laws: candidates, laws or chains, or their names.
        data: observation table.
        how: "choose" or "weigh".
        by: scale of the expanding window.
        likelihood: as in `fit`.
        level: of intervals.
        seed: of the draws.

    Returns:
        A `Combination`, for `predict`.

    Raises:
        UsageError: no candidates.
        DataError: as `backtest`.

    Sources: Bates & Granger 1969 for the weights; Vovk et al. 2005 for widening the intervals.
    """
    if not laws:
        raise UsageError("there are no laws to choose from")
    parsed = [parse_law(x) if isinstance(x, str) else x for x in laws]
    tested = backtest(parsed, data, by=by, likelihood=likelihood, level=level, seed=seed)
    score = common_scores(tested)
    fits = {str(law): fitter_of(law, likelihood, level, seed, FINAL_DRAWS)(data) for law in parsed}
    good = [n for n, f in fits.items() if usable(f)] or list(fits)
    # A law that no cut could score has no weight; where none could be, all weigh alike.
    known = {n: score[n] for n in good if n in score} or dict.fromkeys(good, 1.0)
    if how == "choose":
        best = min(known, key=lambda name: known[name])
        weights = {n: float(n == best) for n in fits}
    else:
        inverse = {n: 1.0 / max(s, 1e-12) ** 2 for n, s in known.items()}
        total = sum(inverse.values())
        weights = {n: inverse.get(n, 0.0) / total for n in fits}
    return Combination(fits, weights, tested, widening(tested, weights, level), level)


def common_scores(tested: Backtest) -> dict[str, float]:
    """Mean CRPS of every law that has one, over common forecasts, every cut weighing alike."""
    table = tested.summary.filter(pl.col("n") > 0)
    return dict(zip(table["law"], table["crps"], strict=True))


def widening(tested: Backtest, weights: dict[str, float], level: float) -> float:
    """What intervals have to be stretched by for the backtest's to hold at `level`, at least 1.

    Split conformal (Vovk et al. 2005) on |observed - value| over the half-width on the side where
    it fell, with the finite-sample rank; several points forecast from one cut are not independent,
    so that this is a check, not a guarantee.
    """
    used = [n for n, w in weights.items() if w > 0.1]
    rows = tested.rows.filter(pl.col("law").is_in(used), pl.col("low").is_not_null())
    off = (rows["observed"] - rows["value"]).to_numpy()
    side = np.where(off > 0, rows["high"] - rows["value"], rows["value"] - rows["low"])
    return conformal_factor(np.abs(off) / np.maximum(side, 1e-300), level)


def conformal_factor(ratios: Floats, level: float) -> float:
    """The (n + 1) level-th smallest ratio of error to half-width, from 1 to `MOST_WIDENING`."""
    if len(ratios) == 0:
        return 1.0
    rank = min(int(np.ceil((len(ratios) + 1) * level)), len(ratios)) - 1
    return float(np.clip(np.sort(ratios)[rank], 1.0, MOST_WIDENING))


@predictive.register
def _(fitted: Combination, at: pl.DataFrame) -> Predictive:
    parts = {n: predictive(fitted.fits[n], at) for n, w in fitted.weights.items() if w > 0}
    weights = np.array([fitted.weights[n] for n in parts])
    value = np.exp(
        sum(w * np.log(p.value) for w, p in zip(weights, parts.values(), strict=True))
        if all((p.value > 0).all() for p in parts.values())
        else np.log(sum(w * p.value for w, p in zip(weights, parts.values(), strict=True)))
    )
    draws = max(len(p.mean) for p in parts.values())
    rng = np.random.default_rng(0)
    mean, run = [], []
    for weight, part in zip(weights, parts.values(), strict=True):
        rows = rng.choice(len(part.mean), size=round(weight * draws))
        mean.append(part.mean[rows])
        run.append(part.run[rows])
    return Predictive(
        value,
        _stretched(np.concatenate(mean), value, fitted.widening),
        _stretched(np.concatenate(run), value, fitted.widening),
    )


def _stretched(draws: Any, value: Any, factor: float) -> Any:
    """Draws moved away from the value, in logarithms where all are positive."""
    if factor == 1.0:
        return draws
    if (draws > 0).all() and (value > 0).all():
        stretched = value * (draws / value) ** factor
        return np.minimum(stretched, 1.0) if (draws <= 1.0).all() else stretched
    return value + (draws - value) * factor


@observed.register
def _(fitted: Combination) -> pl.DataFrame:
    return observed(fitted.fits[fitted.best])
