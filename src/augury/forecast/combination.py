"""A forecaster that chooses or weights laws by their backtest on its data.

Nobody knows beforehand which law a task follows. A forecaster may decide by how each would have
done so far: every candidate is fitted below each of a few scales of the data and scored above it.
The target is never used. Weights start equal and move as far as the evidence of the cuts allows;
the error of the backtest beyond the laws' own variance grows with the distance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from augury.display import Card, Shown
from augury.errors import UsageError
from augury.fitting import Likelihood, Status
from augury.forecast.backtesting import Backtest, Fitted, backtest, last_step, steps, usable
from augury.forecast.backtesting import fitter as fitter_of
from augury.forecast.drift import Drift, Scale, learn_drift, off_scale, on_scale
from augury.forecast.prediction import Predictive, distance_beyond, observed, predictive
from augury.laws import Law, parse_law
from augury.notes import Note

# Draws of the final fits: smooth bands, 10 times a backtest's.
FINAL_DRAWS = 4000
# Number of cuts that are worth as much as the prior, under which all laws have equal weight.
PRIOR_CUTS = 2.0
# A law with less weight is left out: it would only blur the ends of the interval.
LEAST_WEIGHT = 0.05


@dataclass(frozen=True)
class Combination(Shown):
    """Laws fitted to all the data, weighted by their backtest.

    Attributes:
        fits: by law.
        weights: by law, summing to 1; with "choose" the best law has all of it. All 0 if the data
            identify no law: then there is no forecast.
        backtest: what the weights are based on.
        drift: error beyond the laws' own, which grows with the distance.
        level: of intervals.
    """

    fits: dict[str, Fitted]
    weights: dict[str, float]
    backtest: Backtest
    drift: Drift
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
            f"{len(rows)} laws, weighed by their backtest ({self.backtest.verdict}); error of "
            f"{self.drift.mean:.2g} more per e-fold beyond the data ({self.drift.scale} scale)",
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
    """Fit all laws; choose the best by backtest, or weight them.

    Weights are as 1 / CRPS^2 of the later half of the backtest's cuts (Bates & Granger 1969, with a
    proper score in place of the squared error), shrunk towards equal weights where cuts are few.
    Laws that could not be backtested (too many parameters for the runs below any cut) get none, nor
    do laws that the data do not identify. Forecasts are mixtures of the laws' draws; if no law is
    identified, all weights are 0, `status` says so, and the forecast has no value and no interval.

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

    Source: Bates & Granger 1969 for the weights; the drift is ours.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> both = augury.combine(["chinchilla", "constant"], runs)
        >>> (forecast,) = augury.predict(both, {"params": 7e9, "tokens": 1.4e11})
        >>> print(f"{forecast.value:.1f} nats per token; weights {both.weights}")
        2.1 nats per token; weights {'chinchilla': 1.0, 'constant': 0.0}
    """
    if not laws:
        raise UsageError("no laws to choose from")
    parsed = [parse_law(x) if isinstance(x, str) else x for x in laws]
    tested = backtest(parsed, data, by=by, likelihood=likelihood, level=level, seed=seed)
    fits = {str(law): fitter_of(law, likelihood, level, seed, FINAL_DRAWS)(data) for law in parsed}
    good = able(fits)
    recent = later_half(tested)
    score = common_scores(recent)
    # A law that no cut could score has no weight; if none could be scored, all weigh the same.
    known = {n: score[n] for n in good if n in score} or dict.fromkeys(good, 1.0)
    if not known:
        weights = dict.fromkeys(fits, 0.0)
    elif how == "choose":
        best = min(known, key=lambda name: known[name])
        weights = {n: float(n == best) for n in fits}
    else:
        weights = dict.fromkeys(fits, 0.0) | weights_of(known, recent.rows["cut"].n_unique())
    scale = scale_of(fits[max(weights, key=lambda name: weights[name])])
    drift = learn_drift(tested.rows, weights, level, scale)
    return Combination(fits, weights, tested, drift, level)


def able(fits: Mapping[str, Fitted]) -> list[str]:
    """Return laws that may enter: those with intervals; if there are none, those identified."""
    with_interval = [n for n, f in fits.items() if usable(f)]
    return with_interval or [n for n, f in fits.items() if all(step.usable for step in steps(f))]


def weights_of(scores: dict[str, float], cuts: int) -> dict[str, float]:
    """Weight laws by mean scores over some cuts: equally for 0, as 1 / score^2 for many."""
    power = 2.0 * cuts / (cuts + PRIOR_CUTS)
    best = max(min(scores.values()), 1e-12)
    raw = {n: (max(s, 1e-12) / best) ** -power for n, s in scores.items()}
    kept = {n: x for n, x in raw.items() if x >= LEAST_WEIGHT * sum(raw.values())}
    return {n: x / sum(kept.values()) for n, x in kept.items()}


def later_half(tested: Backtest) -> Backtest:
    """Keep the cuts nearest the end of the data, which are most like the real forecast."""
    cuts = tested.rows["cut"].unique(maintain_order=True).to_list()
    return Backtest(tested.rows.filter(pl.col("cut").is_in(cuts[len(cuts) // 2 :])), tested.level)


def common_scores(tested: Backtest) -> dict[str, float]:
    """Return the mean CRPS of every scored law over common forecasts, with equal weight per cut."""
    table = tested.summary.filter(pl.col("n") > 0)
    return dict(zip(table["law"], table["crps"], strict=True))


def scale_of(fitted: Fitted) -> Scale:
    """Return the scale on which errors of a fit are measured, from its likelihood."""
    likelihood = last_step(fitted).likelihood
    return "logit" if likelihood.counts else "log" if likelihood.on_log else "linear"


@predictive.register
def _(fitted: Combination, at: pl.DataFrame) -> Predictive:
    parts = {n: predictive(fitted.fits[n], at) for n, w in fitted.weights.items() if w > 0}
    if not parts:
        nothing = np.empty((0, at.height))
        return Predictive(np.full(at.height, np.nan), nothing, nothing)
    weights = np.array([fitted.weights[n] for n in parts])
    scale = fitted.drift.scale
    middle = np.stack([on_scale(p.value, scale) for p in parts.values()])
    value = off_scale(weights @ middle, scale)
    draws = max(len(p.mean) for p in parts.values())
    rng = np.random.default_rng(0)
    mean, run = [], []
    for weight, part in zip(weights, parts.values(), strict=True):
        rows = rng.choice(len(part.mean), size=round(weight * draws))
        mean.append(part.mean[rows])
        run.append(part.run[rows])
    distance = distance_beyond(observed(fitted), at)
    if not distance.any():
        return Predictive(value, np.concatenate(mean), np.concatenate(run))
    both = np.concatenate([np.concatenate(mean), np.concatenate(run)], axis=1)
    moved = fitted.drift.added_to(both, np.tile(distance, 2), rng)
    return Predictive(value, moved[:, : at.height], moved[:, at.height :])


@observed.register
def _(fitted: Combination) -> pl.DataFrame:
    return observed(fitted.fits[fitted.best])
