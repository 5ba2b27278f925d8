"""The compute-optimal model from runs of equal compute: approach 2 of Hoffmann et al. 2022.

Per budget, a parabola through loss over log size has its minimum at the best size; a line through
these in logarithms gives the best size at other budgets. It needs no law, and has two known biases:
a curve of losses is not a parabola, so that sizes placed unevenly around the best pull its minimum
to one side; and the line is extrapolated as it is. The first bias is estimated here, by what the
same parabolas give for a Chinchilla law fitted to the same points, and reported in a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from augury.data.compute import params_for_flops, tokens_for_flops, training_flops
from augury.errors import DataError, FitError, UsageError
from augury.fitting import Fit, fit
from augury.fitting.space import Floats
from augury.forecast.prediction import predict
from augury.forecast.questions.answers import Estimate, status_at
from augury.forecast.questions.optimal import FLAT, ComputeOptimum, LossSurface
from augury.laws import Law
from augury.notes import Note

# Runs belong to one budget within this factor; minimum number of sizes per budget; minimum number
# of budgets.
SAME, SIZES, BUDGETS = 1.12, 5, 3
# Sizes in a parabola lie within this factor of the size with the smallest loss: farther out the
# curve is not a parabola.
NEAR = 8.0
RESAMPLES = 400
UNKNOWN = (np.nan, np.nan)
POINTS = 61


@dataclass(frozen=True)
class _Parabolas:
    """One parabola per budget: vertex in log size, loss there, half its second derivative."""

    log_flops: Floats
    log_size: Floats
    loss: Floats
    bend: Floats


def isoflop_optimum(
    table: pl.DataFrame,
    *,
    flops: float | None = None,
    tokens: float | None = None,
    params: float | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> ComputeOptimum:
    """Find the compute-optimal model from a table of runs of equal compute.

    Args:
        table: params, loss and two of params, tokens and flops per run.
        flops: the budget, in FLOPs; or, in its place,
        tokens, params: what is to be optimal.
        level: of the intervals, which come from resampling the runs of every budget.
        seed: of the resampling.

    Returns:
        A `ComputeOptimum` with `method="isoflop"`.

    Raises:
        DataError: fewer than three budgets have five sizes each.
        UsageError: not exactly one of flops, tokens and params is given.

    Source: Hoffmann et al. 2022 (arXiv 2203.15556), approach 2.
    """
    asked = {"flops": flops, "tokens": tokens, "params": params}
    given = {name: float(x) for name, x in asked.items() if x is not None}
    if len(given) != 1:
        raise UsageError("give one of flops, tokens and params with a table of equal budgets")
    ((name, target),) = given.items()
    if not (np.isfinite(target) and target > 0):
        raise UsageError(f"{name} must be a positive number, not {target:g}")
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    runs = table.select("params", "flops", "loss").drop_nulls()
    size, compute, loss = (runs[c].to_numpy().astype(float) for c in runs.columns)
    group = budget_groups(size, compute, loss)
    count = int(group.max(initial=-1)) + 1
    if count < BUDGETS:
        raise DataError(
            f"{count} budgets have {SIZES} or more sizes",
            column="flops",
            expected=f"at least {BUDGETS} budgets (runs whose FLOPs agree within 12 %), or a fit",
        )
    logs = np.log(size), np.log(compute)
    best = _parabolas(*logs, loss, group)
    if best is None:
        raise DataError(
            f"fewer than {BUDGETS} budgets have their lowest loss between their sizes",
            column="loss",
            expected="sizes on both sides of the best one",
        )
    rng = np.random.default_rng(seed)
    drawn = [_resampled(*logs, loss, group, rng) for _ in range(RESAMPLES)]
    kept = [best, *(p for p in drawn if p is not None)]
    lines = np.array([np.polyfit(p.log_flops, p.log_size, 1) for p in kept])
    budget = _solve(lines, name, target)
    at_size = np.exp(lines[:, 0] * np.log(budget) + lines[:, 1])
    at_tokens = tokens_for_flops(budget, at_size)
    least = _least_loss(best, level, seed)
    reached = None if least is None else predict(least, {"flops": float(budget[0])})[0]
    relative = float(np.median(best.bend / best.loss))
    width = np.sqrt(FLAT / relative)
    used = group >= 0
    low, high = compute[used].min(), compute[used].max()
    far = max(0.0, float(np.log(budget[0] / high)), float(np.log(low / budget[0])))
    far /= float(np.log(high / low))
    status, notes = status_at(far)
    notes.append(_bias_note(size, compute, loss, group, lines[0], float(budget[0])))
    if len(kept) - 1 < (1.0 + level) / 2.0 * RESAMPLES:
        share = 1.0 - (len(kept) - 1) / RESAMPLES
        said = f"{share:.0%} of the resamples have no optimum: the interval is too narrow."
        notes.append(Note("no-optimum", "warning", said, {"share": share}))

    def estimate(x: Floats) -> Estimate:
        return Estimate.of_draws(float(x[0]), x[1:], level)

    return ComputeOptimum(
        level=level,
        status=status,
        notes=tuple(notes),
        seed=seed,
        law="isoFLOP parabolas",
        method="isoflop",
        asked=given,
        flops=estimate(budget),
        params=estimate(at_size),
        tokens=estimate(at_tokens),
        loss=Estimate(np.nan, UNKNOWN)
        if reached is None
        else Estimate(reached.value, reached.mean_interval),
        run_loss=UNKNOWN if reached is None else reached.run_interval,
        flat=(float(at_size[0] * np.exp(-width)), float(at_size[0] * np.exp(width))),
        extrapolation=far,
        curves=_curves(best),
        frontier=_frontier(best, lines, least, float(budget[0]), level),
        runs=pl.DataFrame({"params": size[used], "tokens": tokens_for_flops(compute, size)[used],
                           "flops": compute[used], "loss": loss[used]}),
    )  # fmt: skip


def budget_groups(size: Floats, flops: Floats, loss: Floats) -> Any:
    """Return (n,) the budget of each run, from 0 upwards in compute; -1 for none.

    Budgets are where most runs agree within `SAME`, taken one after the other; in each, the sizes
    within `NEAR` of its lowest loss count.
    """
    logs, free = np.log(flops), np.ones(len(flops), bool)
    found = []
    while free.any():
        close = np.abs(logs[:, None] - logs[None, :]) <= np.log(SAME)
        counts = (close & free[:, None] & free[None, :]).sum(1)
        centre = int(np.argmax(counts))
        own = close[centre] & free
        # A run between budgets belongs to none: a run a fifth larger does not form another.
        free &= np.abs(logs - logs[centre]) > 2 * np.log(SAME)
        best = np.argmin(np.where(own, loss, np.inf))
        own &= np.abs(np.log(size / size[best])) <= np.log(NEAR)
        if len(np.unique(size[own])) >= SIZES:
            found.append(own)
    group = np.full(len(flops), -1)
    for k, own in enumerate(sorted(found, key=lambda o: float(logs[o].mean()))):
        group[own] = k
    return group


def _parabolas(log_size: Floats, log_flops: Floats, loss: Floats, group: Any) -> _Parabolas | None:
    """Fit parabolas to budgets with their minimum between their sizes; None if too few."""
    rows = []
    for k in range(int(group.max()) + 1):
        own = group == k
        x, centre = log_size[own], float(log_size[own].mean())
        if len(np.unique(x)) < 3:
            continue
        a, b, c = np.polyfit(x - centre, loss[own], 2)
        if not a > 0:
            continue
        vertex = centre - b / (2 * a)
        if not x.min() <= vertex <= x.max():
            continue
        rows.append((log_flops[own].mean(), vertex, c - b * b / (4 * a), a))
    return _Parabolas(*np.array(rows).T) if len(rows) >= BUDGETS else None


def _resampled(
    log_size: Floats, log_flops: Floats, loss: Floats, group: Any, rng: np.random.Generator
) -> _Parabolas | None:
    """Fit the parabolas of resampled runs, as many per budget."""
    rows = np.concatenate(
        [rng.choice(own := np.flatnonzero(group == k), len(own)) for k in range(group.max() + 1)]
    )
    return _parabolas(log_size[rows], log_flops[rows], loss[rows], group[rows])


def _solve(lines: Floats, name: str, target: float) -> Floats:
    """Return (1 + S,) budgets for what was asked, from lines log size = slope log flops + level."""
    slope, level = lines.T
    if name == "flops":
        return np.full(len(lines), target)
    if name == "params":
        return np.exp((np.log(target) - level) / slope)
    # log tokens = log flops - log 6 - log size
    return np.exp((np.log(training_flops(1.0, target)) + level) / (1.0 - slope))


def _least_loss(parabolas: _Parabolas, level: float, seed: int) -> Fit | None:
    """Fit the law of the lowest loss over compute through the vertices; None if meaningless."""
    table = {"flops": np.exp(parabolas.log_flops), "loss": parabolas.loss}
    fitted = fit("power:over=flops", table, level=level, influence=False, seed=seed)
    return fitted if fitted.usable else None


def _bias_note(
    size: Floats, flops: Floats, loss: Floats, group: Any, line: Floats, budget: float
) -> Note:
    """Report the error of the parabolas for a law of the same shape, at the same points."""
    said = (
        "Approach 2 is biased where sizes lie unevenly around the best one, and extrapolates a "
        "straight line"
    )
    own = group >= 0
    table = {"params": size[own], "flops": flops[own], "loss": loss[own],
             "tokens": tokens_for_flops(flops, size)[own]}  # fmt: skip
    law: Law
    try:
        fitted = fit("chinchilla", table, uncertainty="none", influence=False, throw=True)
    except FitError:
        return Note("parabola-bias", "warning", f"{said}; by how much is unknown here.")
    law = fitted.law
    smooth = law(fitted.parameters, params=size, tokens=tokens_for_flops(flops, size))
    parabolas = _parabolas(np.log(size), np.log(flops), smooth, group)
    true = LossSurface(fitted, 0).optimum(np.array([budget]))[0][0]
    if parabolas is None or not np.isfinite(true):
        return Note("parabola-bias", "warning", f"{said}; by how much is unknown here.")
    slope, level = np.polyfit(parabolas.log_flops, parabolas.log_size, 1)
    factor = float(np.exp(slope * np.log(budget) + level) / true)
    return Note(
        "parabola-bias",
        "info" if 0.9 < factor < 1.1 else "warning",
        f"{said}: on a Chinchilla law fitted to these points it gives {factor:.2f} times the best "
        f"size (that law's own optimum here is {true:.3g} parameters).",
        {"factor": factor, "law_params": float(true), "slope": float(line[0])},
    )


def _curves(best: _Parabolas) -> pl.DataFrame:
    parts = []
    for log_flops, centre, least, bend in zip(
        best.log_flops, best.log_size, best.loss, best.bend, strict=True
    ):
        at = centre + np.linspace(-np.log(NEAR), np.log(NEAR), POINTS) / 2
        params, flops = np.exp(at), np.full(POINTS, np.exp(log_flops))
        parts.append(pl.DataFrame({
            "flops": flops, "params": params, "tokens": tokens_for_flops(flops, params),
            "loss": least + bend * (at - centre) ** 2,
        }))  # fmt: skip
    return pl.concat(parts)


def _frontier(
    best: _Parabolas, lines: Floats, least: Fit | None, budget: float, level: float
) -> pl.DataFrame:
    low, high = np.exp(best.log_flops.min()), np.exp(best.log_flops.max())
    budgets = np.unique([*np.geomspace(min(low, budget), 3 * max(high, budget), 13), budget])
    losses = [np.nan] * len(budgets)
    if least is not None:
        losses = [f.value for f in predict(least, {"flops": budgets})]
    rows = []
    for c, loss in zip(budgets, losses, strict=True):
        size = np.exp(lines[:, 0] * np.log(c) + lines[:, 1])
        found = Estimate.of_draws(float(size[0]), size[1:], level)
        rows.append({"flops": c, "params": found.value, "low": found.interval[0],
                     "high": found.interval[1], "tokens": params_for_flops(c, found.value),
                     "loss": loss})  # fmt: skip
    return pl.DataFrame(rows)
