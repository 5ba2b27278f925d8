"""What a likelihood is: how far a point may lie from a law, and what that costs.

It sees a law through its prediction mu and returns, for each point, a loss and what a
Levenberg-Marquardt step needs: the slope in the predictor, a curvature, and an upper bound of the
curvature. Everything else that depends on the kind of noise is a method too, so that the engine
never checks a name: weights for a start, residuals, dispersion, the noise of a new run, and what
NumPyro samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augury.laws import Parameter

Array = Any
Floats = NDArray[np.float64]


class Points(NamedTuple):
    """What is fitted, problems by points: each (1, n) if shared by all problems, or (B, n)."""

    inputs: tuple[Array, ...]
    y: Array
    trials: Array


class Terms(NamedTuple):
    """Per point, (B, n): loss, slope and curvature in the predictor, an upper curvature."""

    loss: Array
    slope: Array
    curvature: Array
    bound: Array


@dataclass(frozen=True)
class Likelihood(ABC):
    """Base class of every likelihood; a subclass is a frozen dataclass in its own file.

    Methods that are not overridden are those of least squares.

    Class attributes:
        name: how a user selects it.
        counts: whether it needs the columns `passes` and `samples` (or `value` and `n`).
        nuisance: parameters of its own, fitted with those of the law.
        objective: what a fit reports as its objective.
    """

    name: ClassVar[str]
    counts: ClassVar[bool] = False
    nuisance: ClassVar[Mapping[str, Parameter]] = {}
    objective: ClassVar[str]

    @classmethod
    def suited_to(cls, output: str) -> Likelihood:
        """Return the likelihood that this name means when `output` ("value", a loss) is fitted."""
        del output
        return cls()

    @property
    def on_log(self) -> bool:
        """Whether residuals are those of logarithms."""
        return False

    def predictor(self, mu: Array) -> Array:
        """Return what residuals are measured in: mu, or its logarithm."""
        import jax.numpy as jnp

        return jnp.log(mu) if self.on_log else mu

    def free_scale(self, predictor: Floats) -> tuple[Floats, Floats]:
        """Return a predictor on a scale without bounds, on which runs vary, and its slope there."""
        return predictor, np.ones_like(predictor)

    @abstractmethod
    def terms(self, predictor: Array, nuisance: Any, points: Points) -> Terms:
        """Return loss, slope and curvatures, each (B, n)."""

    def start_weight(self, points: Points) -> Array:
        """Return weights for the first least squares in mu, before anything is known about mu."""
        return 1.0 / points.y**2 if self.on_log else points.trials

    def reweight(self, mu: Array, points: Points) -> Array:
        """Return weights that make least squares in mu act like the likelihood around mu."""
        import jax.numpy as jnp

        if not self.on_log:
            return jnp.ones_like(mu)
        safe = jnp.maximum(mu, 1e-3 * points.y)
        bound = self.terms(jnp.log(safe), None, points).bound
        return bound / points.y**2

    def noise(self, objective: float, size: float, spent: int) -> float:
        """Return the divisor that turns an objective into minus a log-likelihood.

        Args:
            objective: at the optimum.
            size: number of points.
            spent: number of parameters fitted to them.
        """
        return max(2.0 * objective / max(size - spent, 1), 1e-300)

    def residuals(self, predictor: Floats, y: Floats, trials: Floats) -> Floats:
        """Return (n,) residuals of logarithms or values; for counts, Pearson's (in sd)."""
        del trials
        return (np.log(y) if self.on_log else y) - predictor

    def information(self, observed: Floats, predictor: Floats, trials: Floats) -> Floats:
        """Return (n,) the expected curvature of each point's loss; here, the observed one."""
        del predictor, trials
        return observed

    def window_information(self, residuals: Floats, live: Any) -> Floats | None:
        """Return (n,) the same, estimated from the density of residuals at the kink of a loss.

        None if the optimiser's own curvature is enough.

        Args:
            residuals: (n,).
            live: (n,) which points count.
        """
        del residuals, live
        return None

    def dispersion(self, factor: float) -> float | None:
        """Return the factor that turns the inverse curvature into a covariance.

        None if no factor does, since the loss is not a log-likelihood up to a factor: then
        covariances are sandwiches, valid for any loss.

        Args:
            factor: sum of squared residuals per point left over by the parameters.
        """
        del factor
        return None

    def excess_variance(self, sigma: float) -> float | None:
        """Return how much its estimates' variance exceeds that of least squares under normal noise.

        0.57 for absolute values; None if unknown.

        Args:
            sigma: standard deviation of the noise.
        """
        del sigma
        return None

    def without_wild(self, residuals: Floats, spent: int) -> Floats:
        """Return (n,) residuals that measure the noise's size: outliers clipped, if possible."""
        del spent
        return residuals

    def run_spread(
        self, predictor: Floats, y: Floats, trials: Floats, runs: int, spare: int
    ) -> Floats:
        """Return (R,) how far single runs lie from the law, on the scale that `strayed` takes.

        Args:
            predictor: (n,) of the law.
            y, trials: (n,) what was seen.
            runs: number of runs.
            spare: number of runs left over by the parameters.
        """
        return self.residuals(predictor, y, trials) * np.sqrt(runs / spare)

    def strayed(self, mean: Floats, residual: Floats) -> Floats:
        """Move the law's mean by a run's residual."""
        return mean * np.exp(residual) if self.on_log else mean + residual

    def observe(
        self, predictor: Array, effect: Array, nuisance: Any, y: Floats, trials: Floats
    ) -> None:
        """Tell NumPyro, inside a model, what was observed.

        Args:
            predictor: (n,) of the law.
            effect: (n,) how far a run lies from the law, in units of the noise; 0 if runs have one
            row.
            nuisance: parameters, the likelihood's own among them.
            y, trials: (n,) what was seen.
        """
        import numpyro
        import numpyro.distributions as dist

        at = np.log(y) if self.on_log else y
        sigma = numpyro.sample("sigma", dist.LogNormal(np.log(np.std(at) / 10 + 1e-12), 3.0))
        numpyro.sample("y", self.noise_around(predictor + sigma * effect, sigma), obs=at)

    def noise_around(self, centre: Array, sigma: Array) -> Any:
        """Return the NumPyro distribution of a residual with scale `sigma` around the predictor."""
        import numpyro.distributions as dist

        return dist.Normal(centre, sigma)


def kink_share(residuals: Floats, live: Any, least: float) -> tuple[Floats, float]:
    """Return (n,) 1 where a residual lies within a window around 0, and the window's half-width.

    Counting only the residuals at a kink would rest on a handful of points. The share inside a
    wider window estimates the same density, point by point, so that noise that differs between
    small and large runs is taken into account (Powell 1984, for quantile regression).
    """
    some = residuals[live]
    spread = 1.4826 * np.median(np.abs(some - np.median(some)))
    window = max(least, float(spread) * 1.06 * int(np.sum(live)) ** -0.2)
    return (np.abs(residuals) <= window).astype(float), window
