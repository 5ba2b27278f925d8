"""A task's score as a line below a loss threshold."""

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
class ThresholdTask(OneInputLaw):
    """score(L) = base + slope * max(threshold - L, 0).

    Stage 2 of FLP (Chen et al. 2024, arXiv 2410.08527) with a fitted threshold in place of the rule
    "chance + 5 points"; the hinge of Du et al. 2024 (arXiv 2403.15796). It has no ceiling, and real
    scores bend: trust it only near the data.
    """

    over: str = "loss"

    name: ClassVar[str] = "threshold-task"
    output: ClassVar[str] = "value"
    of_shares: ClassVar[bool] = True
    equation: ClassVar[str] = r"s(L) = s_0 + w \max(\eta - L, 0)"
    source: ClassVar[str] = "Chen et al. 2024 (arXiv 2410.08527), stage 2; Du et al. 2024"

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "base": real(
                (0.0, 0.5), ("score above the threshold"), bounds=(0.0, 1.0), amplitude=True
            ),
            "slope": positive((0.01, 10.0), "rise per unit of loss", amplitude=True),
            "threshold": real(
                (0.5, 4.0), ("loss at which the score leaves base"), bounds=(-10.0, 20.0)
            ),
        }

    def formula(self, p: Any, x: Any) -> Array:
        loss = getattr(x, self.over)
        import jax.numpy as jnp

        return p.base + p.slope * jnp.maximum(p.threshold - loss, 0.0)

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        loss = np.asarray(inputs[self.over])
        low, high = float(loss.min()), float(loss.max())
        return {"threshold": (low + 0.02 * (high - low), high + 1e-9 + 0.1 * (high - low))}
