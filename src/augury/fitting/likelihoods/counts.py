"""What all likelihoods of counts share: rates, Pearson's residuals, runs that vary in logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.fitting.likelihoods.base import Array, Floats, Likelihood, Points

# A pass rate this close to 0 or 1 is assumed to be this far from it: below it, 1e12 samples could
# not tell the difference, and log(0) breaks a fit.
RATE_EDGE = 1e-12


@dataclass(frozen=True)
class CountLikelihood(Likelihood):
    """Base class of likelihoods of passes out of samples."""

    counts: ClassVar[bool] = True

    def start_weight(self, points: Points) -> Array:
        return points.trials

    def reweight(self, mu: Array, points: Points) -> Array:
        import jax.numpy as jnp

        rate = jnp.clip(mu, 1e-9, 1.0 - 1e-9)
        return points.trials / (rate * (1.0 - rate))

    def free_scale(self, predictor: Floats) -> tuple[Floats, Floats]:
        """Return logits of rates, which no move leads out of 0 to 1."""
        rate = np.clip(predictor, RATE_EDGE, 1 - RATE_EDGE)
        return np.log(rate) - np.log1p(-rate), 1.0 / (rate * (1.0 - rate))

    def noise(self, objective: float, size: float, spent: int) -> float:
        del objective, size, spent
        return 1.0

    def residuals(self, predictor: Floats, y: Floats, trials: Floats) -> Floats:
        rate = np.clip(predictor, RATE_EDGE, 1 - RATE_EDGE)
        return np.asarray((y - rate) / np.sqrt(rate * (1 - rate) / trials))

    def information(self, observed: Floats, predictor: Floats, trials: Floats) -> Floats:
        del observed
        rate = np.clip(predictor, RATE_EDGE, 1 - RATE_EDGE)
        return np.asarray(trials / (rate * (1 - rate)))

    def dispersion(self, factor: float) -> float:
        """Return the over-dispersion, if there is any."""
        return max(1.0, factor)

    def run_spread(
        self, predictor: Floats, y: Floats, trials: Floats, runs: int, spare: int
    ) -> Floats:
        """Remove the noise of counting: what is left is a normal spread of logits.

        Its variance makes Pearson's chi-square equal its degrees of freedom (Paule & Mandel 1982).
        """
        from scipy.optimize import brentq

        rate = np.clip(predictor, RATE_EDGE, 1 - RATE_EDGE)
        slope = rate * (1 - rate)
        off = (y - rate) / slope
        counting = 1.0 / (slope * trials)
        aim = len(y) * spare / runs

        def surplus(variance: float) -> float:
            return float((off**2 / (counting + variance)).sum()) - aim

        if surplus(0.0) <= 0:
            return np.zeros(1)
        high = float((off**2).sum()) / aim  # where every term is at most its share
        variance = brentq(surplus, 0.0, high * 1.01)
        grid = (np.arange(101) + 0.5) / 101
        from scipy.special import ndtri

        return np.asarray(ndtri(grid)) * np.sqrt(variance)

    def strayed(self, mean: Floats, residual: Floats) -> Floats:
        rate = np.clip(mean, 1e-300, 1.0 - 1e-16)
        logit = np.log(rate) - np.log1p(-rate) + residual
        from scipy.special import expit

        return np.asarray(expit(logit))

    def observe(
        self, predictor: Array, effect: Array, nuisance: Any, y: Floats, trials: Floats
    ) -> None:
        import jax
        import jax.numpy as jnp
        import numpyro

        rate = jnp.clip(predictor, 1e-12, 1 - 1e-12)
        if np.ndim(effect):
            rate = jax.nn.sigmoid(jnp.log(rate) - jnp.log1p(-rate) + effect)
        shaped = Points((), y[None], trials[None])
        numpyro.factor("y", -self.terms(rate[None], nuisance, shaped).loss.sum())
