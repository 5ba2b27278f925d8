"""The pinball loss: a law of a quantile instead of the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from augury.errors import UsageError
from augury.fitting.likelihoods.base import Array, Floats, Likelihood, Points, Terms, kink_share


@dataclass(frozen=True)
class Pinball(Likelihood):
    """Sum of pinball losses: a share `tau` of the points lies below the law.

    With tau = .98 and a logistic in compute, it estimates what good post-training can reach at this
    compute (Prescriptive scaling, arXiv 2602.15327). The kink of Koenker & Bassett 1978 is rounded
    within `smoothing` (Zheng 2011): far below the noise of single points, it changes nothing.
    """

    tau: float = 0.5
    scale: Literal["log", "linear"] = "linear"
    smoothing: float = 1e-3
    name: ClassVar[str] = "pinball"
    objective: ClassVar[str] = "sum of pinball losses"

    def __post_init__(self) -> None:
        if not 0.0 < self.tau < 1.0:
            raise UsageError(f"pinball needs a quantile tau between 0 and 1, not {self.tau}")
        if not self.smoothing > 0:
            raise UsageError(f"pinball needs smoothing > 0, not {self.smoothing}")

    @classmethod
    def suited_to(cls, output: str) -> Pinball:
        return cls(scale="linear" if output == "value" else "log")

    @property
    def on_log(self) -> bool:
        return self.scale == "log"

    def terms(self, predictor: Array, nuisance: Any, points: Points) -> Terms:
        import jax
        import jax.numpy as jnp

        r = (jnp.log(points.y) if self.on_log else points.y) - predictor
        s = self.smoothing
        loss = self.tau * r + s * jnp.logaddexp(0.0, -r / s)
        above = jax.nn.sigmoid(r / s)
        curvature = above * (1.0 - above) / s
        # tanh(x) / x bounds the curvature of a logistic from any point (Jaakkola & Jordan 2000).
        half = jnp.abs(r) / (2.0 * s)
        bound = jnp.where(half > 1e-4, jnp.tanh(half) / jnp.maximum(half, 1e-4), 1.0) / (4.0 * s)
        return Terms(loss, (1.0 - self.tau) - above, curvature, bound)

    def noise(self, objective: float, size: float, spent: int) -> float:
        # E psi^2 / E psi', with psi^2 of mean tau (1 - tau) and E psi' the density of residuals at
        # the quantile; of a Laplace density of mean loss m, tau (1 - tau) / m, so that it is m.
        return max(objective / max(size - spent, 1), 1e-300)

    def window_information(self, residuals: Floats, live: Any) -> Floats | None:
        share, window = kink_share(residuals, live, self.smoothing)
        if not share[live].any():
            share = np.full(len(residuals), 0.5)
        return share / (2.0 * window)

    def noise_around(self, centre: Array, sigma: Array) -> Any:
        """Return the asymmetric Laplace density, whose mode is the quantile (Yu & Moyeed 2001)."""
        import numpyro.distributions as dist

        tau = self.tau
        return dist.AsymmetricLaplaceQuantile(centre, sigma, quantile=tau)
