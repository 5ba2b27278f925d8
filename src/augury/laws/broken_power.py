"""The broken power law: smooth joints between straight pieces in log-log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.errors import UsageError
from augury.laws.base import Array, Parameter, positive, real
from augury.laws.one_input import OneInputLaw
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class BrokenPowerLaw(OneInputLaw):
    """y = a + b x^-c0 prod_i (1 + (x / d_i)^(1 / f_i))^(-c_i f_i), with `breaks` factors.

    Caballero et al. 2022 (arXiv 2210.14891), eq. 1. Each break i bends the slope by c_i around x =
    d_i, more sharply for smaller f_i. Very flexible: it follows non-monotone curves, but it cannot
    predict an unseen break. Needs about ten more points than it has parameters.
    """

    breaks: int = 1

    name: ClassVar[str] = "broken-power"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = (
        r"y = a + b\, x^{-c_0} \prod_i \left(1 + (x/d_i)^{1/f_i}\right)^{-c_i f_i}"
    )
    source: ClassVar[str] = "Caballero et al. 2022 (arXiv 2210.14891), eq. 1"

    def __post_init__(self) -> None:
        if not 1 <= self.breaks <= 6:
            raise UsageError(f"broken-power takes 1 to 6 breaks, not {self.breaks}")

    @property
    def parameters(self) -> dict[str, Parameter]:
        named = {
            "a": real((0.0, 3.0), "floor", bounds=(0.0, 1e6), amplitude=True),
            "b": positive((0.1, 1e5), "size", amplitude=True),
            "c0": real((-0.2, 1.0), "first slope", bounds=(-5.0, 5.0)),
        }
        for i in range(1, self.breaks + 1):
            named[f"c{i}"] = real((-1.0, 2.0), f"change of slope at break {i}", bounds=(-20, 20))
            named[f"d{i}"] = positive((1e6, 1e11), f"position of break {i}")
            named[f"f{i}"] = positive((0.05, 1.0), f"width of break {i}", bounds=(1e-2, 10.0))
        return named

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        log_x = jnp.log(getattr(x, self.over))
        exponent = -p.c0 * log_x
        for i in range(1, self.breaks + 1):
            c, d, f = (getattr(p, f"{letter}{i}") for letter in "cdf")
            # log(1 + (x/d)^(1/f)) without overflow
            exponent = exponent - c * f * jnp.logaddexp(0.0, (log_x - jnp.log(d)) / f)
        return p.a + p.b * jnp.exp(exponent)

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        own = np.asarray(inputs[self.over])
        edges = np.exp(np.linspace(np.log(own.min()), np.log(own.max()) + 1e-9, self.breaks + 1))
        return {
            f"d{i}": (float(edges[i - 1]), float(edges[i]) * (1 + 1e-9))
            for i in range(1, self.breaks + 1)
        }
