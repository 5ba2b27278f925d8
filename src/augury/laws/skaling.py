"""Skaling: Chinchilla's two terms under one power."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Law, positive, power, real
from augury.laws.inputs import KNOWN
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class Skaling(Law):
    """L(N, D) = E + A (N^-alpha + R D^-beta)^k.

    The form of simple-scaling-laws 0.2.0 (its docstring); k = 1 is Chinchilla, beta = 1 Kaplan's
    coupling. k < 1 means that parameters and tokens interact: where one is scarce, more of the
    other helps less. k is identified only where the terms bend into each other: see `profile(fit,
    "k")`. Use it where isoFLOP curves were measured well; on few points Chinchilla does as well.
    """

    name: ClassVar[str] = "skaling"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L(N, D) = E + A \left(N^{-\alpha} + R\, D^{-\beta}\right)^k"
    source: ClassVar[str] = "simple-scaling-laws 0.2.0 (2025), docstring; published constants: none"
    inputs = {"params": KNOWN["params"], "tokens": KNOWN["tokens"]}  # noqa: RUF012
    E = real((0.5, 3.0), "irreducible loss, nats", bounds=(0.0, 1e6), amplitude=True)
    A = positive((1.0, 1e6), "amplitude of the reducible part", amplitude=True)
    alpha = positive((0.2, 1.2), "exponent of parameters, within the power k", bounds=(1e-3, 5.0))
    beta = positive((0.2, 1.2), "exponent of tokens, within the power k", bounds=(1e-3, 5.0))
    k = positive((0.25, 1.0), "coupling of the terms; 1 adds them", bounds=(0.05, 2.0))
    R = positive((1e-3, 1e6), "weight of the tokens' term", bounds=(1e-12, 1e12))

    def formula(self, p: Any, x: Any) -> Array:
        inner = power(x.params, -p.alpha) + p.R * power(x.tokens, -p.beta)
        return p.E + p.A * power(inner, p.k)

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        # Terms are comparable at the centre of the data, for exponents around .6.
        size, data = (np.median(np.asarray(inputs[n]) ** -0.6) for n in ("params", "tokens"))
        ratio = float(size / data)
        return {"R": (0.1 * ratio, 10.0 * ratio)}
