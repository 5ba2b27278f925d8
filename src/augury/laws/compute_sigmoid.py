"""A score that saturates in compute, as in reinforcement learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Parameter, positive, real
from augury.laws.one_input import OneInputLaw
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class ComputeSigmoid(OneInputLaw):
    """R(C) = R_0 + (R_max - R_0) / (1 + (C_mid / C)^b): a sigmoid in log compute.

    Khatri et al. 2025 (ScaleRL, arXiv 2510.13786; form from a secondary source): expected reward
    over the compute of reinforcement learning, without its first part. Good for one run or recipe
    whose score bends. Before C_mid its ceiling is not identified and every forecast of it is a
    guess: see `profile(fit, "R_max")`. `over` may be steps or any other amount.
    """

    over: str = "flops"

    name: ClassVar[str] = "compute-sigmoid"
    output: ClassVar[str] = "value"
    of_shares: ClassVar[bool] = True
    equation: ClassVar[str] = r"R(C) = R_0 + \frac{R_{max} - R_0}{1 + (C_{mid} / C)^b}"
    source: ClassVar[str] = (
        "Khatri et al. 2025 (arXiv 2510.13786); the form from a secondary source"
    )

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "R_0": real((0.0, 0.4), "score far below C_mid", bounds=(0.0, 1.0), amplitude=True),
            "R_max": real((0.5, 1.0), "score far above C_mid", bounds=(0.0, 1.0), amplitude=True),
            "C_mid": positive((1e19, 1e22), "compute at half height"),
            "b": positive((0.3, 3.0), "steepness", bounds=(0.05, 20.0)),
        }

    def formula(self, p: Any, x: Any) -> Array:
        import jax
        import jax.numpy as jnp

        share = jax.nn.sigmoid(p.b * (jnp.log(getattr(x, self.over)) - jnp.log(p.C_mid)))
        return p.R_0 * (1.0 - share) + p.R_max * share

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        own = np.asarray(inputs[self.over])
        low, high = float(own.min()), float(own.max())
        wide = max(high / low, 2.0)
        return {"C_mid": (low / wide**0.25, high * wide**0.5)}
