"""A task's score as a logistic curve in the loss."""

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
class LogisticTask(OneInputLaw):
    """score(L) = low + (high - low) / (1 + exp(k (L - L0))): falls from `high` to `low` as L rises.

    Bhagia et al. 2024 (arXiv 2412.04403), step 2, where `over` is the task's bits per byte. They
    write it as a / (1 + exp(-k (L - L0))) + b: high = b, low = a + b. The upper end is rarely
    observed: an ideal point (loss 0, score 1) or a bound has to replace it.
    """

    over: str = "loss"

    name: ClassVar[str] = "logistic-task"
    output: ClassVar[str] = "value"
    of_shares: ClassVar[bool] = True
    equation: ClassVar[str] = r"s(L) = s_{low} + \frac{s_{high} - s_{low}}{1 + e^{k (L - L_0)}}"
    source: ClassVar[str] = "Bhagia et al. 2024 (arXiv 2412.04403), step 2"

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "low": real((0.0, 0.5), "score at high loss", bounds=(0.0, 1.0), amplitude=True),
            "high": real((0.5, 1.0), "score at zero loss", bounds=(0.0, 1.0), amplitude=True),
            "L0": real((0.3, 4.0), "loss at half height", bounds=(-10.0, 20.0)),
            "k": positive((0.5, 20.0), "steepness, per unit of loss", bounds=(1e-2, 1e3)),
        }

    def formula(self, p: Any, x: Any) -> Array:
        loss = getattr(x, self.over)
        import jax

        weight = jax.nn.sigmoid(-p.k * (loss - p.L0))
        return p.low * (1.0 - weight) + p.high * weight

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        loss = np.asarray(inputs[self.over])
        low, high = float(loss.min()), float(loss.max())
        span = max(high - low, 1e-3)
        return {"L0": (low - span, high), "k": (1.0 / span, 30.0 / span)}
