"""The Laplace covariance of a fit: curvature at the optimum, robust where the model is not."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from augury.fitting.likelihoods import RATE_EDGE, Huber, Likelihood, Points
from augury.fitting.optimise import objective_terms, run_blocks
from augury.fitting.problem import Problem
from augury.fitting.space import Floats, Space
from augury.laws import Law
from augury.laws.base import attributes
from augury.runtime.compiling import jit


@lru_cache(maxsize=64)
def _pieces(law: Law, likelihood: Likelihood) -> Any:
    """Compiled: at (1, P) coordinates, the predictor (n,), its Jacobian (n, P) and the slopes."""
    import jax
    import jax.numpy as jnp

    space = Space.of(law, likelihood.nuisance)

    def pieces(u: Any, points: Any, weights: Any, prior: Any) -> Any:
        def predict(v: Any) -> Any:
            x = attributes(law.inputs, (x[0] for x in points.inputs))
            return likelihood.predictor(law.formula(space.unpack(v), x))

        eta = predict(u[0])
        own = Points(tuple(x[0] for x in points.inputs), points.y[0], points.trials[0])
        slope = likelihood.terms(eta, space.unpack(u[0]), own).slope
        jacobian = jax.jacfwd(predict)(u[0])
        _, _, hessian, _ = objective_terms(law, likelihood, u, points, weights, prior)
        return eta[None], jacobian[None], slope[None] * jnp.ones_like(eta)[None], hessian

    return jit(pieces)


def pieces_at(problem: Problem, u: Floats, weights: Floats) -> tuple[Floats, ...]:
    """Predictor (n,), Jacobian (n, P), slope (n,) and Gauss-Newton curvature (P, P) at `u` (P,)."""
    n = problem.size
    ((eta, jacobian, slope, hessian),) = run_blocks(
        _pieces(problem.law, problem.likelihood),
        u[None],
        problem.points,
        weights,
        problem.prior,
    )
    return eta[0][:n], jacobian[0][:n], slope[0][:n], hessian[0]


def covariance(problem: Problem, u: Floats, weights: Floats | None = None) -> Floats:
    """Covariance (P, P) of the fitted coordinates.

    One row a run: the model's own, times what the residuals say of its noise (residual variance
    for Gaussian, over-dispersion where it exceeds 1 for counts). Several rows a run, or Huber: the
    sandwich, with each run's scores summed first, so that checkpoints of one run count as the one
    draw they are, and residuals restored to the size they had before the fit pulled the law
    towards them (Bell & McCaffrey 2002, CR2). Without that step, 90 % intervals from 20 runs with
    Huber hold 82 % of the time, with it 87 %.

    Returns NaN where the curvature is singular.
    """
    weights = problem.ones if weights is None else weights
    w = weights[0]
    live = w > 0
    _, jacobian, slope, hessian = pieces_at(problem, u, weights)
    size = hessian.shape[0]
    own = len(problem.law.parameters)
    runs = np.unique(problem.runs[live])
    huber = isinstance(problem.likelihood, Huber)
    if huber:
        hessian = _huber_curvature(problem, u, w, jacobian)
    inverse = _inverse(hessian)
    if not np.isfinite(inverse).all():
        return np.full_like(hessian, np.nan)
    if not huber and len(runs) == int(live.sum()):
        return inverse * noise_factor(problem, u, weights)
    curvature = _point_curvature(problem, u, jacobian, hessian, huber=huber)
    meat = np.zeros((size, size))
    for run in runs:
        rows = np.flatnonzero((problem.runs == run) & live)
        root = np.sqrt(w[rows] * curvature[rows])
        scaled = jacobian[rows] * root[:, None]
        values, vectors = np.linalg.eigh(np.eye(len(rows)) - scaled @ inverse @ scaled.T)
        # 0.05: a run that the fit follows this closely has no residual to restore.
        restored = vectors @ (
            (vectors.T @ (w[rows] * slope[rows] / np.maximum(root, 1e-300)))
            / np.sqrt(np.maximum(values, 0.05))
        )
        score = scaled.T @ restored
        meat += np.outer(score, score)
    sandwich = inverse @ meat @ inverse
    if size > own:  # the likelihood's own parameter has no score of this kind
        sandwich[own:, own:] = inverse[own:, own:]
    return sandwich


def _point_curvature(
    problem: Problem, u: Floats, jacobian: Floats, hessian: Floats, *, huber: bool
) -> Floats:
    """(n,) curvature of each point's loss in the predictor."""
    if huber:  # the mean: inside or outside the window is chance, not information
        return np.full(problem.size, np.trace(hessian) / np.trace(jacobian.T @ jacobian))
    if problem.likelihood.counts:
        rate = np.clip(pieces_at(problem, u, problem.ones)[0], RATE_EDGE, 1 - RATE_EDGE)
        return problem.points.trials[0] / (rate * (1 - rate))
    return np.ones(problem.size)


def noise_factor(problem: Problem, u: Floats, weights: Floats) -> float:
    """What multiplies the inverse curvature: residual variance, or over-dispersion above 1."""
    if problem.likelihood.nuisance:
        return 1.0
    w = weights[0]
    spare = max(int((w > 0).sum()) - len(problem.law.parameters), 1)
    factor = float((w * residuals(problem, u) ** 2).sum()) / spare
    return max(1.0, factor) if problem.likelihood.counts else factor


def _huber_curvature(problem: Problem, u: Floats, w: Floats, jacobian: Floats) -> Floats:
    """Expected curvature of the Huber sum, from the density of residuals near zero.

    Counting only the residuals inside delta = 1e-3 would rest on a handful of points; the share
    inside a wider window, scaled down, estimates the same density, point by point, so that noise
    that differs between small and large runs is seen (Powell 1984, for quantile regression).
    """
    r = residuals(problem, u)
    live = w > 0
    delta = problem.likelihood.delta  # type: ignore[attr-defined]
    spread = 1.4826 * np.median(np.abs(r[live] - np.median(r[live])))
    window = max(delta, spread * 1.06 * int(live.sum()) ** -0.2)
    share = w * (np.abs(r) <= window) * (delta / window)
    if share.sum() == 0:
        share = w * delta / window * 0.5
    return jacobian.T @ (jacobian * share[:, None])


def residuals(problem: Problem, u: Floats) -> Floats:
    """(n,) residuals: of logarithms or values; for counts Pearson's, in standard deviations."""
    eta = pieces_at(problem, u, problem.ones)[0]
    y, trials = problem.points.y[0], problem.points.trials[0]
    if problem.likelihood.counts:
        rate = np.clip(eta, RATE_EDGE, 1 - RATE_EDGE)
        return (y - rate) / np.sqrt(rate * (1 - rate) / trials)
    return (np.log(y) if problem.likelihood.on_log else y) - eta


def _inverse(hessian: Floats) -> Floats:
    """Inverse of a curvature, NaN where it is singular."""
    scale = np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    try:
        return np.linalg.inv(hessian / np.outer(scale, scale)) / np.outer(scale, scale)
    except np.linalg.LinAlgError:
        return np.full_like(hessian, np.nan)


def condition_number(hessian: Floats) -> float:
    """Of a curvature scaled to a unit diagonal: 1 is perfect, above 1e10 nothing is identified."""
    scale = np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    values = np.linalg.eigvalsh(hessian / np.outer(scale, scale))
    return float(values[-1] / max(values[0], 1e-300))
