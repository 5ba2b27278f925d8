"""Mixtures of experts: one product of powers over a floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Law, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class ExpertPower(Law):
    """L(N, E) = L_0 + A N^-alpha E^-beta: active parameters times experts, over a floor.

    The rival of `routed`, with four constants in place of six. Experts multiply parameters at a
    fixed rate beta / alpha, however many there are: it does not saturate, so do not use it far
    beyond the numbers of experts that were tried. On Clark's runs it forecasts larger models
    better.
    """

    name: ClassVar[str] = "expert-power"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L = L_0 + A\, N^{-\alpha} E^{-\beta}"
    source: ClassVar[str] = "ours, 2025, as among the entries of SLDBench (arXiv 2507.21184)"
    inputs: ClassVar[dict[str, Input]] = {n: KNOWN[n] for n in ("params_active", "experts")}
    L_0 = real((0.5, 3.0), "irreducible loss, nats", bounds=(0.0, 1e6), amplitude=True)
    A = positive((1.0, 1e6), "amplitude of the reducible part", amplitude=True)
    alpha = positive((0.05, 1.0), "exponent of active parameters", bounds=(1e-3, 5.0))
    beta = positive((0.01, 0.5), "exponent of experts", bounds=(1e-4, 5.0))

    def formula(self, p: Any, x: Any) -> Array:
        return p.L_0 + p.A * power(x.params_active, -p.alpha) * power(x.experts, -p.beta)
