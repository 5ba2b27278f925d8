"""A power law that levels off at both ends: M4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Parameter, positive, real
from augury.laws.one_input import OneInputLaw
from augury.laws.registry import register

# Bounds on the logit of the remaining share: beyond them it is 1, or too small for a float to add.
WIDEST = 300.0
# Newton steps, each of which doubles the digits: ten leave only rounding error (1e-12).
STEPS = 10


@register
@dataclass(frozen=True)
class SaturatedPower(OneInputLaw):
    """L = E + H u with u / (1 - u)^alpha = (x / x_0)^-c: u falls from 1 to a power law.

    Estimator M4 of Alabdulmohsin et al. 2022 (arXiv 2209.06640), (L - E) / (L_max - L)^alpha = b
    x^c, with H = L_max - E. Far beyond x_0 it is the power law E + H (x / x_0)^-c; far below, it
    stays at E + H, the loss of a model that has learnt nothing. Use it for a curve that starts
    flat: error rates, few examples, tasks that begin at chance.
    Five constants: where the curve is straight in logarithms from its first point, x_0, alpha and H
    are not identified; use `power` then.
    """

    over: str = "tokens"

    name: ClassVar[str] = "saturated-power"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"\frac{L - E}{(E + H - L)^\alpha} = H^{1-\alpha} (x/x_0)^{-c}"
    source: ClassVar[str] = "Alabdulmohsin et al. 2022 (arXiv 2209.06640), M4"

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "E": real((0.0, 3.0), "irreducible loss", bounds=(0.0, 1e6), amplitude=True),
            "H": positive((0.1, 10.0), "reducible loss", amplitude=True),
            "c": positive((0.05, 1.0), "exponent far beyond x_0", bounds=(1e-3, 5.0)),
            "alpha": positive((0.1, 3.0), "how late the fall begins", bounds=(1e-2, 20.0)),
            "x_0": positive((1e6, 1e11), "where the fall begins"),
        }

    def formula(self, p: Any, x: Any) -> Array:
        import jax
        import jax.numpy as jnp

        right = -p.c * (jnp.log(getattr(x, self.over)) - jnp.log(p.x_0))

        def step(z: Array, alpha: Array, right: Array) -> Array:
            """Take one Newton step for z + (alpha - 1) log(1 + e^z) = right, z the logit of u."""
            value = z + (alpha - 1.0) * jax.nn.softplus(z) - right
            return z - value / (1.0 + (alpha - 1.0) * jax.nn.sigmoid(z))

        alpha, fixed = (jax.lax.stop_gradient(v) for v in (p.alpha, right))
        # log(1 + e^z) is max(z, 0) plus at most log 2. Both choices bound z; from the one on the
        # curved side (above for alpha > 1, below otherwise) steps never overshoot.
        z = jnp.where(fixed < 0, fixed, fixed / alpha)
        z = jnp.where(alpha > 1, z, z - jnp.log(2.0))
        z = jax.lax.fori_loop(0, STEPS, lambda _, at: step(at, alpha, fixed), z)
        # A last step from the root, where z no longer depends on its start: its derivatives are the
        # root's.
        u = jax.nn.sigmoid(jnp.clip(step(z, p.alpha, right), -WIDEST, WIDEST))
        return p.E + p.H * u

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        own = np.asarray(inputs[self.over])
        # The fall begins within the data or up to ten times before them.
        return {"x_0": (float(own.min()) / 10.0, float(own.max()))}
