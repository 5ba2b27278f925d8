"""Huber's loss on logarithms: the usual one for losses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.errors import UsageError
from augury.fitting.likelihoods.base import Array, Floats, Likelihood, Points, Terms, kink_share

# When the size of the noise is estimated, residuals are clipped at this many standard deviations.
WILD = 3.0


@dataclass(frozen=True)
class Huber(Likelihood):
    """Sum of Huber losses on log residuals: squares within `delta`, straight lines beyond.

    Hoffmann et al. 2022 (arXiv 2203.15556), approach 3: delta 1e-3, *summed* (averaged, optimisers
    with default tolerances stop early: Besiroglu et al. 2024, arXiv 2404.10102). With such a small
    delta it is close to a fit of absolute values: single bad points hardly move it.
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

    def terms(self, predictor: Array, nuisance: Any, points: Points) -> Terms:
        import jax.numpy as jnp

        r = jnp.log(points.y) - predictor
        size = jnp.abs(r)
        near = size <= self.delta
        loss = jnp.where(near, 0.5 * r * r, self.delta * (size - 0.5 * self.delta))
        bound = self.delta / jnp.maximum(size, self.delta)
        return Terms(loss, -jnp.clip(r, -self.delta, self.delta), near.astype(r.dtype), bound)

    def noise(self, objective: float, size: float, spent: int) -> float:
        # With delta well below the noise, loss = delta |r|, psi^2 = delta^2, E psi' = 2 delta f(0):
        # with normal noise of mean absolute deviation m = loss / delta n, f(0) = 1 / (pi m), so
        # that the ratio E psi^2 / E psi' is delta pi m / 2 = pi / 2 times the mean loss.
        return max(np.pi / 2 * objective / max(size - spent, 1), 1e-300)

    def window_information(self, residuals: Floats, live: Any) -> Floats | None:
        share, window = kink_share(residuals, live, self.delta)
        if not share[live].any():
            share = np.full(len(residuals), 0.5)
        return share * (self.delta / window)

    def excess_variance(self, sigma: float) -> float:
        """Return E psi^2 / (E psi')^2 over the noise's variance, minus 1 (Huber 1964, sec. 4)."""
        k = self.delta / max(sigma, 1e-300)
        if k > 10.0:  # no residual reaches the kink
            return 0.0
        inside, beyond = math.erf(k / math.sqrt(2)), math.erfc(k / math.sqrt(2))
        density = math.exp(-0.5 * k * k) / math.sqrt(2 * math.pi)
        return (inside - 2 * k * density + k * k * beyond) / inside**2 - 1.0

    def without_wild(self, residuals: Floats, spent: int) -> Floats:
        sigma = math.sqrt(math.pi / 2) * np.abs(residuals).sum() / max(len(residuals) - spent, 1)
        return np.clip(residuals, -WILD * sigma, WILD * sigma)

    def noise_around(self, centre: Array, sigma: Array) -> Any:
        """Return Student's t with fitted degrees of freedom, the closest robust density."""
        import numpyro
        import numpyro.distributions as dist

        nu = numpyro.sample("nu", dist.LogNormal(np.log(3.0), 1.0))
        return dist.StudentT(nu, centre, sigma)
