"""Loss along a run of given batch size and steps: an implicit law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Law, positive, power
from augury.laws.implicit import implicit_root
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register

# Bracket of the root, in nats: no loss lies outside it.
LOWEST, HIGHEST = 1e-3, 1e4


@register
@dataclass(frozen=True)
class BatchTrajectory(Law):
    """L = (N_c / N)^a_N + (S_c / S)^a_S (1 + B_c / (B L^(1 / a_B)))^a_S, L on both sides.

    Su et al. 2024 (arXiv 2403.06563), after Kaplan et al. 2020: S steps of batches of B tokens are
    worth S / (1 + B_crit(L) / B) steps of large batches, and the critical batch grows as the loss
    falls. Assumes a constant learning rate after warm-up. The right side falls with L, so there is
    one root. It has no floor, so it falls too fast far beyond the data. The published constants
    could not be checked.
    """

    name: ClassVar[str] = "batch-trajectory"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = (
        r"L = (N_c/N)^{a_N} + (S_c/S)^{a_S} \left(1 + B_c / (B L^{1/a_B})\right)^{a_S}"
    )
    source: ClassVar[str] = "Su et al. 2024 (arXiv 2403.06563); the form from a secondary source"
    inputs: ClassVar[dict[str, Input]] = {
        "params": KNOWN["params"],
        "steps": KNOWN["steps"],
        "batch_size": KNOWN["batch_size"],
    }
    N_c = positive((1e10, 1e15), "parameters at which the loss is 1")
    a_N = positive((0.04, 0.2), "exponent of parameters", bounds=(1e-3, 2.0))
    S_c = positive((1e2, 1e4), "steps at which the step term is 1")
    a_S = positive((0.4, 1.2), "exponent of steps", bounds=(1e-2, 5.0))
    B_c = positive((1e7, 1e11), "critical batch at a loss of 1, tokens", bounds=(1.0, 1e20))
    a_B = positive((0.08, 0.4), "exponent of the critical batch", bounds=(1e-2, 5.0))

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        size = power(p.N_c / x.params, p.a_N)
        steps = power(p.S_c / x.steps, p.a_S)

        def residual(loss: Array) -> Array:
            wasted = p.B_c / (x.batch_size * power(loss, 1.0 / p.a_B))
            # In logarithms, so that an extreme start does not overflow.
            right = jnp.logaddexp(jnp.log(size), jnp.log(steps) + p.a_S * jnp.log1p(wasted))
            return jnp.log(loss) - right

        ones = jnp.ones_like(x.params)
        return implicit_root(residual, LOWEST * ones, HIGHEST * ones)
