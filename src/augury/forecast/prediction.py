"""What a fitted law predicts at unseen points: a value, two intervals, and the distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import polars as pl

from augury.data import observations
from augury.display import Card, Several, Shown
from augury.errors import UsageError
from augury.fitting import Fit, Likelihood
from augury.fitting.space import Floats
from augury.forecast.links import POINTS, Link
from augury.laws import Law
from augury.laws.inputs import Curve, Share

# Draws beyond this count as infinite when interpolating quantiles between draws.
HUGE = 1e300

At = Mapping[str, Any] | Sequence[Mapping[str, float]] | pl.DataFrame


@dataclass(frozen=True)
class Forecast(Shown):
    """The forecast at one point.

    Attributes:
        inputs: the point.
        value: the law at its best parameters.
        mean_interval: for the law itself, the mean over runs, at `level`; NaN (null in JSON) if the
            fit has no draws, so that nothing is known about the spread.
        run_interval: for one new run, whose seed and noise vary around the law as in the fitted
        runs.
        extrapolation: distance from the data in units of their range (logarithms of inputs): 0
            inside, 1 for one whole observed range beyond. Above 1, trust only backtests.
        level: of both intervals.
        run_share: share of the squared width of `run_interval` that is spread between runs, gone in
            `mean_interval`: no forecast can remove it. None if the fit has no intervals, or too few
            runs to tell how far they differ.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> fitted = augury.fit("chinchilla", runs)
        >>> (forecast,) = augury.predict(fitted, {"params": 7e9, "tokens": 1.4e11})
        >>> low, high = forecast.run_interval
        >>> low < forecast.value < high
        True
        >>> print(f"{forecast.extrapolation:.1f} ranges beyond the data")
        0.3 ranges beyond the data
    """

    inputs: Mapping[str, float]
    value: float
    mean_interval: tuple[float, float]
    run_interval: tuple[float, float]
    extrapolation: float
    level: float
    run_share: float | None = None

    def __str__(self) -> str:
        where = ", ".join(f"{name}={x:.4g}" for name, x in self.inputs.items())
        (low, high), (run_low, run_high) = self.mean_interval, self.run_interval
        if np.isnan(low):
            return (
                f"{where}: {self.value:.4g}   no interval: these data do not determine one   "
                f"{self.extrapolation:.2f} ranges beyond the data"
            )
        return (
            f"{where}: {self.value:.4g}   {self.level:.0%} mean [{low:.4g}, {high:.4g}], "
            f"new run [{run_low:.4g}, {run_high:.4g}]   {run_share_text(self.run_share)}   "
            f"{self.extrapolation:.2f} ranges beyond the data"
        )

    def _card(self) -> Card:
        (low, high), (run_low, run_high) = self.mean_interval, self.run_interval
        row = {**self.inputs, "value": self.value, "mean_low": low, "mean_high": high,
               "run_low": run_low, "run_high": run_high,
               "run_share": self.run_share, "extrapolation": self.extrapolation}  # fmt: skip
        return Card(
            f"Forecast, with {self.level:.0%} intervals for the mean over runs and for one new "
            "run; extrapolation in ranges of the data",
            pl.DataFrame([row]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {
            "inputs": dict(self.inputs),
            "value": known(self.value),
            "mean_interval": [known(x) for x in self.mean_interval],
            "run_interval": [known(x) for x in self.run_interval],
            "run_share": self.run_share,
            "extrapolation": known(self.extrapolation),
            "level": self.level,
        }


def known(x: float) -> float | None:
    """Return a number for JSON: null if it is NaN."""
    return x if np.isfinite(x) else None


def squared_share(rest: float, whole: float) -> float | None:
    """Return the share of an interval's squared width that is gone in a narrower one.

    For normal errors that add up it is a share of the variance.

    Args:
        rest: width of the interval without one kind of error.
        whole: width with it; None is returned if it is 0 or unknown.
    """
    if not (np.isfinite(whole) and np.isfinite(rest) and whole > 0):
        return None
    return float(np.clip(1.0 - (rest / whole) ** 2, 0.0, 1.0))


def run_share(
    mean: tuple[float, float], run: tuple[float, float], link: Link = POINTS
) -> float | None:
    """Return how much of a new run's interval is run-to-run spread: no forecast can remove it.

    The share of the squared width, on the link's scale, that is gone in the interval for the mean
    of many runs. For normal errors it is the share of the variance. None if it is unknown.
    """
    (a, b), (c, d) = (link.to(np.array(ends)) for ends in (mean, run))
    return squared_share(float(b - a), float(d - c))


def run_share_text(share: float | None) -> str:
    """Return the same in a few words."""
    if share is None:
        return "run-to-run spread unknown"
    return f"{share:.0%} of the squared width is run-to-run spread"


@dataclass(frozen=True)
class Predictive:
    """Draws at m points: `value` (m,), `mean` (S, m) of the law, `run` (S, m) of new runs."""

    value: Floats
    mean: Floats
    run: Floats


@singledispatch
def predictive(fitted: Any, at: pl.DataFrame) -> Predictive:
    """Draw jointly at the rows of `at`, for anything that forecasts.

    Raises:
        UsageError: it is not something that forecasts.
    """
    raise UsageError(f"cannot forecast with a {type(fitted).__name__}")


@predictive.register
def _(fitted: Fit, at: pl.DataFrame) -> Predictive:
    inputs = law_inputs(fitted, at)
    nothing = np.full((1, len(fitted.parameters)), np.nan)
    draws = fitted.draws if len(fitted.draws) else nothing
    own = list(fitted.law.parameters)
    columns = {name: draws[:, j : j + 1] for j, name in enumerate(fitted.parameters)}
    value = fitted.law({n: fitted.parameters[n] for n in own}, **inputs)
    mean = fitted.law({n: columns[n] for n in own}, **{k: x[None] for k, x in inputs.items()})
    rng = np.random.default_rng(fitted.seed)
    drawn = rng.choice(fitted.residuals, size=(len(mean), 1))  # one run per draw: smooth in size
    return Predictive(value, mean, perturb_by_residual(fitted.likelihood, mean, drawn))


def perturb_by_residual(likelihood: Likelihood, mean: Floats, residual: Floats) -> Floats:
    """Move the mean by a run's residual, on the scale of the likelihood's residuals."""
    return likelihood.strayed(mean, residual)


def law_inputs(fitted: Fit, at: pl.DataFrame) -> dict[str, Floats]:
    """Return the columns the law takes, as (m,) arrays.

    Raises:
        UsageError: one is missing and has no default.
    """
    inputs = {}
    for name, kind in fitted.law.inputs.items():
        columns = kind.columns(name, at.columns)
        if columns and set(columns) <= set(at.columns):
            inputs[name] = kind.read(at, name)
        elif name in fitted.law.defaults:
            # A chance floor used in the fit holds for new points too.
            seen = fitted.data[name].unique()
            if len(seen) > 1:
                raise UsageError(
                    f"the fit saw several values of '{name}'; say which to forecast at"
                )
            inputs[name] = np.full(at.height, float(seen[0]))
        else:
            raise UsageError(
                f"law '{fitted.law}' needs {', '.join(fitted.law.inputs)}; '{name}' is missing"
            )
    return inputs


def points_table(at: At) -> pl.DataFrame:
    """Return points as a table, with flops, tokens or params derived from the other two."""
    asked = not isinstance(at, pl.DataFrame)  # a table's FLOPs were counted, by any convention
    if isinstance(at, Mapping):
        at = pl.DataFrame({k: np.atleast_1d(np.asarray(v, float)) for k, v in at.items()})
    table = observations(at)
    if asked and {"params", "tokens", "flops"} <= set(table.columns):
        check_flops(table)
    return table


def check_flops(table: pl.DataFrame) -> None:
    """Refuse a point whose FLOPs are not 6 N D of its parameters and tokens.

    Raises:
        UsageError: they differ by more than half, which embeddings and attention do not explain.
    """
    for n, d, c in table.select("params", "tokens", "flops").drop_nulls().iter_rows():
        if not 2 / 3 <= c / (6.0 * n * d) <= 1.5:
            raise UsageError(
                f"flops={c:.4g} contradicts params={n:.4g} and tokens={d:.4g}, which take "
                f"6 N D = {6.0 * n * d:.4g}; give two of the three"
            )


def predict(fitted: Any, at: At, *, level: float | None = None) -> Several[Forecast]:
    """Forecast at new points.

    Args:
        fitted: a `Fit`, a `ChainFit` or a `Combination`.
        at: columns, rows or a table with what the law takes: {"params": 7e9, "tokens": 4e12}. Each
            of flops, tokens and params is derived from the other two.
        level: of the intervals; by default the fit's.

    Returns:
        A list with one `Forecast` per point, in order: a value in the unit of what was fitted (nats
        per token, a score), and two intervals.

    Raises:
        UsageError: an input is missing, or flops, params and tokens contradict each other.
        DataError: an input is not a positive number.

    Source: intervals are quantiles of the fit's draws; those for a new run add a residual of the
    fitted runs. docs/intervals.md reports how often they held.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> fitted = augury.fit("chinchilla", runs)
        >>> (forecast,) = augury.predict(fitted, {"params": 7e9, "tokens": 1.4e11})
        >>> print(f"{forecast.value:.2f} nats per token")
        2.12 nats per token
    """
    table = points_table(at)
    drawn = predictive(fitted, table)
    level = fitted.level if level is None else level
    tail = (1.0 - level) / 2.0
    mean = interval_of(drawn.mean, drawn.value, tail)
    run = interval_of(drawn.run, drawn.value, tail)
    names = [n for n in inputs_of(fitted) if n in table.columns]
    distance = extrapolation(observed(fitted), table, getattr(fitted, "law", None))
    told = all(note.code != "few-training-runs" for note in fitted.notes)
    made: Several[Forecast] = Several()
    for i in range(table.height):
        for_mean, for_run = ((float(x[0, i]), float(x[1, i])) for x in (mean, run))
        made.append(
            Forecast(
                inputs={n: float(table[n][i]) for n in names},
                value=float(drawn.value[i]),
                mean_interval=for_mean,
                run_interval=for_run,
                extrapolation=float(distance[i]),
                level=level,
                run_share=run_share(for_mean, for_run) if told else None,
            )
        )
    return made


def interval_of(draws: Floats, value: Floats, tail: float) -> Floats:
    """Return (2, m) equal-tailed interval of (S, m) draws; it contains the value reported.

    NaN without draws, as for laws none of which has any.
    """
    if not len(draws):
        return np.full((2, len(value)), np.nan)
    low, high = np.quantile(np.clip(draws, -HUGE, HUGE), [tail, 1.0 - tail], axis=0)
    low, high = np.minimum(low, value), np.maximum(high, value)
    return np.stack([np.where(low <= -HUGE, -np.inf, low), np.where(high >= HUGE, np.inf, high)])


@singledispatch
def observed(fitted: Any) -> pl.DataFrame:
    """Return the inputs of the fitted points."""
    raise UsageError(f"cannot forecast with a {type(fitted).__name__}")


@observed.register
def _(fitted: Fit) -> pl.DataFrame:
    names = [
        column
        for name, kind in fitted.law.inputs.items()
        if name not in fitted.law.defaults and not isinstance(kind, Curve)
        for column in kind.columns(name, fitted.data.columns)
    ]
    return fitted.data.select(names)


def inputs_of(fitted: Any) -> list[str]:
    """Return the names of the inputs, without those that have defaults."""
    return observed(fitted).columns


def distance_beyond(seen: pl.DataFrame, at: pl.DataFrame) -> Floats:
    """Return (m,) the largest distance outside a positive input's observed range, in e-folds."""
    far = np.zeros(at.height)
    for name in seen.columns:
        x, new = (t[name].cast(pl.Float64).to_numpy() for t in (seen, at))
        if min(x.min(), new.min()) <= 0:  # a share, or a number of either sign
            continue
        x, new = np.log(x), np.log(new)
        far = np.maximum(far, np.maximum(new - x.max(), x.min() - new))
    return far


def extrapolation(seen: pl.DataFrame, at: pl.DataFrame, law: Any = None) -> Floats:
    """Return (m,) the largest distance outside an input's observed range, in units of that range.

    Each on the scale that the law's input declares: logarithms of positive quantities; shares and
    other numbers unchanged. Without a law, all count as positive quantities. Infinite if an input
    never varied and the point differs from it.
    """
    far = np.zeros(at.height)
    for name in seen.columns:
        x, new = (
            _on_own_scale(law, name, table[name].cast(pl.Float64).to_numpy())
            for table in (seen, at)
        )
        low, high = x.min(), x.max()
        beyond = np.maximum(np.maximum(new - high, low - new), 0.0)
        width = high - low
        # 1e-9: the rounding of an input that never varied is not a distance.
        far = np.maximum(
            far, np.where(beyond <= 1e-9, 0.0, beyond / width if width > 0 else np.inf)
        )
    return far


def _on_own_scale(law: Any, column: str, values: Floats) -> Floats:
    """Map a column's values to the scale of its input."""
    for name, kind in law.inputs.items() if isinstance(law, Law) else ():
        if isinstance(kind, Share) and column.startswith(f"{name}_"):
            return values
        if name == column:
            return np.asarray(kind.transform(values), float)
    return np.log(values)
