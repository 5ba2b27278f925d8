"""Parallel streams: one model that reads several transformed copies of its input at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Example, Law, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class ParallelStreams(Law):
    """L(N, P) = E + A (N (1 + k ln P))^-alpha: P parallel streams count as more parameters.

    Chen et al. 2025 (arXiv 2505.10475): a model run on P transformed copies of its input, with its
    outputs combined, is as good as one with 1 + k ln P times the parameters. Holds at one number of
    tokens. Their A is the A here to the power 1 / alpha.
    """

    name: ClassVar[str] = "parallel-streams"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L = E + A \left(N (1 + k \ln P)\right)^{-\alpha}"
    source: ClassVar[str] = "Chen et al. 2025 (arXiv 2505.10475), ParScale"
    inputs: ClassVar[dict[str, Input]] = {n: KNOWN[n] for n in ("params", "streams")}
    E = real((0.3, 3.0), "irreducible loss, nats", bounds=(0.0, 1e6), amplitude=True)
    A = positive((1.0, 1e6), "amplitude of the reducible part", amplitude=True)
    alpha = positive((0.05, 1.0), "exponent of parameters", bounds=(1e-3, 5.0))
    k = positive((0.05, 2.0), "parameters gained per e-fold of streams", bounds=(1e-4, 1e3))

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        return p.E + p.A * power(x.params * (1.0 + p.k * jnp.log(x.streams)), -p.alpha)

    def example(self, n: int = 120, seed: int = 0) -> Example:
        # Constants as on the Pile; 1 to 64 streams.
        inputs = super().example(n, seed).inputs
        rng = np.random.default_rng(seed + 1)
        streams = 2.0 ** rng.integers(0, 7, n)
        parameters = {"E": 1.29, "A": 40.0, "alpha": 0.196, "k": 0.334}
        return Example(parameters, inputs | {"streams": streams})
