"""Least squares, on logarithms or on values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from augury.fitting.likelihoods.base import Array, Likelihood, Points, Terms


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Half the sum of squared residuals; the noise level is estimated with the fit.

    Residuals are those of logarithms for losses (`scale="log"`), of the values themselves for
    scores. A single outlier can move it without limit: read the notes on influence.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> fitted = augury.fit("chinchilla", runs, likelihood=augury.Gaussian("log"))
        >>> print(f"{fitted.parameters['E']:.1f}")
        1.8
    """

    scale: Literal["log", "linear"] = "linear"
    name: ClassVar[str] = "gaussian"
    objective: ClassVar[str] = "half the sum of squared residuals"

    @classmethod
    def suited_to(cls, output: str) -> Gaussian:
        return cls("linear" if output == "value" else "log")

    @property
    def on_log(self) -> bool:
        return self.scale == "log"

    def dispersion(self, factor: float) -> float:
        """Return the residual variance."""
        return factor

    def excess_variance(self, sigma: float) -> float:
        """Return 0: it is least squares."""
        del sigma
        return 0.0

    def terms(self, predictor: Array, nuisance: Any, points: Points) -> Terms:
        import jax.numpy as jnp

        y = jnp.log(points.y) if self.on_log else points.y
        r = y - predictor
        one = jnp.ones_like(r)
        return Terms(0.5 * r * r, -r, one, one)
