"""The exponential law of mixtures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Parameter, real
from augury.laws.mixing import MixingLaw, log_slopes
from augury.laws.registry import register

# The floor is tried at these shares of the lowest loss.
FLOORS = (0.5, 0.8, 0.95)


@register
@dataclass(frozen=True)
class ExponentialMixing(MixingLaw):
    """L(r) = c + exp(s + sum_j t_j r_j), r the shares of a mixture.

    Ye et al. 2024 (arXiv 2403.16952), with k = exp(s). Fitted for one validation set; a share of 0
    is fine. The t of the domains and s are known up to a constant, as shares sum to 1: a weak prior
    holds them. Extrapolates across model sizes better than boosted trees, and is beaten by them
    within one size.
    """

    name: ClassVar[str] = "exponential-mixing"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L(r) = c + e^{s + \sum_j t_j r_j}"
    source: ClassVar[str] = "Ye et al. 2024 (arXiv 2403.16952)"

    @property
    def parameters(self) -> dict[str, Parameter]:
        slope = real((-3.0, 1.0), "slope of the log in the share of", bounds=(-60.0, 60.0),
                     prior=(0.0, 10.0))  # fmt: skip
        return {
            "c": real((0.5, 3.0), "loss that no mixture removes", bounds=(0.0, 1e6)),
            "s": real((-3.0, 3.0), "log size of the rest", bounds=(-60, 60), prior=(0.0, 10.0)),
            **self.per_domain("t", slope),
        }

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        return p.c + jnp.exp(p.s + x.share @ self.gathered(p, "t"))

    def start_points(self, inputs: Mapping[str, Array], y: Array) -> Sequence[Mapping[str, float]]:
        points = []
        for part in FLOORS:
            floor = part * float(np.min(y))
            *slopes, level = log_slopes(inputs["share"], y, floor)
            points.append({"c": floor, "s": float(level), **self.named("t", slopes)})
        return points
