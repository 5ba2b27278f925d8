"""Scores of models of many families from their other scores: observational scaling laws.

Models of different families share no common curve over compute, but their scores on common
benchmarks lie near a plane of few dimensions. A further task's score is a sigmoid of the position
in that plane, with a floor. The plane is fitted to the models that are fitted, never to those that
are forecast: standardising on all models breaks the extrapolation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from augury.display import Card, Shown
from augury.errors import DataError, UsageError
from augury.fitting.space import Floats

# The floor of the sigmoid, and the first start of every parameter, as published.
HIGHEST_FLOOR, START = 0.2, 0.03
# Further starts of the weights, normal with this spread. On IPA, one of Ruan et al.'s tasks, the
# first ends above the least squares that their reported error corresponds to.
FURTHER, SPREAD = 24, 3.0
# Rounds of filling missing scores from the first component; they settle within about ten.
ROUNDS, SETTLED = 500, 1e-8
# Refits to resampled models behind the intervals.
RESAMPLES = 200


@dataclass(frozen=True)
class Components:
    """Principal components of models' benchmark scores.

    Attributes:
        benchmarks: (k,) names.
        mean, scale: (k,) moments by which scores are standardised.
        centre: (k,) of the standardised scores, missing ones filled.
        axes: (k, k) the components, one per row, by explained variance.
        explained: (k,) share of the variance.
    """

    benchmarks: tuple[str, ...]
    mean: Floats
    scale: Floats
    centre: Floats
    axes: Floats
    explained: Floats

    def place(self, table: pl.DataFrame, count: int) -> Floats:
        """Return (n, count) coordinates; missing scores are filled from the first component."""
        z = (matrix_of(table, self.benchmarks) - self.mean) / self.scale
        missing = np.isnan(z)
        z = np.where(missing, 0.0, z)
        for _ in range(ROUNDS):
            first = np.outer((z - self.centre) @ self.axes[0], self.axes[0]) + self.centre
            filled = np.where(missing, first, z)
            if np.abs(filled - z).max(initial=0.0) < SETTLED:
                break
            z = filled
        return np.asarray((z - self.centre) @ self.axes[:count].T)


def components(table: pl.DataFrame, benchmarks: Sequence[str]) -> Components:
    """Compute the principal components of the scores of a table's models.

    Args:
        table: one row per model, one column per benchmark, null if it was not run.
        benchmarks: names of the columns.

    Raises:
        DataError: a column is missing or has no numbers, or there are fewer models than benchmarks.
    """
    scores = matrix_of(table, benchmarks)
    if len(scores) <= len(benchmarks):
        raise DataError(
            f"{len(scores)} models cannot give the components of {len(benchmarks)} benchmarks",
            expected="more models than benchmarks",
        )
    mean, scale = np.nanmean(scores, 0), np.nanstd(scores, 0)
    if not (scale > 0).all():
        flat = benchmarks[int(np.argmin(scale))]
        raise DataError(
            "all models have the same score", column=flat, expected="scores that differ"
        )
    z = (scores - mean) / scale
    missing = np.isnan(z)
    z = np.where(missing, 0.0, z)
    for _ in range(ROUNDS):
        centre = z.mean(0)
        u, s, axes = np.linalg.svd(z - centre, full_matrices=False)
        filled = np.where(missing, centre + np.outer(u[:, 0] * s[0], axes[0]), z)
        if np.abs(filled - z).max(initial=0.0) < SETTLED:
            break
        z = filled
    centre = z.mean(0)
    _, s, axes = np.linalg.svd(z - centre, full_matrices=False)
    return Components(tuple(benchmarks), mean, scale, centre, axes, s**2 / np.sum(s**2))


def matrix_of(table: pl.DataFrame, benchmarks: Sequence[str]) -> Floats:
    """Return (n, k) scores, NaN where missing.

    Raises:
        DataError: a column is missing or has no numbers.
    """
    for name in benchmarks:
        if name not in table.columns or not table[name].dtype.is_numeric():
            raise DataError("the column is missing or holds no numbers", column=name,
                            expected="the scores of a benchmark")  # fmt: skip
    return np.array([table[n].cast(pl.Float64).fill_null(np.nan).to_numpy() for n in benchmarks]).T


@dataclass(frozen=True)
class ObservationalFit(Shown):
    """A task's score as a function of the components of benchmark scores.

    Attributes:
        target: the task.
        components: of the benchmarks.
        count: number of components used.
        weights: (1 + count,) of the logit: level, then one per component.
        floor: score of a model that cannot do the task.
        draws: (S, 2 + count) refits to resampled models: weights, then floor.
        residuals: (n,) of the models fitted.
    """

    target: str
    components: Components
    count: int
    weights: Floats
    floor: float
    draws: Floats
    residuals: Floats

    def predict(self, table: pl.DataFrame, *, level: float = 0.9) -> pl.DataFrame:
        """Forecast models from their benchmark scores.

        Args:
            table: one row per model, with the benchmarks' columns.
            level: of the interval, which is for one model: it scatters as the fitted ones did.

        Returns:
            The table with `forecast`, `low` and `high`.
        """
        place = self.components.place(table, self.count)
        value = score_at(place, np.append(self.weights, self.floor))
        rng = np.random.default_rng(0)
        spread = np.sqrt(len(self.residuals) / max(len(self.residuals) - self.count - 2, 1))
        noise = rng.choice(self.residuals * spread, (len(self.draws), len(value)))
        drawn = np.array([score_at(place, theta) for theta in self.draws]) + noise
        tail = (1.0 - level) / 2
        low, high = np.quantile(np.clip(drawn, 0.0, 1.0), [tail, 1.0 - tail], axis=0)
        return table.with_columns(
            forecast=value, low=np.minimum(low, value), high=np.maximum(high, value)
        )

    def _card(self) -> Card:
        names = ("level", *(f"component {j + 1}" for j in range(self.count)), "floor")
        low, high = np.quantile(self.draws, [0.05, 0.95], axis=0)
        rows = pl.DataFrame({"parameter": names, "value": [*self.weights, self.floor],
                             "low": low, "high": high})  # fmt: skip
        share = self.components.explained[: self.count].sum()
        return Card(
            f"{self.target} over {self.count} components ({share:.0%} of the variance) of "
            f"{len(self.components.benchmarks)} benchmarks, {len(self.residuals)} models",
            rows,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {"target": self.target, "benchmarks": list(self.components.benchmarks),
                "components": self.count, "weights": self.weights.tolist(), "floor": self.floor,
                "explained": self.components.explained.tolist(),
                "models": len(self.residuals)}  # fmt: skip


def fit_observational(
    table: pl.DataFrame,
    target: str,
    benchmarks: Sequence[str],
    *,
    count: int = 3,
    plane: pl.DataFrame | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> ObservationalFit:
    """Fit a task's score over principal components of benchmark scores.

    Use one component if few models have the task, or if those to be forecast lie far beyond them:
    with three, some of the published extrapolations fail completely.

    Args:
        table: one row per model, one column per benchmark and one for the task; scores in [0, 1].
        target: the task's column; rows where it is null are left out.
        benchmarks: columns of the benchmarks, null where one was not run.
        count: number of components used.
        plane: models that define the components, if more models have the benchmarks than have the
            task; by default the table's. It must not contain models to be forecast.
        resamples: number of resamples of the models, for intervals.
        seed: of the resamples.

    Raises:
        DataError: a column is missing, or there are fewer models than parameters.
        UsageError: there are fewer components than asked for.

    Source: Ruan et al. 2024 (arXiv 2405.10938).
    """
    if not 1 <= count <= len(benchmarks):
        raise UsageError(f"count must be 1 to {len(benchmarks)}, not {count}")
    own = components(table if plane is None else plane, benchmarks)
    y = matrix_of(table, [target])[:, 0]
    known = np.isfinite(y)
    place = own.place(table, count)[known]
    y = y[known]
    if len(y) <= count + 2:
        raise DataError(f"{len(y)} models have the task", column=target,
                        expected=f"at least {count + 3} for {count} components")  # fmt: skip
    theta = _fit_best(place, y)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(y), size=(resamples, len(y)))
    draws = np.array([_fit_from(place[rows], y[rows], theta) for rows in chosen])
    return ObservationalFit(target, own, count, theta[:-1], float(theta[-1]), draws,
                            y - score_at(place, theta))  # fmt: skip


def score_at(place: Floats, theta: Floats) -> Floats:
    """Return (n,) scores: floor + (1 - floor) sigmoid(level + weights . place)."""
    return np.asarray(theta[-1] + (1.0 - theta[-1]) * expit(theta[0] + place @ theta[1:-1]))


def _fit_best(place: Floats, y: Floats) -> Floats:
    """Return the best of the least-squares fits from several starts."""
    first = np.full(place.shape[1] + 2, START)
    further = np.random.default_rng(0).normal(0.0, SPREAD, (FURTHER, len(first)))
    further[:, -1] = START
    ends = [_fit_from(place, y, start) for start in (first, *further)]
    return min(ends, key=lambda theta: float(np.square(score_at(place, theta) - y).sum()))


def _fit_from(place: Floats, y: Floats, start: Floats) -> Floats:
    """Fit by least squares, with the floor within its bounds."""
    from scipy.optimize import least_squares

    wide = np.full(len(start) - 1, np.inf)
    start = np.append(start[:-1], np.clip(start[-1], 0.0, HIGHEST_FLOOR))
    # A task that all models fail has unbounded weights: they are bounded here.
    found = least_squares(
        lambda theta: score_at(place, theta) - y,
        start,
        jac=lambda theta: _jacobian(place, theta),
        bounds=(np.append(-wide, 0.0), np.append(wide, HIGHEST_FLOOR)),
        max_nfev=1000,
    )
    return np.asarray(found.x)


def _jacobian(place: Floats, theta: Floats) -> Floats:
    share = expit(theta[0] + place @ theta[1:-1])
    slope = (1.0 - theta[-1]) * share * (1.0 - share)
    return np.column_stack([slope, slope[:, None] * place, 1.0 - share])
