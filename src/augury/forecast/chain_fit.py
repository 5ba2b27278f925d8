"""Chains: a law of loss, then a law of the task in that loss, with one joint uncertainty.

Both laws are fitted to the same runs, so their uncertainties are correlated: a resample draws runs
once and refits both. Fitted stepwise, the task law learns from measured losses and the loss law
never sees a score (Bhagia et al. 2024). Fitted jointly, the loss law also bends to match the
scores, with each residual weighted by its own noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from augury.data import run_ids
from augury.display import Card, Shown
from augury.errors import UsageError
from augury.fitting import Fit, Gaussian, Likelihood, Status
from augury.fitting.likelihoods import Points
from augury.fitting.optimise import solve
from augury.fitting.problem import Problem, problem_from
from augury.fitting.single import fit
from augury.fitting.space import Floats
from augury.fitting.uncertainty import laplace
from augury.forecast.prediction import (
    Predictive,
    law_inputs,
    observed,
    perturb_by_residual,
    predictive,
)
from augury.laws import Chain, Law, Parameter, parse_law
from augury.laws.base import Array
from augury.laws.inputs import Input, Real
from augury.notes import Note

How = Literal["stepwise", "joint"]
# Below this many runs, some resamples have too few distinct ones for either law.
ENOUGH_RUNS = 12


@dataclass(frozen=True)
class _Stacked(Law):
    """Losses and scores in one column: log loss where `scored` is 0, the score where it is 1."""

    chain: Chain

    name: ClassVar[str] = "stacked-chain"
    output: ClassVar[str] = "value"
    equation: ClassVar[str] = ""
    source: ClassVar[str] = "ours"

    @property
    def inputs(self) -> Mapping[str, Input]:
        return {**self.chain.inputs, "scored": Real("1 where the row is a score")}

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return self.chain.parameters

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        loss = self.chain.loss.formula(p, x)
        return jnp.where(x.scored > 0, self.chain.formula(p, x), jnp.log(loss))


@dataclass(frozen=True)
class ChainFit(Shown):
    """A fitted chain.

    Attributes:
        chain, how: what was fitted, and whether "stepwise" or "joint".
        loss, task: the two fits; their draws are paired row by row.
        level: of intervals.
    """

    chain: Chain
    how: How
    loss: Fit
    task: Fit
    level: float

    @property
    def status(self) -> Status:
        """The worse of the two statuses."""
        return self.task.status if self.loss.usable else self.loss.status

    @property
    def notes(self) -> tuple[Note, ...]:
        return (*self.loss.notes, *self.task.notes)

    @property
    def parameters(self) -> dict[str, float]:
        task = {f"task_{n}": x for n, x in self.task.parameters.items()}
        return {**self.loss.parameters, **task}

    @property
    def usable(self) -> bool:
        """Whether the parameters of both laws are meaningful."""
        return self.loss.usable and self.task.usable

    def to_dict(self) -> dict[str, Any]:
        """Return both fits without draws and data, ready for JSON."""
        loss, task = self.loss.to_dict(), self.task.to_dict()
        both = {
            key: {**loss[key], **{f"task_{n}": x for n, x in task[key].items()}}
            for key in ("params", "intervals")
        }
        return {
            "law": str(self.chain),
            "how": self.how,
            "n": task["n"],
            "runs": task["runs"],
            **both,
            "objective": {"loss": loss["objective"], "task": task["objective"]},
            "status": str(self.status),
            "remedy": self.status.remedy,
            "level": self.level,
            "notes": [*loss["notes"], *task["notes"]],
            "loss": loss,
            "task": task,
        }

    def __str__(self) -> str:
        return f"{self.chain}, fitted {self.how}: {self.status}\n{self.loss}\n{self.task}"

    def _card(self) -> Card:
        parts = [fit._card().table for fit in (self.loss, self.task)]
        names = pl.Series("step", ["loss", "task"])
        table = pl.concat(
            [part.select(pl.lit(name).alias("step"), pl.all())
             for name, part in zip(names, parts, strict=True)]
        )  # fmt: skip
        remedy = (self.status.remedy,) if self.status.remedy else ()
        return Card(f"{self.chain}, fitted {self.how}: {self.status}", table,
                    (*remedy, *self.notes))  # fmt: skip


def fit_chain(
    chain: Chain | str,
    data: pl.DataFrame,
    *,
    scores: pl.DataFrame | None = None,
    how: How = "stepwise",
    likelihood: Likelihood | str | None = None,
    task_likelihood: Likelihood | str | None = None,
    uncertainty: Literal["bootstrap", "laplace"] | None = None,
    resamples: int = 1000,
    level: float = 0.9,
    influence: bool = True,
    seed: int = 0,
) -> ChainFit:
    """Fit both laws of a chain to the same runs.

    Args:
        chain: the two laws, or their names, "chinchilla+logistic-task".
        data: rows with the loss law's inputs and the link (loss or bpb); and the scores, unless
            given as `scores`.
        scores: rows with the link and the score, if there are more of those (for example, all
            checkpoints, while `data` has final ones). Runs are matched by `run`, or by model,
            family and seed.
        how: "stepwise" (the loss law first, then the task law on its predictions) or "joint".
        likelihood: of the loss law.
        task_likelihood: of the task law.
        uncertainty: "bootstrap", runs resampled once for both laws; "laplace", separately per law,
            for ladders too short to lose a run (the default below 12 runs).
        resamples: number of joint draws S.
        level: of intervals.
        influence: as in `fit`.
        seed: of the draws.

    Returns:
        A `ChainFit`, for `predict`: both fits, their (S, P) draws paired row by row.

    Raises:
        DataError, UsageError: as `fit`.

    Source: Bhagia et al. 2024 (arXiv 2412.04403).

    Examples:
        >>> ladder = augury.read_table("ladder.csv")
        >>> chain = augury.Chain(augury.law("chinchilla"), augury.law("logistic-task"))
        >>> fitted = augury.fit_chain(chain, ladder)
        >>> (forecast,) = augury.predict(fitted, {"params": 7e9, "tokens": 1.4e11})
        >>> print(f"{forecast.value:.1f}")
        0.9
    """
    law = parse_law(chain) if isinstance(chain, str) else chain
    if not isinstance(law, Chain):
        raise UsageError(f"fit_chain takes a chain of two laws, not '{law}': use fit")
    chain = law
    scored = data if scores is None else scores
    first = fit(
        chain.loss,
        data,
        likelihood=likelihood,
        uncertainty="none",
        output=chain.link,
        influence=influence,
    )
    second = fit(
        chain.task, scored, likelihood=task_likelihood, uncertainty="none", influence=influence
    )
    rng = np.random.default_rng(seed)
    one, two = _problem(first), _problem(second)
    if how == "joint":
        pair = _joint(chain, scored, first, second, resamples, rng)
        first, second = (
            _with_draws(f, *end, "laplace", level, seed + k)
            for k, (f, end) in enumerate(zip((first, second), pair, strict=True))
        )
        return ChainFit(chain, how, first, second, level)
    names = _shared_runs(data, scored)
    if uncertainty is None:
        uncertainty = "bootstrap" if len(names) >= ENOUGH_RUNS else "laplace"
    if uncertainty == "laplace":
        first, second = (
            _with_draws(f, p.space.natural(u), p.space.natural(draws), "laplace", level, seed + k)
            for k, (f, p) in enumerate(((first, one), (second, two)))
            for u in (p.space.internal(np.array(list(f.parameters.values()))),)
            for draws in (laplace(p, u, resamples, rng),)
        )
        return ChainFit(chain, how, first, second, level)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    parts = []
    for problem, result, table in ((one, first, data), (two, second, scored)):
        weights = drawn[:, _run_index(names, table, problem)].astype(float)
        u = problem.space.internal(np.array(list(result.parameters.values())))
        ends = solve(
            problem.law,
            problem.likelihood,
            np.repeat(u[None], resamples, 0),
            problem.points,
            weights,
            tolerance=1e-10,
        )
        parts.append((u, ends))
    good = parts[0][1].converged & parts[1][1].converged
    fits = []
    for k, ((u, ends), result, problem) in enumerate(
        zip(parts, (first, second), (one, two), strict=True)
    ):
        natural = problem.space.natural(ends.u[good])
        best = problem.space.natural(u)
        fits.append(_with_draws(result, best, natural, "bootstrap", level, seed + k))
    return ChainFit(chain, how, fits[0], fits[1], level)


def _with_draws(
    result: Fit, best: Floats, draws: Floats, uncertainty: str, level: float, seed: int
) -> Fit:
    named = dict(zip(result.parameters, map(float, best), strict=True))
    return replace(
        result, parameters=named, draws=draws, uncertainty=uncertainty, level=level, seed=seed
    )


def _problem(result: Fit) -> Problem:
    """Rebuild the problem behind a fit from the data it carries."""
    return problem_from(result.law, result.likelihood, result.data)


def _run_key(table: pl.DataFrame) -> pl.Series:
    if "run" in table.columns:
        return table["run"].cast(pl.String)
    keys = [n for n in ("model", "family", "seed") if n in table.columns]
    if "model" not in keys:
        return pl.Series(map(str, range(table.height)))
    return table.select(pl.concat_str(pl.col(keys).cast(pl.String), separator="|")).to_series()


def _shared_runs(data: pl.DataFrame, scores: pl.DataFrame) -> list[str]:
    return sorted(set(_run_key(data)) | set(_run_key(scores)))


def _run_index(names: list[str], table: pl.DataFrame, problem: Problem) -> Any:
    """Return (n,) the index in `names` of each point's run."""
    key = dict(zip(run_ids(table).tolist(), _run_key(table).to_list(), strict=True))
    place = {name: i for i, name in enumerate(names)}
    return np.array([place[key[run]] for run in problem.table["run"].to_list()])


def _joint(
    chain: Chain,
    data: pl.DataFrame,
    first: Fit,
    second: Fit,
    count: int,
    rng: np.random.Generator,
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Return best values and draws of both laws, fitted to losses and scores at once."""
    missing = [n for n in chain.loss.inputs if n not in data.columns]
    if missing or chain.link not in data.columns or second.likelihood.counts:
        raise UsageError(
            "a joint fit needs inputs, losses and scores in the same rows, and a Gaussian "
            "likelihood for the scores; fit step by step instead"
        )
    table = data.with_columns(run=pl.Series(run_ids(data)))
    losses = table.with_columns(scored=pl.lit(0.0), y=pl.col(chain.link).log())
    scores = table.with_columns(scored=pl.lit(1.0), y=pl.col("value"))
    both = pl.concat([losses, scores]).with_columns(
        pl.lit(x).alias(n) for n, x in chain.defaults.items() if n not in table.columns
    )
    law = _Stacked(chain)
    points = Points(
        tuple(both[n].cast(pl.Float64).to_numpy()[None] for n in law.inputs),
        both["y"].to_numpy()[None],
        np.ones((1, both.height)),
    )
    problem = Problem(law, Gaussian(), both, points, both["run"].to_numpy().astype(np.int64))
    # Each residual in units of its own noise: a tenth of a nat and a tenth of a score differ.
    noise = [float(np.mean(f.residuals**2)) + 1e-12 for f in (first, second)]
    weights = 1.0 / np.repeat(noise, table.height)[None]
    best = [*first.parameters.values(), *second.parameters.values()]
    start = problem.space.internal(np.array(best))
    end = solve(law, problem.likelihood, start[None], points, weights)
    draws = problem.space.natural(laplace(problem, end.u[0], count, rng, weights))
    split = len(first.parameters)
    value = problem.space.natural(end.u[0])
    return (value[:split], draws[:, :split]), (value[split:], draws[:, split:])


@predictive.register
def _(fitted: ChainFit, at: pl.DataFrame) -> Predictive:
    loss = predictive(fitted.loss, at)
    task, names = fitted.chain.task, list(fitted.chain.task.parameters)
    rest = law_inputs_of_task(fitted, at)
    nothing = np.full((1, len(names)), np.nan)
    draws = fitted.task.draws if len(fitted.task.draws) else nothing
    # If refits did not converge, one law has fewer draws: the shorter list is repeated.
    count = max(len(loss.mean), len(draws))
    ours, theirs = (np.resize(np.arange(n), count) for n in (len(draws), len(loss.mean)))
    columns = {n: draws[ours, j : j + 1] for j, n in enumerate(names)}
    value = task(fitted.task.parameters, **{fitted.chain.link: loss.value}, **rest)
    wide = {n: x[None] for n, x in rest.items()}
    mean = task(columns, **{fitted.chain.link: loss.mean[theirs]}, **wide)
    moved = task(columns, **{fitted.chain.link: loss.run[theirs]}, **wide)
    rng = np.random.default_rng(
        [fitted.task.seed, 1]
    )  # a random stream separate from the loss law's
    drawn = rng.choice(fitted.task.residuals, size=(len(moved), 1))
    return Predictive(value, mean, perturb_by_residual(fitted.task.likelihood, moved, drawn))


def law_inputs_of_task(fitted: ChainFit, at: pl.DataFrame) -> dict[str, Floats]:
    """Return what the task law takes besides the link: chance, as in the fit."""
    linked = at.with_columns(pl.lit(1.0).alias(fitted.chain.link))
    inputs = law_inputs(fitted.task, linked)
    return {n: x for n, x in inputs.items() if n != fitted.chain.link}


@observed.register
def _(fitted: ChainFit) -> pl.DataFrame:
    return observed(fitted.loss)
