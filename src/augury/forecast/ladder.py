"""A ladder of models, several tasks, one larger target: chains whose exponents inform each other.

Bhagia et al. 2024 (arXiv 2412.04403) fit every task alone: a Chinchilla law of its bits per byte,
then a logistic curve to its score. Sixteen runs do not determine five parameters for each of eight
tasks; but the tasks of one ladder share much of their exponents. Here that is one option among
others (`TaskRecipe`), and backtests inside the ladder decide which to use: fit the runs below a
compute, forecast those above. The target is never used.

Intervals come from resampling runs, the same for every task and both steps. The backtests' errors
are evidence about their variance, pooled with the resamples' own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
import scipy

from augury.data.compute import training_flops
from augury.data.scores import check_one_metric
from augury.display import Card, Shown
from augury.errors import DataError, UsageError
from augury.fitting import Gaussian, Likelihood
from augury.fitting.likelihoods import Points
from augury.fitting.many import ManyFits, fit_many
from augury.fitting.optimise import Prior, no_prior, solve
from augury.fitting.space import Floats, Space
from augury.forecast.links import ARCSINE
from augury.forecast.prediction import run_share
from augury.forecast.wordings import (
    WordingForecast,
    Wordings,
    notes_on_tasks,
    over_wordings_of_tasks,
    wording_forecasts,
)
from augury.laws import Law
from augury.notes import Note
from augury.runtime.steps import count_steps

Scores = Literal["final", "late", "all"]

# Share of the ladder that the first backtest is fitted on, and by which the next ones grow.
FIRST_CUT, NEXT_CUT = 0.5, 0.125
RESAMPLES = 400


# How many cuts the resamples' own variance is worth when pooled with the backtests' errors.
PRIOR_CUTS = 4.0


@dataclass(frozen=True)
class TaskRecipe:
    """One way to forecast a ladder.

    Attributes:
        loss: law of bits per byte.
        pool: whether tasks share their exponents partially.
        likelihood: of the loss law.
        scores: points of the score curve: "final" of each run, "late" (second half of each run) or
            "all" checkpoints.
    """

    loss: str = "chinchilla"
    pool: bool = True
    likelihood: str = "huber"
    scores: Scores = "final"

    def __str__(self) -> str:
        pooled = "pooled" if self.pool else "apart"
        return f"{self.loss}, {self.likelihood}, {pooled}, {self.scores} scores"


RECIPES = tuple(
    TaskRecipe(loss, pool, likelihood, scores)
    for loss, pool, likelihood in (
        ("chinchilla", False, "huber"),
        ("chinchilla", True, "huber"),
        ("chinchilla", False, "gaussian"),
        ("chinchilla", True, "gaussian"),
        ("power:over=flops", False, "huber"),
    )
    for scores in ("all", "late", "final")
)


@dataclass(frozen=True)
class LadderForecast(Shown):
    """Forecasts of every task at the target.

    Attributes:
        recipe: the chosen one.
        table: per task: value; low, high (interval for a new run at `level`); mean_low, mean_high
            (for the mean of many runs); run_share: share of the new run's squared width that is
            spread between runs, which no forecast can remove.
        scoreboard: per recipe: mean absolute error of its backtests, best first.
        spread: standard deviation of errors, in units of that of resampling, after pooling both: 1
            if the backtests erred as much as the resamples predicted.
        coverage: share of the chosen recipe's backtest forecasts inside their intervals.
        level: of the intervals.
        wordings: by task, if the table tells wordings apart (`prompt`).
        notes: what to know before trusting it.
    """

    recipe: TaskRecipe
    table: pl.DataFrame
    scoreboard: pl.DataFrame
    spread: float
    coverage: float
    level: float
    wordings: Mapping[str, WordingForecast] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    def _card(self) -> Card:
        return Card(
            f"{self.table.height} tasks at the target, {self.level:.0%} intervals for a new run, "
            f"by {self.recipe}",
            self.table,
            (f"{self.coverage:.0%} of the backtest's intervals held", *self.notes),
        )


@dataclass(frozen=True)
class _Steps:
    """Both fits of a recipe, and the tables they came from."""

    loss: ManyFits
    score: ManyFits
    finals: pl.DataFrame
    scored: pl.DataFrame


def forecast_ladder(
    finals: pl.DataFrame,
    checkpoints: pl.DataFrame,
    at: dict[str, float],
    *,
    recipes: Sequence[TaskRecipe] = RECIPES,
    level: float = 0.9,
    seed: int = 0,
) -> LadderForecast:
    """Forecast the score of every task at a target, by the recipe that backtests best.

    Args:
        finals: one row per run and task: run, task, params, tokens, bpb (bits per byte of the
            correct answer) and value (score). Rows that differ only in `prompt` are wordings of
            one benchmark: forecasts are for the mean over wordings.
        checkpoints: the same columns, one row per checkpoint.
        at: params and tokens of the target.
        recipes: candidates.
        level: of the intervals.
        seed: of the resampling.

    Returns:
        A `LadderForecast`: a score and its interval for every task.

    Raises:
        DataError: a column is missing, or runs and tasks do not form a full grid.
        UsageError: there are no recipes, or a task has scores by several metrics.

    Source: Bhagia et al. 2024 (arXiv 2412.04403); pooling and the choice by backtest are ours.

    Examples:
        >>> tasks = augury.read_table("tasks.csv")
        >>> ladder = augury.forecast_ladder(tasks, tasks, {"params": 7e9, "tokens": 1.4e11})
        >>> ladder.table.columns
        ['task', 'value', 'low', 'high', 'mean_low', 'mean_high', 'run_share']
    """
    if not recipes:
        raise UsageError("no recipes to choose from")
    finals, words = over_wordings_of_tasks(_checked(finals), "value", ARCSINE)
    checkpoints, _ = over_wordings_of_tasks(_checked(checkpoints), "value", ARCSINE)
    folds = _backtest_folds(finals, checkpoints)
    errors: dict[TaskRecipe, list[Floats]] = {r: [] for r in recipes}
    chosen_steps: dict[tuple[int, TaskRecipe], _Steps] = {}
    shared: dict[int, dict[Any, ManyFits]] = {}
    for k, recipe in count_steps([(k, r) for k in range(len(folds)) for r in recipes], "fits"):
        past, past_checkpoints, future = folds[k]
        steps = _fit(recipe, past, past_checkpoints, shared.setdefault(k, {}))
        chosen_steps[k, recipe] = steps
        errors[recipe].append(_forecast_values(steps, future) - future["value"].to_numpy())
    means = {r: float(np.abs(np.concatenate(e)).mean()) for r, e in errors.items()}
    best = min(means, key=lambda r: means[r])
    rng = np.random.default_rng(seed)
    errors_in_sd = [
        _standardised(chosen_steps[k, best], future, level, rng)
        for k, (_, _, future) in enumerate(folds)
    ]
    spread = pooled_spread(errors_in_sd)
    inside = np.concatenate(errors_in_sd) <= spread * scipy.stats.norm.ppf(0.5 + level / 2)
    steps = _fit(best, finals, checkpoints, {})
    tasks = steps.loss.groups["task"].to_list()
    target = pl.DataFrame({"task": tasks, **{n: [float(x)] * len(tasks) for n, x in at.items()}})
    value = _forecast_values(steps, target)
    run, mean = (_interval(d, value, level, spread) for d in _draws(steps, target, rng))
    run, mean, asked = _count_wordings(words, tasks, run, mean, value, level)
    ends = {"low": run[0], "high": run[1], "mean_low": mean[0], "mean_high": mean[1]}
    share = [run_share(tuple(m), tuple(r)) for m, r in zip(mean.T, run.T, strict=True)]
    return LadderForecast(
        recipe=best,
        table=pl.DataFrame(
            {"task": tasks, "value": value, **ends, "run_share": share},
            schema_overrides={"run_share": pl.Float64},
        ),
        scoreboard=pl.DataFrame(
            {"recipe": [str(r) for r in means], "backtest_error": list(means.values())}
        ).sort("backtest_error"),
        spread=spread,
        coverage=float(inside.mean()),
        level=level,
        wordings=asked,
        notes=notes_on_tasks(words),
    )


def _count_wordings(
    words: Mapping[str, Wordings | None],
    tasks: Sequence[str],
    run: Floats,
    mean: Floats,
    value: Floats,
    level: float,
) -> tuple[Floats, Floats, dict[str, WordingForecast]]:
    """Add the spread of each task's wordings to (2, m) intervals, and say what is known of them."""
    run, mean, asked = run.copy(), mean.copy(), {}
    levels = np.array([(1 - level) / 2, 0.5, (1 + level) / 2])
    for g, task in enumerate(tasks):
        own = words.get(task)
        if own is None:
            continue
        whole = np.array([run[0, g], value[g], run[1, g]])[:, None]
        (found,) = wording_forecasts(own, whole, levels, ARCSINE)
        if found is not None:
            asked[task] = found
        for ends in (run, mean):
            q = np.array([ends[0, g], value[g], ends[1, g]])[:, None]
            ends[:, g] = own.widen(q, levels, ARCSINE)[[0, 2], 0]
    return run, mean, asked


def pooled_spread(errors: Sequence[Floats]) -> float:
    """Return the root of the pooled variance: of each cut's errors, and of the resamples'.

    Every cut counts as one, however many tasks and runs it forecasts: their errors are correlated.

    Args:
        errors: per cut, errors in standard deviations of the resamples.
    """
    seen = sum(float(np.mean(np.square(each))) for each in errors)
    return float(np.sqrt((PRIOR_CUTS + seen) / (PRIOR_CUTS + len(errors))))


def _checked(table: pl.DataFrame) -> pl.DataFrame:
    for name in ("run", "task", "params", "tokens", "bpb", "value"):
        if name not in table.columns:
            raise DataError("the column is missing", column=name, expected="a ladder's table")
    check_one_metric(table)
    return table.with_columns(flops=training_flops(pl.col("params"), pl.col("tokens")))


def _backtest_folds(
    finals: pl.DataFrame, checkpoints: pl.DataFrame
) -> list[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]:
    """Return per cut: final points below a compute, their checkpoints, final points above."""
    runs = finals.group_by("run").agg(pl.col("flops").max()).sort("flops", "run")["run"].to_list()
    if len(runs) < 8:
        raise DataError(f"{len(runs)} runs are too few to backtest", expected="at least 8 runs")
    folds = []
    share = FIRST_CUT
    while share < 1.0:
        known = runs[: round(share * len(runs))]
        past = pl.col("run").is_in(known)
        folds.append((finals.filter(past), checkpoints.filter(past), finals.filter(~past)))
        share += NEXT_CUT
    return folds


def _fit(
    recipe: TaskRecipe,
    finals: pl.DataFrame,
    checkpoints: pl.DataFrame,
    shared: dict[Any, ManyFits],
) -> _Steps:
    """Fit a recipe; recipes with a step in common share it through `shared`."""
    scored = _score_points(recipe.scores, finals, checkpoints)
    one = (recipe.loss, recipe.pool, recipe.likelihood)
    if one not in shared:
        likelihood: Likelihood | str = (
            Gaussian("log") if recipe.likelihood == "gaussian" else recipe.likelihood
        )
        shared[one] = fit_many(
            recipe.loss, finals, by="task", likelihood=likelihood, pool=recipe.pool, output="bpb"
        )
    if recipe.scores not in shared:
        shared[recipe.scores] = fit_many(
            "logistic-task:over=bpb", scored, by="task", likelihood="gaussian"
        )
    return _Steps(shared[one], shared[recipe.scores], finals, scored)


def _score_points(which: Scores, finals: pl.DataFrame, checkpoints: pl.DataFrame) -> pl.DataFrame:
    """Return points of the score curve, and the ideal one: 0 bits per byte, score 1."""
    if which == "final":
        table = finals
    elif which == "late":
        half = 0.5 * pl.col("tokens").max().over("run", "task")
        table = checkpoints.filter(pl.col("tokens") >= half)
    else:
        table = checkpoints
    kept = table.select("run", "task", "bpb", "value")
    ideal = (
        kept.select("task")
        .unique(maintain_order=True)
        .with_columns(
            # 1e-9: bits per byte are positive, and no law can distinguish this from 0
            run=pl.lit("ideal"),
            bpb=pl.lit(1e-9),
            value=pl.lit(1.0),
        )
    )
    return pl.concat([kept, ideal.select(kept.columns)])


def _forecast_values(steps: _Steps, at: pl.DataFrame) -> Floats:
    """Return (m,) forecasts at rows of task, params, tokens (and flops)."""
    names = steps.loss.groups["task"].to_list()
    rows = np.array([names.index(t) for t in at["task"]])
    link = _law_at(steps.loss.law, steps.loss.parameters[rows], _inputs(steps.loss.law, at))
    return _law_at(steps.score.law, steps.score.parameters[_rows(steps.score, at)], [link])


def _rows(fits: ManyFits, at: pl.DataFrame) -> Any:
    names = fits.groups["task"].to_list()
    return np.array([names.index(t) for t in at["task"]])


def _law_at(law: Law, parameters: Floats, inputs: list[Floats]) -> Floats:
    """Evaluate the law at (..., m, P) parameters and (..., m) inputs."""
    named = {n: parameters[..., j] for j, n in enumerate(law.parameters)}
    return law(named, **dict(zip(law.inputs, inputs, strict=True)))


def _inputs(law: Law, at: pl.DataFrame) -> list[Floats]:
    flops = at.with_columns(flops=training_flops(pl.col("params"), pl.col("tokens")))
    return [kind.read(flops, name) for name, kind in law.inputs.items()]


def _draws(steps: _Steps, at: pl.DataFrame, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return (S, m) forecasts of new runs, and of the mean of many.

    Both steps are refitted to the same resampled runs.
    """
    runs = steps.finals["run"].unique().sort().to_list()
    drawn = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size=RESAMPLES)
    loss, loss_residuals = _resampled(steps.loss, steps.finals, "bpb", runs, drawn, rng)
    score, score_residuals = _resampled(steps.score, steps.scored, "value", runs, drawn, rng)
    rows = _rows(steps.loss, at)
    link = _law_at(steps.loss.law, loss[:, rows], [x[None] for x in _inputs(steps.loss.law, at)])
    noise = np.stack([rng.choice(loss_residuals[g], size=RESAMPLES) for g in rows], axis=1)
    rows = _rows(steps.score, at)
    run, mean = (
        _law_at(steps.score.law, score[:, rows], [x]) for x in (link * np.exp(noise), link)
    )
    noise = np.stack([rng.choice(score_residuals[g], size=RESAMPLES) for g in rows], axis=1)
    return run + noise, mean


def _resampled(
    fits: ManyFits,
    table: pl.DataFrame,
    output: str,
    runs: list[str],
    drawn: Any,
    rng: np.random.Generator,
) -> tuple[Floats, list[Floats]]:
    """Return (S, G, P) parameters refitted to resampled runs, and each group's residuals.

    Pooled parameters keep their spread between groups; their mean is drawn anew per resample.
    """
    space = Space.of(fits.law, fits.likelihood.nuisance)
    tasks = fits.groups["task"].to_list()
    out = np.empty((len(drawn), len(tasks), len(space.names)))
    residuals = []
    means = None
    if fits.pooling is not None:
        pooled = fits.pooling
        error = pooled.spread / np.sqrt(len(tasks))
        means = pooled.mean + error * rng.standard_normal((len(drawn), len(pooled.mean)))
    place = {run: i for i, run in enumerate(runs)}
    for g, task in enumerate(tasks):
        own = table.filter(pl.col("task") == task)
        inputs = [own["bpb"].to_numpy()] if output == "value" else _inputs(fits.law, own)
        y = own[output].to_numpy()
        points = Points(tuple(x[None] for x in inputs), y[None], np.ones((1, len(y))))
        # The ideal point is not a run: it is in every resample.
        weights = np.stack(
            [drawn[:, place[r]] if r in place else np.ones(len(drawn)) for r in own["run"]], axis=1
        ).astype(float)
        u = space.internal(fits.parameters[g])
        prior = no_prior(len(u))
        if means is not None and fits.pooling is not None:
            index = [space.names.index(n) for n in fits.pooling.names]
            mean, precision = np.zeros((len(drawn), len(u))), np.zeros((len(drawn), len(u)))
            mean[:, index] = means
            precision[:, index] = fits.noise[g] / fits.pooling.spread**2
            prior = Prior(mean, precision)
        ends = solve(
            fits.law,
            fits.likelihood,
            np.repeat(u[None], len(drawn), 0),
            points,
            weights,
            prior,
            tolerance=1e-9,
            brief=False,  # every cut and task comes through here: 80 calls of one solver
        )
        good = np.isfinite(ends.u).all(1) & ends.converged
        refit = np.where(good[:, None], ends.u, u)
        out[:, g] = space.natural(refit)
        fitted = _law_at(fits.law, fits.parameters[g], inputs)
        off = np.log(y / fitted) if output == "bpb" else y - fitted
        spare = max(len(runs) - len(fits.law.parameters), 1)
        residuals.append(off * np.sqrt(len(runs) / spare))
    return out, residuals


def _standardised(
    steps: _Steps, future: pl.DataFrame, level: float, rng: np.random.Generator
) -> Floats:
    """Return (m,) errors of forecasts in standard deviations of their interval on that side."""
    value = _forecast_values(steps, future)
    low, high = _interval(_draws(steps, future, rng)[0], value, level, 1.0)
    off = future["value"].to_numpy() - value
    side = np.where(off > 0, high - value, value - low) / scipy.stats.norm.ppf(0.5 + level / 2)
    return np.abs(off) / np.maximum(side, 1e-12)


def _interval(draws: Floats, value: Floats, level: float, spread: float) -> Floats:
    """Return the (2, m) interval of (S, m) draws, stretched around the value."""
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0)
    # The interval must contain the value even if the median is far from it.
    low, high = np.minimum(low, value), np.maximum(high, value)
    ends = value - spread * (value - low), value + spread * (high - value)
    return np.clip(ends, 0.0, 1.0)
