"""Chinchilla's law for several tasks at once, with common exponents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Law, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class JointChinchilla(Law):
    """L_t(N, D) = E_t + A_t N^-alpha + B_t D^-beta: exponents shared by tasks, amplitudes not.

    For a ladder whose tasks (or languages, or validation sets) have too few points for their own
    exponents. The table needs a column `task`. It is biased where exponents truly differ: compare
    with `fit_many(..., pool=True)`, which lets them differ a little.
    """

    name: ClassVar[str] = "joint-chinchilla"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L_t(N, D) = E_t + A_t N^{-\alpha} + B_t D^{-\beta}"
    source: ClassVar[str] = "ours, after Hoffmann et al. 2022 (arXiv 2203.15556)"
    inputs: ClassVar[dict[str, Input]] = {
        "params": KNOWN["params"],
        "tokens": KNOWN["tokens"],
    }
    E = real((0.0, 3.0), "irreducible loss", bounds=(0.0, 1e6), amplitude=True, per="task")
    A = positive((1.0, 1e6), "amplitude of the parameter term", amplitude=True, per="task")
    B = positive((1.0, 1e6), "amplitude of the token term", amplitude=True, per="task")
    alpha = positive((0.1, 1.0), "exponent of parameters", bounds=(1e-3, 5.0))
    beta = positive((0.1, 1.0), "exponent of tokens", bounds=(1e-3, 5.0))

    def formula(self, p: Any, x: Any) -> Array:
        return p.E + p.A * power(x.params, -p.alpha) + p.B * power(x.tokens, -p.beta)
