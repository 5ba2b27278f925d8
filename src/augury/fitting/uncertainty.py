"""Joint draws of a fit's parameters: bootstrap over runs, or Laplace.

Checkpoints of one run share its seed, data order and schedule. They are resampled together, or the
intervals come out too narrow by the square root of how many there are.
"""

from __future__ import annotations

import numpy as np

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


def bootstrap(
    problem: Problem, u: Floats, count: int, rng: np.random.Generator, prior: Prior | None = None
) -> tuple[Floats, float]:
    """Draws by refitting resampled runs, each from the optimum.

    The published way (Besiroglu et al. 2024), and as such left alone: on 20 to 60 runs its 90 %
    intervals hold 87-95 % of the time with Gaussian noise, 92-97 % with Huber (tests/claims).

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
    return solution.u[good], float(good.mean())


def laplace(
    problem: Problem,
    u: Floats,
    count: int,
    rng: np.random.Generator,
    weights: Floats | None = None,
) -> Floats:
    """(S, P) draws from Student's t with the Laplace covariance, pulled into the bounds.

    Its degrees of freedom are the runs that the parameters leave over.
    """
    cov = covariance(problem, u, weights)
    if not np.isfinite(cov).all():
        return np.empty((0, len(u)))
    spare = max(problem.run_count - len(problem.law.parameters), 1)
    values, vectors = np.linalg.eigh(cov)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    normal = rng.standard_normal((count, len(u)))
    chi = np.sqrt(rng.chisquare(spare, size=(count, 1)) / spare)
    return problem.space.clip(u + (normal / chi) @ root.T)
