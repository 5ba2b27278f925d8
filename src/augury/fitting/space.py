"""The coordinates of a fit: logarithms where a parameter says so, and bounds around all.

Positive parameters that range over orders of magnitude are fitted as logarithms, so that steps,
covariances and intervals are well scaled, and no fit leaves its bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augury.laws import Law, Parameter
from augury.laws.base import Named

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Space:
    """The parameters of a law, then of its likelihood, and the map to the fit's coordinates.

    Attributes:
        names: (P,) names.
        log: (P,) whether a coordinate is the logarithm of its parameter.
        lower, upper: (P,) bounds in those coordinates.
    """

    names: tuple[str, ...]
    log: tuple[bool, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    @classmethod
    def of(cls, law: Law, nuisance: Mapping[str, Parameter]) -> Space:
        parameters = {**law.parameters, **nuisance}
        log = tuple(p.scale == "log" for p in parameters.values())
        ends = [
            tuple(np.log(p.bounds)) if p.scale == "log" else tuple(p.bounds)
            for p in parameters.values()
        ]
        return cls(
            names=tuple(parameters),
            log=log,
            lower=tuple(float(low) for low, _ in ends),
            upper=tuple(float(high) for _, high in ends),
        )

    def internal(self, values: Floats) -> Floats:
        """Map (..., P) parameters to (..., P) coordinates, clipped to the bounds."""
        values = np.asarray(values, float)
        safe = np.where(self.log, np.maximum(values, 1e-300), 1.0)
        return self.clip(np.where(self.log, np.log(safe), values))

    def natural(self, u: Floats) -> Floats:
        """Map (..., P) coordinates to (..., P) parameters."""
        u = np.asarray(u, float)
        return np.where(self.log, np.exp(np.where(self.log, u, 0.0)), u)

    def clip(self, u: Floats) -> Floats:
        """Clip (..., P) coordinates to the bounds."""
        return np.clip(u, self.lower, self.upper)

    def unpack(self, u: Any) -> Named:
        """Map traced (P,) coordinates to the parameters as a formula takes them."""
        import jax.numpy as jnp

        log = np.array(self.log)
        # Not `where(log, exp(u), u)`: its derivative is NaN where exp(u) overflows.
        return Named(self.names, jnp.where(log, jnp.exp(jnp.where(log, u, 0.0)), u))
