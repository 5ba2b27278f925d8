"""Likelihoods: how far a point may stray from a law, and what that costs.

Each sees a law through its prediction mu and gives, point by point, a loss and what a
Levenberg-Marquardt step needs of it: the slope in the predictor, a curvature, and a curvature that
bounds it from above. They act on the logarithm of a loss, on a score, or on counts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from augury.errors import UsageError
from augury.laws import Law, Parameter, positive

Array = Any

# A pass rate this close to 0 or 1 is taken to be that far from it: below it, 1e12 samples could
# not tell the difference, and log(0) ends a fit.
RATE_EDGE = 1e-12


class Points(NamedTuple):
    """What is fitted, problems by points: each (1, n) if shared by all problems, or (B, n)."""

    inputs: tuple[Array, ...]
    y: Array
    trials: Array


class Terms(NamedTuple):
    """Point by point, (B, n): loss, slope and curvature in the predictor, an upper curvature."""

    loss: Array
    slope: Array
    curvature: Array
    bound: Array


@dataclass(frozen=True)
class Likelihood(ABC):
    """Base of every likelihood; a subclass is a frozen dataclass of its settings.

    Class attributes:
        name: how a user asks for it.
        counts: whether it needs the columns `passes` and `samples` (or `value` and `n`).
        nuisance: parameters of its own, fitted with those of the law.
        objective: what a fit reports as its objective.
    """

    name: ClassVar[str]
    counts: ClassVar[bool] = False
    nuisance: ClassVar[Mapping[str, Parameter]] = {}
    objective: ClassVar[str]

    @property
    def on_log(self) -> bool:
        """Whether residuals are those of logarithms."""
        return False

    def predictor(self, mu: Array) -> Array:
        """What residuals are measured in: mu, or its logarithm."""
        import jax.numpy as jnp

        return jnp.log(mu) if self.on_log else mu

    def noise(self, objective: float, size: float, spent: int) -> float:
        """What an objective has to be divided by to be minus a log-likelihood.

        Args:
            objective: at the optimum.
            size: points.
            spent: parameters fitted to them.
        """
        del objective, size, spent
        return 1.0

    @abstractmethod
    def terms(self, predictor: Array, nuisance: Any, points: Points) -> Terms:
        """Loss, slope and curvatures, each (B, n)."""


@dataclass(frozen=True)
class Huber(Likelihood):
    """Sum of Huber losses on log residuals: squares within `delta`, straight lines beyond.

    Hoffmann et al. 2022 (arXiv 2203.15556), approach 3: delta 1e-3, *summed* (averaged, optimisers
    with default tolerances stop early: Besiroglu et al. 2024, arXiv 2404.10102). With so small a
    delta it is close to a fit by absolute values: single bad points hardly move it.
    """

    delta: float = 1e-3
    name: ClassVar[str] = "huber"
    objective: ClassVar[str] = "sum of Huber losses on log residuals"

    def __post_init__(self) -> None:
        if not self.delta > 0:
            raise UsageError(f"Huber needs delta > 0, not {self.delta}")

    @property
    def on_log(self) -> bool:
        return True

    def noise(self, objective: float, size: float, spent: int) -> float:
        # With delta well below the noise, loss = delta |r|, psi^2 = delta^2, E psi' = 2 delta f(0):
        # with normal noise of mean absolute deviation m = loss / delta n, f(0) = 1 / (pi m), so
        # that the ratio E psi^2 / E psi' is delta pi m / 2 = pi / 2 times the mean loss.
        return max(np.pi / 2 * objective / max(size - spent, 1), 1e-300)

    def terms(self, predictor: Array, nuisance: Any, points: Points) -> Terms:
        import jax.numpy as jnp

        r = jnp.log(points.y) - predictor
        size = jnp.abs(r)
        near = size <= self.delta
        loss = jnp.where(near, 0.5 * r * r, self.delta * (size - 0.5 * self.delta))
        bound = self.delta / jnp.maximum(size, self.delta)
        return Terms(loss, -jnp.clip(r, -self.delta, self.delta), near.astype(r.dtype), bound)


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Half the sum of squared residuals; the noise level is estimated with the fit.

    Residuals are those of logarithms for losses (`scale="log"`), of the values themselves for
    scores. One wild point moves it as far as it likes: read the notes on influence.
    """

    scale: Literal["log", "linear"] = "linear"
    name: ClassVar[str] = "gaussian"
    objective: ClassVar[str] = "half the sum of squared residuals"

    @property
    def on_log(self) -> bool:
        return self.scale == "log"

    def noise(self, objective: float, size: float, spent: int) -> float:
        return max(2.0 * objective / max(size - spent, 1), 1e-300)

    def terms(self, predictor: Array, nuisance: Any, points: Points) -> Terms:
        import jax.numpy as jnp

        y = jnp.log(points.y) if self.on_log else points.y
        r = y - predictor
        one = jnp.ones_like(r)
        return Terms(0.5 * r * r, -r, one, one)


@dataclass(frozen=True)
class Binomial(Likelihood):
    """Half the deviance of counts, passes out of samples: minus the log-likelihood but a constant.

    The one to take for scores with counts: it knows that 3 of 1,000 is not 0.3 % exactly. It takes
    the trials as independent with one rate; where they are not, beta-binomial.
    """

    name: ClassVar[str] = "binomial"
    counts: ClassVar[bool] = True
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


@dataclass(frozen=True)
class BetaBinomial(Likelihood):
    """Minus the log-likelihood of counts whose rate itself varies around the law.

    `rho` in (0, 1) is the correlation of two trials of one row; 0 is the binomial. It is what
    instances, seeds and prompts add to the noise of counting.
    """

    name: ClassVar[str] = "beta-binomial"
    counts: ClassVar[bool] = True
    objective: ClassVar[str] = "minus the beta-binomial log-likelihood, without its constant"
    nuisance: ClassVar[Mapping[str, Parameter]] = {
        "rho": positive((1e-3, 0.1), "correlation of two trials of one row", bounds=(1e-7, 0.99))
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


LIKELIHOODS: Mapping[str, type[Likelihood]] = {
    cls.name: cls for cls in (Huber, Gaussian, Binomial, BetaBinomial)
}


def likelihood_for(law: Law, wanted: Likelihood | str | None, *, suited: str) -> Likelihood:
    """The likelihood a user named, or the customary one for what the law predicts.

    Losses: Huber on logarithms. Scores: what `augury.data.scores.suited_likelihood` says of them.

    Raises:
        UsageError: no likelihood has that name.
    """
    if isinstance(wanted, Likelihood):
        return wanted
    is_score = law.output == "value"
    if wanted is None:
        wanted = suited if is_score else "huber"
    if wanted == "log-gaussian":
        return Gaussian("log")
    if wanted not in LIKELIHOODS:
        raise UsageError(f"no likelihood is called '{wanted}'; there are: {', '.join(LIKELIHOODS)}")
    if wanted == "gaussian":
        return Gaussian("linear" if is_score else "log")
    return LIKELIHOODS[wanted]()
