"""Counts of independent trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.fitting.likelihoods.base import Array, Points, Terms
from augury.fitting.likelihoods.counts import RATE_EDGE, CountLikelihood


@dataclass(frozen=True)
class Binomial(CountLikelihood):
    """Half the deviance of counts (passes out of samples): -log-likelihood up to a constant.

    Use it for scores with counts: it knows that 3 of 1,000 is not 0.3 % exactly. It assumes
    independent trials with one rate; where they are not, use beta-binomial.
    """

    name: ClassVar[str] = "binomial"
    objective: ClassVar[str] = "half the binomial deviance"

    def terms(self, predictor: Array, nuisance: Any, points: Points) -> Terms:
        import jax.numpy as jnp
        from jax.scipy.special import xlog1py, xlogy

        n = points.trials
        rate = jnp.clip(predictor, RATE_EDGE, 1.0 - RATE_EDGE)
        y, miss = points.y, 1.0 - points.y
        best = xlogy(y, y) + xlog1py(miss, -y)
        loss = n * (best - y * jnp.log(rate) - miss * jnp.log1p(-rate))
        information = n / (rate * (1.0 - rate))
        return Terms(loss, (rate - points.y) * information, information, information)
