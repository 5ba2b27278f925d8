"""One law fitted to many windows of a table in one batch, and each window's forecast of all rows.

For backtests that need a score and not a `Fit`: windows differ only in the weights of the points,
so that a law is compiled once, however many cuts and groups there are.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from augury.fitting.likelihoods import Likelihood, Points
from augury.fitting.optimise import no_prior, run_blocks, solve
from augury.fitting.space import Floats, Space
from augury.fitting.starts import find_starts
from augury.laws import Law
from augury.laws.base import attributes
from augury.runtime.compiling import jit

# Starts polished per window: one more than `fit_many` takes, since windows are few and short.
POLISHED = 4
# Singular values below this share of the largest mark directions that the points do not determine.
RANK = 1e-7


class Windows(NamedTuple):
    """The forecasts of W windows for their m rows, on the likelihood's scale (log losses).

    mean, spread: (W, m) forecast of a new run, and its standard deviation; NaN where a window could
    not be fitted.
    """

    mean: Floats
    spread: Floats


def fit_windows(law: Law, likelihood: Likelihood, points: Points, weights: Floats) -> Windows:
    """Fit every window and forecast all of its rows.

    Args:
        law, likelihood: what is fitted; a law with weak priors is fitted without them.
        points: (W, m) arrays.
        weights: (W, m), 0 for rows to be forecast.

    The spread is that of least squares: residual variance with the remaining degrees of freedom,
    and the delta method along what the points determine.
    """
    starts = find_starts(law, likelihood, points, weights, keep=POLISHED)
    count, keep, size = starts.shape
    rows = np.repeat(np.arange(count), keep)
    ends = solve(law, likelihood, starts.reshape(-1, size), points, weights, rows=rows)
    found = np.where(ends.converged, ends.objective, np.inf).reshape(count, keep)
    # What has not quite converged forecasts too, as it would for a user who did not look.
    late = np.where(np.isfinite(ends.objective), ends.objective, np.inf).reshape(count, keep)
    best = np.where(np.isfinite(found).any(1), found.argmin(1), late.argmin(1))
    u = ends.u.reshape(count, keep, size)[np.arange(count), best]
    blocks = run_blocks(_compile_forecaster(law, likelihood), u, points, weights, no_prior(size))
    m = points.y.shape[1]
    mean = np.concatenate([eta for eta, _ in blocks])[:, :m]
    jacobian = np.concatenate([j for _, j in blocks])[:, :m]
    y = np.log(points.y) if likelihood.on_log else points.y
    spread = np.stack(
        [_spread(*window) for window in zip(y - mean, jacobian, weights, strict=True)]
    )
    good = np.isfinite(mean) & np.isfinite(spread)
    return Windows(np.where(good, mean, np.nan), np.where(good, spread, np.nan))


def _spread(residual: Floats, jacobian: Floats, weights: Floats) -> Floats:
    """Return (m,) the standard deviation of a new run at every row of a window."""
    live = weights > 0
    if not np.isfinite(residual[live]).all() or not np.isfinite(jacobian[live]).all():
        return np.full(len(residual), np.nan)
    spare = int(live.sum()) - jacobian.shape[1]
    if spare < 1:
        return np.full(len(residual), np.nan)
    variance = max(float((residual[live] ** 2).sum()) / spare, 1e-24)
    scale = np.sqrt((jacobian[live] ** 2).sum(0))
    unit = jacobian / np.where(scale > 0, scale, 1.0)
    _, s, v = np.linalg.svd(unit[live], full_matrices=False)
    known = s > RANK * max(float(s.max(initial=0.0)), 1e-300)
    with np.errstate(invalid="ignore", over="ignore"):
        along = (unit @ v[known].T) / s[known]
        return np.sqrt(variance * (1.0 + (along**2).sum(1)))


@lru_cache(maxsize=64)
def _compile_forecaster(law: Law, likelihood: Likelihood) -> Any:
    """Compile (B, P) coordinates -> the predictor (B, m) and its Jacobian (B, m, P)."""
    import jax
    import jax.numpy as jnp

    space = Space.of(law, likelihood.nuisance)
    own = len(law.parameters)

    def one(u: Any, inputs: Any) -> Any:
        def predict(v: Any) -> Any:
            x = attributes(law.inputs, inputs)
            return likelihood.predictor(law.formula(space.unpack(v), x))

        eta, push = jax.linearize(predict, u)
        jacobian = jax.vmap(push)(jnp.eye(len(u))[:own])
        return jnp.broadcast_to(eta, inputs[0].shape[:1]), jacobian.T

    def forecast(u: Any, points: Points, weights: Any, prior: Any) -> Any:
        del weights, prior
        shared = points.y.shape[0] == 1 < u.shape[0]
        inputs = tuple(x[0] for x in points.inputs) if shared else points.inputs
        return jax.vmap(one, (0, None if shared else 0))(u, inputs)

    return jit(forecast)
