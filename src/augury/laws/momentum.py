"""Loss over a run of any learning-rate schedule, from two sums: the momentum law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Law, positive, power, real
from augury.laws.inputs import Input, Positive, Real
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class Momentum(Law):
    """L = L_0 + A S_1^-alpha - C S_2: learning so far, and the loss released by decreases.

    Tissue et al. 2024 (arXiv 2408.11029). S_1 is the sum of the learning rates so far (`lr_sum`),
    S_2 the sum of their decreases, each fading over a memory of about 1,000 steps (`lr_drop`);
    `with_schedule` computes both from a log with steps and learning rates. Four constants: use it
    for the end of a run in progress, or where few schedules were tried. It gives a decrease the
    same effect at every learning rate; `multi-power` does not, and needs more schedules. Leave out
    the rows of the warm-up, and runs of other sizes.
    """

    name: ClassVar[str] = "momentum"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L = L_0 + A\, S_1^{-\alpha} - C\, S_2"
    source: ClassVar[str] = "Tissue et al. 2024 (arXiv 2408.11029)"
    inputs: ClassVar[dict[str, Input]] = {
        "lr_sum": Positive("sum of the learning rates so far", example=(0.5, 20.0)),
        "lr_drop": Real("sum of the decreases of the learning rate, faded", example=(0.0, 0.3)),
    }
    L_0 = real((0.5, 3.0), "irreducible loss", bounds=(0.0, 1e6), amplitude=True)
    A = positive((0.1, 3.0), "amplitude of the reducible part", amplitude=True)
    alpha = positive((0.2, 0.9), "exponent of the learning so far", bounds=(1e-3, 5.0))
    C = real((0.0, 2.0), "loss released per decrease", bounds=(0.0, 1e9), amplitude=True)

    def formula(self, p: Any, x: Any) -> Array:
        return p.L_0 + p.A * power(x.lr_sum, -p.alpha) - p.C * x.lr_drop

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        # A schedule without decreases does not determine C, which then starts at 0.
        drop = float(np.max(np.abs(inputs["lr_drop"]), initial=0.0))
        return {} if drop > 0 else {"C": (0.0, 1e-9)}
