"""Loss after finetuning as a function of the number of examples: flat first, then a power law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Law, positive, power, real
from augury.laws.inputs import Input, NonNegative
from augury.laws.registry import register

# No examples at all: x^beta is 0, and its logarithm must exist.
LEAST = 1e-300


@register
@dataclass(frozen=True)
class Rectified(Law):
    """L(D) = B / (D_l + D^beta) + E: D_l is the value of what pretraining already taught.

    Lin et al. 2024 (arXiv 2402.02314). Below D^beta = D_l the loss hardly moves (their pre-power
    phase); beyond it, it falls as a power law. D = 0 is the model before finetuning, though a jump
    from 0 to the first examples (format, not task) may not fit. Use it per model and task, with at
    least seven amounts; with amounts in the power phase only, D_l is not identified: use `power`.
    """

    name: ClassVar[str] = "rectified"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L(D) = \frac{B}{D_l + D^\beta} + E"
    source: ClassVar[str] = "Lin et al. 2024 (arXiv 2402.02314)"
    inputs: ClassVar[dict[str, Input]] = {
        "finetune_examples": NonNegative("finetuning examples", example=(0.0, 1e6)),
    }
    E = real((0.0, 2.0), "irreducible loss", bounds=(0.0, 1e6), amplitude=True)
    B = positive((1.0, 1e4), "amplitude of the reducible part", amplitude=True)
    D_l = positive((1.0, 1e4), "prior learning, as examples^beta", bounds=(1e-9, 1e15))
    beta = positive((0.2, 1.2), "exponent of examples", bounds=(1e-2, 5.0))

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        # Relative to D_l, so that neither term overflows: (B / D_l) / (1 + D^beta / D_l).
        grown = power(jnp.maximum(x.finetune_examples, LEAST), p.beta)
        return p.E + p.B / (p.D_l + grown)

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        own = np.asarray(inputs["finetune_examples"])
        some = own[own > 0]
        if len(some) == 0:
            return {}
        return {"D_l": (float(some.min()) ** 0.3, float(some.max()) ** 0.8 + 1.0)}
