"""Mixtures of experts: Clark's law of routed models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Example, Law, positive, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register

# Numbers of experts tried as starts for the saturation: below, and above.
FEWEST, MOST = (1.5, 3.0), (100.0, 400.0, 3000.0)


def saturated(experts: Array, start: Array, most: Array) -> Array:
    """E^ of Clark et al., eq. 7: experts between `start`, for a dense model, and `most`."""
    return 1.0 / (1.0 / (experts - 1.0 + 1.0 / (1.0 / start - 1.0 / most)) + 1.0 / most)


@register
@dataclass(frozen=True)
class Routed(Law):
    """log10 L = a log10 N + b log10 E^ + c log10 N log10 E^ + d, E^ experts that saturate.

    Clark et al. 2022 (arXiv 2202.01169), eqs. 3 and 7. N active parameters per token, E experts (1
    for a dense model); c > 0 means that routing helps large models less. For one routing method at
    one number of tokens. It has no floor, so it falls too fast far beyond the data: no choice of
    its constants forecasts Clark's largest models as well as `expert-power` does. E_start and E_max
    are weakly identified: compare forecasts, not these.
    """

    name: ClassVar[str] = "routed"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = (
        r"\log L = a \log N + b \log \hat E + c \log N \log \hat E + d \;(\log_{10})"
    )
    source: ClassVar[str] = "Clark et al. 2022 (arXiv 2202.01169), eqs. 3 and 7"
    inputs: ClassVar[dict[str, Input]] = {n: KNOWN[n] for n in ("params_active", "experts")}
    a = real((-0.2, -0.02), "slope in parameters", bounds=(-3.0, 3.0))
    b = real((-0.4, 0.0), "slope in experts", bounds=(-5.0, 5.0))
    c = real((-0.01, 0.04), "how much parameters reduce the value of experts", bounds=(-1.0, 1.0))
    d = real((0.5, 2.0), "log10 of the loss of one parameter", bounds=(-20.0, 20.0))
    E_start = positive((1.0, 6.0), "effective experts of a dense model", bounds=(1.0, 30.0))
    E_max = positive((60.0, 3000.0), "experts at which the effect saturates", bounds=(31.0, 1e6))

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        size = jnp.log10(x.params_active)
        experts = jnp.log10(saturated(x.experts, p.E_start, p.E_max))
        return jnp.exp(np.log(10.0) * (p.a * size + p.b * experts + p.c * size * experts + p.d))

    def start_points(self, inputs: Mapping[str, Array], y: Array) -> Sequence[Mapping[str, float]]:
        size = np.log10(np.asarray(inputs["params_active"], float))
        points = []
        for start in FEWEST:
            for most in MOST:
                count = np.log10(saturated(np.asarray(inputs["experts"], float), start, most))
                design = np.stack([size, count, size * count, np.ones_like(size)], 1)
                found = np.linalg.lstsq(design, np.log10(np.asarray(y, float)), rcond=None)[0]
                linear = dict(zip("abcd", map(float, found), strict=True))
                points.append({**linear, "E_start": start, "E_max": most})
        return points

    def example(self, n: int = 120, seed: int = 0) -> Example:
        # The published constants of RL-R.
        constants = {"a": -0.083, "b": -0.126, "c": 0.012, "d": 1.111}
        own = super().example(n, seed).inputs
        return Example(constants | {"E_start": 1.88, "E_max": 470.0}, own)
