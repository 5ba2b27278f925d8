"""Counts whose rate itself varies from row to row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from augury.fitting.likelihoods.base import Array, Points, Terms
from augury.fitting.likelihoods.counts import RATE_EDGE, CountLikelihood
from augury.laws import Parameter, positive


@dataclass(frozen=True)
class BetaBinomial(CountLikelihood):
    """Minus the log-likelihood of counts whose rate itself varies around the law.

    `rho` in (0, 1) is the correlation of two trials in one row; 0 is the binomial. Instances, seeds
    and prompts add this to the noise of counting.
    """

    name: ClassVar[str] = "beta-binomial"
    objective: ClassVar[str] = "minus the beta-binomial log-likelihood, without its constant"
    nuisance: ClassVar[Mapping[str, Parameter]] = {
        "rho": positive((1e-3, 0.1), "correlation of two trials in one row", bounds=(1e-7, 0.99))
    }

    def terms(self, predictor: Array, nuisance: Any, points: Points) -> Terms:
        import jax.numpy as jnp
        from jax.scipy.special import digamma, gammaln

        n = points.trials
        passes = n * points.y
        rate = jnp.clip(predictor, RATE_EDGE, 1.0 - RATE_EDGE)
        total = 1.0 / nuisance.rho - 1.0
        a, b = rate * total, (1.0 - rate) * total

        def log_rising(x: Array, k: Array) -> Array:
            return gammaln(x + k) - gammaln(x)

        loss = log_rising(total, n) - log_rising(a, passes) - log_rising(b, n - passes)
        slope = -total * (digamma(a + passes) - digamma(a) - digamma(b + n - passes) + digamma(b))
        information = n / (rate * (1.0 - rate) * (1.0 + (n - 1.0) * nuisance.rho))
        return Terms(loss, slope, information, information)

    def dispersion(self, factor: float) -> float:
        """Return 1: its own parameter measures how far counts vary."""
        del factor
        return 1.0
