"""Loss as a pure power of compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Law, Parameter, positive, power
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class ComputeLaw(Law):
    """L(C) = (C_c / C)^alpha: loss along a compute-optimal path.

    Kaplan et al. 2020 (arXiv 2001.08361), eq. 1.3; stage 1 of FLP (Chen et al. 2024, arXiv
    2410.08527). No floor, and independent of how compute is split between parameters and tokens:
    predictions for heavily over-trained targets are too low. `power:over=flops` has a floor.
    """

    name: ClassVar[str] = "compute"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L(C) = (C_c / C)^{\alpha}"
    source: ClassVar[str] = "Kaplan et al. 2020 (arXiv 2001.08361), eq. 1.3"

    @property
    def inputs(self) -> dict[str, Input]:
        return {"flops": KNOWN["flops"]}

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "C_c": positive((1e15, 1e35), "compute at which the loss is 1, FLOP"),
            "alpha": positive((0.01, 0.3), "exponent", bounds=(1e-3, 5.0)),
        }

    def formula(self, p: Any, x: Any) -> Array:
        return power(p.C_c / x.flops, p.alpha)
