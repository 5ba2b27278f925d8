"""The null law: nothing depends on scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, real
from augury.laws.one_input import OneInputLaw
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class Constant(OneInputLaw):
    """y = c: the mean of the observations, whatever the scale.

    A candidate in every comparison: a law that does not beat it on held-out runs has learned
    nothing. `over` names the input along which a backtest cuts, `predicts` the column it predicts.
    """

    predicts: str = "loss"

    name: ClassVar[str] = "constant"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"y = c"
    source: ClassVar[str] = "ours: the null law"
    c = real((0.0, 5.0), "value everywhere", bounds=(-1e6, 1e6), amplitude=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "output", self.predicts)

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        return p.c * jnp.ones_like(getattr(x, self.over))

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        middle = float(np.median(y))
        return {"c": (middle - 1e-6 - 0.1 * abs(middle), middle + 1e-6 + 0.1 * abs(middle))}
