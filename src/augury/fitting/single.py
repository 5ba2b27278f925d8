"""Fit a law to a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import polars as pl

from augury.data.cut_draws import cut_draws_notes
from augury.errors import FitError, UsageError
from augury.fitting.compile_ahead import compile_ahead
from augury.fitting.covariance import pieces_at
from augury.fitting.diagnose import notes_on, status_of
from augury.fitting.likelihoods import Likelihood
from augury.fitting.optimise import Solution, objectives, solve
from augury.fitting.problem import Problem, problem_of
from augury.fitting.result import Fit, Status
from augury.fitting.space import Floats
from augury.fitting.starts import find_starts
from augury.fitting.uncertainty import (
    band_to_range,
    bootstrap,
    by_unit,
    laplace,
    spare_units,
)
from augury.laws import Law, parse_law
from augury.notes import Note

Uncertainty = Literal["bootstrap", "laplace", "nuts", "none"]

# Starts polished: on Chinchilla's 240 points each of the grid's best eight ends in the same
# optimum; laws with several minima (broken power laws) need the spare ones.
POLISHED = 8
# With fewer converged resamples than this, the law is close to not being identified.
ENOUGH_RESAMPLES = 0.9


def fit(
    law: Law | str,
    data: pl.DataFrame | Mapping[str, Any],
    *,
    likelihood: Likelihood | str | None = None,
    uncertainty: Uncertainty = "laplace",
    resamples: int = 1000,
    level: float = 0.9,
    output: str | None = None,
    influence: bool = True,
    seed: int = 0,
    throw: bool = False,
) -> Fit:
    """Fit `law` to `data`, with intervals and notes on how far to trust it.

    The search is deterministic: variable projection over the parameters that do not enter linearly,
    then Levenberg-Marquardt from the best starts. Checkpoints of one run count as one draw.

    Args:
        law: a law, or its name as `augury laws` lists it (`"broken-power:breaks=2"`).
        data: the observation table, or a mapping of columns: the law's inputs (params, tokens and
            flops as plain numbers, losses in nats per token), what it predicts, and, if present,
            `model`, `seed` or `run`, which say which rows are one training run.
        likelihood: "huber" (log residuals, delta 1e-3, summed), "gaussian", "binomial",
            "beta-binomial", "pinball", or an instance such as `Pinball(tau=0.98)`. By default Huber
            for losses, binomial for scores with counts, Gaussian for scores without.
        uncertainty: "laplace", a fraction of a second, accurate where runs are few (it refits
            with random weights where a parameter is at its bound, and under Huber's loss with many
            runs); "bootstrap" over runs, the published method, somewhat wide with Huber; "nuts", a
            posterior with R-hat and effective sample size in `diagnostics`, whose central draw is
            the value reported; "none". docs/intervals.md has the measured coverage.
        resamples: number of draws S.
        level: of the intervals.
        output: column predicted, if it is not the law's own (a task's bits per byte, say).
        influence: leave out every point in turn, for the notes on rows that move the answer. False
            saves about half of a fit's time, where thousands are fitted and nobody reads notes.
        seed: of all randomness.
        throw: raise `FitError` if the status is "not identifiable" or "no start converged", instead
            of returning it.

    Returns:
        A `Fit`: parameters, objective, status with its remedy, notes, (S, P) draws.

    Raises:
        DataError: a column is missing, or a value cannot be fitted; it names row and column.
        UsageError: the law, likelihood or an option does not exist or does not suit the table.
        FitError: only with `throw`.

    Sources: Hoffmann et al. 2022 (arXiv 2203.15556), approach 3; Besiroglu et al. 2024
    (arXiv 2404.10102) for the bootstrap; Golub & Pereyra 1973 for variable projection.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> fitted = augury.fit("chinchilla", runs)
        >>> print(fitted.status)
        converged
        >>> print(f"{fitted.parameters['alpha']:.2f}")
        0.33
    """
    law = parse_law(law) if isinstance(law, str) else law
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    if resamples < 1:
        raise UsageError(f"resamples must be at least 1, not {resamples}")
    if uncertainty not in ("bootstrap", "laplace", "nuts", "none"):
        raise UsageError(
            f"no uncertainty is called '{uncertainty}'; there are: bootstrap, laplace, nuts, none"
        )
    problem = problem_of(law, data, likelihood, output=output)
    rng = np.random.default_rng(seed)
    refits = compile_ahead(problem) if influence else None
    problem, solution, best = optimum(problem)
    status = status_of(problem, best, solution)
    u, objective = solution.u[best], float(solution.objective[best])
    identified = status.usable
    units = by_unit(problem) if identified else problem
    if refits is not None:
        refits.join()
    notes, diagnostics = notes_on(units, best, solution, status, influence=influence)
    notes += few_runs_note(problem, units, u) if identified else []
    notes += cut_draws_notes(data) if isinstance(data, pl.DataFrame) else []
    draws = np.empty((0, len(u)))
    # What the data do not determine has no interval of any width (unless a prior supplies one).
    if status is Status.NO_START_CONVERGED or (not identified and uncertainty != "nuts"):
        uncertainty = "none"
    elif uncertainty == "bootstrap":
        draws, converged = bootstrap(problem, u, resamples, rng)
        diagnostics["converged_draws"] = converged
        if converged < ENOUGH_RESAMPLES:
            notes.append(
                Note(
                    "resamples",
                    "warning",
                    f"Only {converged:.0%} of the resamples could be fitted: with some runs left "
                    "out, the law is no longer identified, and the intervals are too narrow.",
                    {"converged": converged},
                )
            )
    elif uncertainty == "laplace":
        draws = laplace(problem, u, resamples, rng)
    elif uncertainty == "nuts":
        from augury.fitting.posterior import posterior

        draws, found, warnings = posterior(units, u, resamples, seed)
        diagnostics |= found
        notes += warnings
        u = central_draw(draws)
        objective = objectives(
            problem.law, problem.likelihood, u[None], problem.points, problem.ones
        )[0]
    if uncertainty in ("bootstrap", "laplace") and (width := band_to_range(problem, u, draws)) > 1:
        status, uncertainty, draws = Status.NOT_IDENTIFIABLE, "none", draws[:0]
        diagnostics["band_to_range"] = width
        notes.append(says_nothing_note(problem, width))
    if uncertainty in ("bootstrap", "laplace") and status is Status.CONVERGED and not len(draws):
        status = Status.NO_INTERVALS
    natural = problem.space.natural(u)
    result = Fit(
        law=problem.law,
        likelihood=problem.likelihood,
        parameters={n: float(x) for n, x in zip(problem.space.names, natural, strict=True)},
        objective=float(objective),
        status=status,
        notes=tuple(notes),
        draws=problem.space.natural(draws),
        uncertainty=uncertainty,
        level=level,
        residuals=run_residuals(units, u),
        data=problem.table,
        diagnostics=diagnostics,
        seed=seed,
    )
    if throw and not result.usable:
        raise FitError(f"{law}: {status}. {status.remedy}")
    return result


def few_runs_note(problem: Problem, units: Problem, u: Floats) -> list[Note]:
    """Return a note if runs are too few to tell how far they differ from each other."""
    runs, size = problem.run_count, problem.size
    parameters = len(problem.law.parameters)
    details = {"runs": runs, "points": size, "parameters": parameters}
    if spare_units(problem, u) < 1:
        said = (
            f"{size} points of {runs} runs leave nothing to estimate the noise from once "
            f"{parameters} parameters are fitted: there are no intervals."
        )
        return [Note("few-training-runs", "serious", said, details)]
    if units is not problem:
        said = (
            f"There are only {runs} training {'run' if runs == 1 else 'runs'}: intervals come from "
            f"how {size} single points scatter, and do not contain the spread between runs."
        )
        return [Note("few-training-runs", "warning", said, details)]
    return []


def says_nothing_note(problem: Problem, width: float) -> Note:
    """Return a note if the fit knows less about its own runs than their outcomes' range."""
    said = (
        f"{problem.run_count} runs ({problem.size} points) do not identify "
        f"{len(problem.law.parameters)} parameters: at these very points the law's 90 % interval "
        f"is {width:.3g} times as wide as the range of all outcomes. "
        f"{Status.NOT_IDENTIFIABLE.remedy}"
    )
    details = {"runs": problem.run_count, "parameters": len(problem.law.parameters), "width": width}
    return Note("not-identifiable", "serious", said, details)


def central_draw(draws: Floats) -> Floats:
    """Return (P,) the draw nearest the middle of (S, P) draws, in units of their covariance.

    A posterior's medians, taken one by one, may lie off its ridge; a draw does not.
    """
    off = draws - np.median(draws, axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(off.T)))
    scaled = (off @ vectors) / np.sqrt(np.maximum(values, 1e-12 * values.max() + 1e-300))
    return np.asarray(draws[int(np.argmin((scaled**2).sum(1)))])


def optimum(problem: Problem) -> tuple[Problem, Solution, int]:
    """Return the problem with its noise, all polished starts, and the best converged one.

    If the law holds parameters by weak priors, the noise that weighs them is estimated by a first
    fit under priors of a thousandth of the weight.
    """
    ones = problem.ones
    starts = find_starts(problem.law, problem.likelihood, problem.points, ones, keep=POLISHED)[0]
    law, likelihood, points = problem.law, problem.likelihood, problem.points
    if problem.has_priors:
        least = np.min([likelihood.noise(float(f), problem.size, 0) for f in
                        objectives(law, likelihood, starts, points, ones)])  # fmt: skip
        problem = replace(problem, noise=1e-3 * float(least))
    solution = solve(law, likelihood, starts, points, ones, problem.prior)
    if problem.has_priors:
        found = objectives(law, likelihood, solution.u[[_best(solution)]], points, ones)[0]
        problem = replace(problem, noise=likelihood.noise(float(found), problem.size, 0))
        solution = solve(law, likelihood, solution.u, points, ones, problem.prior)
    return problem, solution, _best(solution)


def _best(solution: Solution) -> int:
    usable = np.where(solution.converged, solution.objective, np.inf)
    return int(np.argmin(usable if solution.converged.any() else solution.objective))


def run_residuals(problem: Problem, u: Floats) -> Floats:
    """Return (R,) how far a new run may lie from the law, on the scale of the likelihood.

    Widened by sqrt(G / (G - P)) for the parameters that were fitted to the runs.
    """
    spare = max(problem.run_count - len(problem.law.parameters), 1)
    eta = pieces_at(problem, u, problem.ones)[0]
    y, trials = problem.points.y[0], problem.points.trials[0]
    return problem.likelihood.run_spread(eta, y, trials, problem.run_count, spare)
