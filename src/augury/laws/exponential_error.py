"""A task's error as an exponential in the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Parameter, positive, real
from augury.laws.one_input import OneInputLaw
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class ExponentialError(OneInputLaw):
    """error(L) = eps - k exp(-gamma L).

    Gadre et al. 2024 (arXiv 2403.08540), eq. 5, for the error averaged over many tasks; single
    tasks follow it less closely. eps is the error of a model that knows nothing.
    """

    over: str = "loss"

    name: ClassVar[str] = "exponential-error"
    output: ClassVar[str] = "error"
    equation: ClassVar[str] = r"\mathrm{Err}(L) = \epsilon - k\, e^{-\gamma L}"
    source: ClassVar[str] = "Gadre et al. 2024 (arXiv 2403.08540), eq. 5"

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "eps": real((0.3, 1.0), "error at high loss", bounds=(0.0, 2.0), amplitude=True),
            "k": positive(
                (0.1, 10.0), ("size of the part that a lower loss removes"), amplitude=True
            ),
            "gamma": positive((0.2, 3.0), "rate, per unit of loss", bounds=(1e-3, 50.0)),
        }

    def formula(self, p: Any, x: Any) -> Array:
        loss = getattr(x, self.over)
        import jax.numpy as jnp

        return p.eps - p.k * jnp.exp(-p.gamma * loss)
