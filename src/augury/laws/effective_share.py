"""Mixtures by effective share: each domain counts for a target by the value of its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Example, Parameter, positive, real
from augury.laws.mixing import FLOORS, MixingLaw
from augury.laws.registry import register

# Exponents tried as starts.
EXPONENTS = (0.1, 0.4, 1.5)
# A domain that a start would make worthless still gets this share of the best one's value.
LEAST_WORTH = 1e-6


@register
@dataclass(frozen=True)
class EffectiveShare(MixingLaw):
    """L(r) = c + (sum_j r_j a_j^(-1/g))^-g: each domain's data count by their value.

    The effective share is sum_j w_j r_j, where w_j is the value of domain j's data for this loss.
    In a power law, c + k (sum_j w_j r_j)^-g with k w_j^-g = a_j. As shares sum to 1, only these
    products are identified, so they are the parameters: a_j is the excess loss of a model trained
    on domain j alone. `worth` returns w_j. A share of 0 is not a special case.
    """

    name: ClassVar[str] = "effective-share"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L(r) = c + \left(\sum_j r_j\, a_j^{-1/g}\right)^{-g}"
    source: ClassVar[str] = "ours; additive transfer weights as in Shukor et al. 2025 (2507.09404)"

    @property
    def parameters(self) -> dict[str, Parameter]:
        alone = positive((0.1, 10.0), "excess loss after training only on")
        return {
            "c": real((0.0, 3.0), "loss that no mixture removes", bounds=(0.0, 1e6),
                      amplitude=True),
            "g": positive((0.05, 2.0), "exponent of the effective share", bounds=(1e-2, 20.0)),
            **self.per_domain("a", alone),
        }  # fmt: skip

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        # Value relative to the best domain's, so that nothing overflows where g is small.
        logs = -jnp.log(self.gathered(p, "a")) / p.g
        top = jnp.max(logs)
        return p.c + jnp.exp(-p.g * (top + jnp.log(x.share @ jnp.exp(logs - top))))

    def start_points(self, inputs: Mapping[str, Array], y: Array) -> Sequence[Mapping[str, float]]:
        from scipy.optimize import nnls

        share, points = np.asarray(inputs["share"]), []
        for part in FLOORS:
            excess = np.asarray(y) - part * np.min(y)
            for g in EXPONENTS:
                # Raised to the power -1/g, the law is linear in the values; residuals are relative.
                worth, _ = nnls(share * (excess ** (1.0 / g))[:, None], np.ones(len(excess)))
                least = LEAST_WORTH * max(float(worth.max()), 1e-300)
                points.append({"g": g, **self.named("a", np.maximum(worth, least) ** -g)})
        return points

    def worth(self, parameters: Mapping[str, float]) -> dict[str, float]:
        """Return the value w_j of each domain's data for this loss; the most useful has 1.

        Args:
            parameters: of a fit of this law.
        """
        a = np.array([parameters[n] for n in self.named("a", np.zeros(len(self.labels)))])
        worth = (a / a.min()) ** (-1.0 / parameters["g"])
        return dict(zip(self.labels, map(float, worth), strict=True))

    def example(self, n: int = 120, seed: int = 0) -> Example:
        return self.distinct(super().example(n, seed))
