"""Rare behaviour over many queries: the worst of n queries, from far fewer measured ones.

A query elicits a behaviour with probability p. Across queries, log-survival is about linear in psi
= -log(-log p) (Jones et al. 2025, arXiv 2502.16797): the upper tail of psi is exponential. From m
queries with known p, this predicts the largest of n >> m, and how likely it is that any of n
answers shows the behaviour.

The tail is a generalised Pareto distribution whose shape is near that of an exponential; shape,
scale and the share of queries in the tail are averaged over their posterior, and so are the future
queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.data.counts import rate
from augury.errors import DataError, FitError, UsageError

Floats = NDArray[np.float64]

# Queries in the tail: the largest tenth, at least 10. More include the bulk, fewer tell little.
TAIL_SHARE, FEWEST_TAIL = 0.1, 10
# Prior standard deviation of the shape around that of an exponential tail. At .15, intervals from
# beta distributed p held 76-94 % of the time, at .25 88-98 % (tests/forecast).
SHAPE_SPREAD = 0.25
DRAWS = 4_000
# The largest queries of a draw are drawn one by one; the sum over the others hardly varies.
TOP = 1_000
# Counts of queries stay integers of 64 bits.
MOST_QUERIES = 1e18
# For an answer that is practically certain: its absence still has a logarithm.
ALMOST = 1 - 1e-12
# Excesses of psi below this are rounding: the queries tie. A log-probability nearer to zero than
# this is certain.
TIED = 1e-9


@dataclass(frozen=True)
class RareEstimate:
    """A value and its interval."""

    value: float
    interval: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {"value": self.value, "interval": list(self.interval)}


@dataclass(frozen=True)
class RareForecast:
    """What n queries will show.

    Attributes:
        queries: n.
        largest: the largest elicitation probability among them.
        any: probability that at least one of n answers, one per query, shows the behaviour.
        measured: number of queries behind the forecast.
        never: number of those that never passed, for which only an upper limit is known.
        tail: number of queries in the fitted tail.
        slope: of log-survival over psi in the tail, at its middle; Jones et al.'s a. NaN where
            the tail is certain.
        level: of the intervals.
        notes: what to know before using it.
    """

    queries: float
    largest: RareEstimate
    any: RareEstimate
    measured: int
    never: int
    tail: int
    slope: float
    level: float
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {
            "queries": self.queries,
            "largest": self.largest.to_dict(),
            "any": self.any.to_dict(),
            "measured": self.measured,
            "never_passed": self.never,
            "tail": self.tail,
            "slope": self.slope,
            "level": self.level,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        a, b = self.largest.interval
        c, d = self.any.interval
        return (
            f"Of {self.queries:,.0f} queries the most likely to show it: {self.largest.value:.2g} "
            f"[{a:.2g}, {b:.2g}]; that any of their answers does: {self.any.value:.2g} [{c:.2g}, "
            f"{d:.2g}] ({self.measured} queries measured, {self.tail} in the tail)"
        )


def forecast_rare(
    logprob: Any, queries: float, *, level: float = 0.9, seed: int = 0
) -> RareForecast:
    """Forecast the largest of n elicitation probabilities, and if any answer shows it.

    Args:
        logprob: (m,) log-probability that each measured query elicits the behaviour; -inf if it
            never did.
        queries: n, of the same kind as the measured ones.
        level: of the intervals.
        seed: of the draws.

    Returns:
        Medians and equal-tailed intervals of what n new queries will show.

    Raises:
        UsageError: n or the level is out of range.
        DataError: ten queries or fewer have a probability above zero, or one lies outside [0, 1].
        FitError: the likeliest queries all have the same probability, below 1: there is no tail.

    Source: Jones et al. 2025 (arXiv 2502.16797), with the uncertainty of the tail and of future
    queries.
    """
    logs = np.asarray(logprob, float)
    if not 1 <= queries <= MOST_QUERIES:
        raise UsageError(f"queries must be at least 1 and at most 1e18, not {queries:g}")
    if not 0 < level < 1:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    if np.isnan(logs).any() or (logs > 0).any():
        bad = logs[np.isnan(logs) | (logs > 0)][0]
        raise DataError("is not a log-probability", column="logprob", value=bad, expected="<= 0")
    seen = np.sort(logs[np.isfinite(logs)])
    if len(seen) <= FEWEST_TAIL:
        raise DataError(
            f"{len(seen)} of {len(logs)} queries have an elicitation probability above zero",
            expected=f"more than {FEWEST_TAIL}: draw more samples, or measure more queries",
        )
    # A query of probability 1 has no psi.
    psi = -np.log(-np.minimum(seen, -1e-12))
    tail = min(max(int(TAIL_SHARE * len(logs)), FEWEST_TAIL), len(seen) - 1)
    base, above = psi[-tail - 1], psi[-tail:] - psi[-tail - 1]
    rng = np.random.default_rng(seed)
    certain = above[-1] < TIED and _is_certain(seen[-1])
    if above[-1] < TIED and not certain:
        raise FitError(
            f"the {tail + 1} likeliest queries all have probability {np.exp(seen[-1]):.3g}, so "
            "there is no tail to extrapolate; draw more samples per query until their rates "
            "differ, or measure more queries"
        )
    if certain:
        base, shape, scale = np.inf, np.zeros(DRAWS), np.zeros(DRAWS)
    else:
        shape, scale = _posterior(above, rng)
    share = rng.beta(tail, len(logs) - tail + 1, DRAWS)
    largest, silent = np.empty(DRAWS), np.empty(DRAWS)
    rest = np.sort(logs)[:-tail]
    bulk = float(_silence(rest).sum()) / len(rest)
    for d in range(DRAWS):
        if queries <= TOP:
            # So few that chance decides how many of them lie in the tail, and which the others are.
            count = int(rng.binomial(int(queries), share[d]))
            others = rest[rng.integers(len(rest), size=int(queries) - count)]
            silent[d] = _silence(others).sum()
            best = others.max(initial=-np.inf)
        else:
            count = int(rng.poisson(queries * share[d]))
            silent[d] = max(queries - count, 0) * bulk
            best = rest[-1]
        top = min(count, TOP)
        # Survival of the largest of `count` queries, in order: a Poisson process.
        order = np.minimum(np.cumsum(rng.exponential(size=top)) / max(count, 1), 1.0)
        p = _probability(base + _above(order, shape[d], scale[d]))
        largest[d] = p[0] if top else np.exp(best)
        silent[d] += np.log1p(-np.minimum(p, ALMOST)).sum()
        if count > top:
            middles = order[-1] + (1 - order[-1]) * (np.arange(64) + 0.5) / 64
            others = _probability(base + _above(middles, shape[d], scale[d]))
            silent[d] += (count - top) * np.log1p(-np.minimum(others, ALMOST)).mean()
    ends = [(1 - level) / 2, 0.5, (1 + level) / 2]
    never = int(np.isneginf(logs).sum())
    notes = []
    if queries > 1000 * len(logs):
        notes.append(
            f"{queries / len(logs):,.0f} times as many queries as were measured: the law was "
            "tested up to a hundred times as many"
        )
    if never > len(logs) - 2 * tail:
        notes.append(
            f"{never} of {len(logs)} queries never passed: the forecast uses only the tail that "
            "was seen"
        )
    if certain:
        notes.append(
            f"{int(_is_certain(logs).sum())} of {len(logs)} queries are certain to show it: the "
            "worst case is known from them, and no tail is extrapolated"
        )
    low, middle, high = np.quantile(largest, ends).tolist()
    a, b, c = (-np.expm1(np.quantile(silent, ends[::-1]))).tolist()
    return RareForecast(
        queries=float(queries),
        largest=RareEstimate(middle, (low, high)),
        any=RareEstimate(b, (a, c)),
        measured=len(logs),
        never=never,
        tail=tail,
        slope=float("nan") if certain else float(-1 / np.median(scale)),
        level=level,
        notes=tuple(notes),
    )


def elicitation_logprobs(table: pl.DataFrame) -> Floats:
    """Return the log elicitation probability of each query in a table: of its instances or rows.

    From `logprob`, else from counts (unbiased under stopping), else from `value`.

    Raises:
        DataError: no row has an instance, or rows are of several models or tasks.
    """
    rows = table
    if "instance" in table.columns:
        rows = table.filter(pl.col("instance").is_not_null())
    if rows.is_empty():
        raise DataError(
            "has no rows of single queries", column="instance", expected="one row per query"
        )
    for column in ("model", "step", "seed", "task", "metric", "method", "temperature"):
        if column in rows.columns and rows[column].n_unique() > 1:
            found = rows[column].unique().sort().to_list()[:3]
            raise DataError(
                f"rows of several values of '{column}'",
                column=column,
                value=found,
                expected=f'one: choose with --where "{column} = ..."',
            )
    n = rows.height
    p = np.full(n, np.nan)
    if "value" in rows.columns:
        p = rows["value"].cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
    if {"passes", "samples"} <= set(rows.columns):
        passes = rows["passes"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        samples = rows["samples"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        there = np.isfinite(passes) & np.isfinite(samples)
        stops = np.full(n, np.inf)
        if "stop_passes" in rows.columns:
            stops = rows["stop_passes"].cast(pl.Float64).fill_null(np.inf).to_numpy()
        fill = there & np.isnan(p)
        if fill.any():
            p[fill] = rate(passes[fill], samples[fill], stops[fill])
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.clip(p, 0, 1))
    if "logprob" in rows.columns:
        known = rows["logprob"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        logs = np.where(np.isnan(known), logs, known)
    return np.asarray(logs[~np.isnan(logs)])


def _is_certain(logprob: Any) -> Any:
    return np.asarray(logprob) > -TIED


def _silence(logprob: Floats) -> Floats:
    """Return the log-probability that a query does not show it."""
    return np.log1p(-np.exp(np.minimum(logprob, -1e-12)))


def _posterior(above: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw shape and scale of the excesses, on a grid: flat in log scale."""
    shapes = np.linspace(-3, 3, 61) * SHAPE_SPREAD
    mean = float(above.mean())
    scales = mean * np.exp(np.linspace(-2.5, 2.5, 121))
    xi, sigma = np.meshgrid(shapes, scales, indexing="ij")
    log = np.empty(xi.shape)
    # One shape at a time: a table of a million queries has a hundred thousand excesses.
    for row, x in enumerate(shapes):
        if abs(x) < 1e-9:
            log[row] = -mean * len(above) / scales
            continue
        z = 1 + x * above / scales[:, None]
        told = -(1 + 1 / x) * np.log(np.maximum(z, 1e-300)).sum(-1)
        log[row] = np.where((z > 0).all(-1), told, -np.inf)
    log = (log - len(above) * np.log(sigma) - 0.5 * (xi / SHAPE_SPREAD) ** 2).ravel()
    weight = np.exp(log - log.max())
    chosen = rng.choice(weight.size, DRAWS, p=weight / weight.sum())
    return xi.ravel()[chosen], sigma.ravel()[chosen]


def _above(survival: Floats, shape: float, scale: float) -> Floats:
    """Return the excess that this share of the tail lies above."""
    if abs(shape) < 1e-9:
        return -scale * np.log(survival)
    return scale * (survival**-shape - 1) / shape


def _probability(psi: Floats) -> Floats:
    return np.exp(-np.exp(-np.minimum(psi, 700.0)))
