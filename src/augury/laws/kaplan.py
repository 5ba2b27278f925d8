"""Kaplan's joint law of parameters and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Law, Parameter, positive, power
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class Kaplan(Law):
    """L(N, D) = [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D.

    Kaplan et al. 2020 (arXiv 2001.08361), eq. 1.5. Four constants, one fewer than `chinchilla`: for
    few runs, and forecasts close to them. It has no irreducible loss, so it falls too fast far
    beyond the data.
    """

    name: ClassVar[str] = "kaplan"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = (
        r"L(N, D) = \left[(N_c/N)^{\alpha_N/\alpha_D} + D_c/D\right]^{\alpha_D}"
    )
    source: ClassVar[str] = "Kaplan et al. 2020 (arXiv 2001.08361), eq. 1.5"

    @property
    def inputs(self) -> dict[str, Input]:
        return {"params": KNOWN["params"], "tokens": KNOWN["tokens"]}

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "N_c": positive((1e10, 1e16), "parameters at which the loss is 1"),
            "D_c": positive((1e10, 1e16), "tokens at which the loss is 1"),
            "alpha_N": positive((0.03, 0.3), "exponent of parameters", bounds=(1e-3, 5.0)),
            "alpha_D": positive((0.03, 0.3), "exponent of tokens", bounds=(1e-3, 5.0)),
        }

    def formula(self, p: Any, x: Any) -> Array:
        size = power(p.N_c / x.params, p.alpha_N / p.alpha_D)
        return power(size + p.D_c / x.tokens, p.alpha_D)
