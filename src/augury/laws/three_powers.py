"""Three powers: parameters, tokens, and unique tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Example, Law, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class ThreePowers(Law):
    """L(N, D, U) = E + A / N^alpha + B / D^beta + C / U^gamma.

    Chinchilla with a third term for unique tokens U: the rival of `data-constrained`. On
    Muennighoff's own runs it forecasts larger data sets better than that law (benchmarks/sldbench),
    but it does not model epochs: the third term is a proxy, and U may exceed D, where it should not
    matter. Do not use it to value an epoch.
    """

    name: ClassVar[str] = "three-powers"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L = E + A\, N^{-\alpha} + B\, D^{-\beta} + C\, U^{-\gamma}"
    source: ClassVar[str] = "ours, 2025, as among the entries of SLDBench (arXiv 2507.21184)"
    inputs: ClassVar[dict[str, Input]] = {
        n: KNOWN[n] for n in ("params", "tokens", "unique_tokens")
    }
    E = real((0.5, 3.0), "irreducible loss, nats", bounds=(0.0, 1e6), amplitude=True)
    A = positive((1.0, 1e6), "amplitude of the parameter term", amplitude=True)
    B = positive((1.0, 1e6), "amplitude of the token term", amplitude=True)
    C = positive((1.0, 1e6), "amplitude of the unique-token term", amplitude=True)
    alpha = positive((0.1, 1.0), "exponent of parameters", bounds=(1e-2, 5.0))
    beta = positive((0.1, 1.0), "exponent of tokens", bounds=(1e-2, 5.0))
    gamma = positive((0.1, 1.0), "exponent of unique tokens", bounds=(1e-2, 5.0))

    def formula(self, p: Any, x: Any) -> Array:
        size = p.A * power(x.params, -p.alpha)
        data = p.B * power(x.tokens, -p.beta) + p.C * power(x.unique_tokens, -p.gamma)
        return p.E + size + data

    def example(self, n: int = 120, seed: int = 0) -> Example:
        rng = np.random.default_rng(seed)
        unique = np.exp(rng.uniform(np.log(1e7), np.log(1e11), n))
        inputs = {
            "params": self.inputs["params"].draw(rng, n),
            "tokens": unique * np.exp(rng.uniform(0.0, np.log(60.0), n)),
            "unique_tokens": unique,
        }
        constants = {"E": 1.8, "A": 400.0, "B": 2000.0, "C": 60.0}
        return Example(constants | {"alpha": 0.34, "beta": 0.37, "gamma": 0.25}, inputs)
