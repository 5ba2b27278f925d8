"""Joint draws of a fit's parameters: bootstrap over runs, or Laplace.

Checkpoints of one run share its seed, data order and schedule. They are resampled together, or the
intervals come out too narrow by the square root of how many there are.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from augury.fitting.covariance import covariance
from augury.fitting.optimise import Prior, solve
from augury.fitting.problem import Problem
from augury.fitting.space import Floats

# Relative gain at which a resample counts as fitted: against 1e-13 it moves Chinchilla's exponents
# by 1e-5, a thousandth of their standard error, and saves a tenth of the time.
RESAMPLE_TOLERANCE = 1e-10


def run_weights(problem: Problem, count: int, rng: np.random.Generator) -> Floats:
    """(count, n) weights: how often each row's run is drawn among as many runs as there are."""
    runs = problem.run_count
    drawn = rng.multinomial(runs, np.full(runs, 1.0 / runs), size=count).astype(float)
    return drawn[:, problem.runs]


def widening(problem: Problem) -> float:
    """How much wider resampled deviations have to be for the runs that the parameters used up.

    sqrt(G / (G - P)) restores the residual variance, and Student's t with G - P degrees of freedom
    replaces the normal (tests/claims measures the coverage this gives).
    """
    runs, size = problem.run_count, len(problem.law.parameters)
    spare = runs - size
    if spare < 1:
        return 1.0
    return float(np.sqrt(runs / spare) * stats.t.ppf(0.95, spare) / stats.norm.ppf(0.95))


def bootstrap(
    problem: Problem, u: Floats, count: int, rng: np.random.Generator, prior: Prior | None = None
) -> tuple[Floats, float]:
    """Draws by refitting resampled runs, each from the optimum.

    Returns:
        (S, P) draws in internal coordinates, and the share of resamples that converged; those that
        did not are left out.
    """
    weights = run_weights(problem, count, rng)
    solution = solve(
        problem.law,
        problem.likelihood,
        np.repeat(u[None], count, 0),
        problem.points,
        weights,
        prior,
        tolerance=RESAMPLE_TOLERANCE,
    )
    good = solution.converged & np.isfinite(solution.u).all(1)
    draws = u + (solution.u[good] - u) * widening(problem)
    return problem.space.clip(draws), float(good.mean())


def laplace(problem: Problem, u: Floats, count: int, rng: np.random.Generator) -> Floats:
    """(S, P) draws from Student's t with the Laplace covariance, pulled into the bounds."""
    cov = covariance(problem, u)
    if not np.isfinite(cov).all():
        return np.empty((0, len(u)))
    spare = max(problem.run_count - len(problem.law.parameters), 1)
    values, vectors = np.linalg.eigh(cov)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    normal = rng.standard_normal((count, len(u)))
    chi = np.sqrt(rng.chisquare(spare, size=(count, 1)) / spare)
    return problem.space.clip(u + (normal / chi) @ root.T)
