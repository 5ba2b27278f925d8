"""Mixtures of experts, parameters and tokens in one law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Example, Law, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class JointExperts(Law):
    """L = E + A X^delta N^(-alpha + gamma ln X) + B X^omega D^(-beta + zeta ln X), X experts.

    The form of Ludziejewski et al. 2025 (arXiv 2502.05172), recalled from memory and not checked
    against the paper, with the plain count of experts X in place of a saturated one. N is active
    parameters per token, D tokens. Nine constants: use it where N, D and the experts all vary over
    several values each; otherwise `expert-power`.
    """

    name: ClassVar[str] = "joint-experts"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = (
        r"L = E + A\,X^{\delta} N^{-\alpha + \gamma \ln X} + B\,X^{\omega} D^{-\beta + \zeta \ln X}"
    )
    source: ClassVar[str] = "after Ludziejewski et al. 2025 (arXiv 2502.05172); recalled, unchecked"
    inputs: ClassVar[dict[str, Input]] = {
        n: KNOWN[n] for n in ("params_active", "tokens", "experts")
    }
    E = real((0.5, 3.0), "irreducible loss, nats", bounds=(0.0, 1e6), amplitude=True)
    A = positive((1.0, 1e6), "amplitude of the parameter term", amplitude=True)
    B = positive((1.0, 1e6), "amplitude of the token term", amplitude=True)
    alpha = positive((0.1, 1.0), "exponent of active parameters", bounds=(1e-2, 5.0))
    beta = positive((0.1, 1.0), "exponent of tokens", bounds=(1e-2, 5.0))
    delta = real((-0.5, 0.1), "exponent of experts at one parameter", bounds=(-5.0, 5.0))
    gamma = real((-0.01, 0.02), "change of alpha per e-fold of experts", bounds=(-1.0, 1.0))
    omega = real((-0.3, 0.3), "exponent of experts at one token", bounds=(-5.0, 5.0))
    zeta = real((-0.01, 0.01), "change of beta per e-fold of experts", bounds=(-1.0, 1.0))

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        log = jnp.log(x.experts)
        size = jnp.exp(p.delta * log) * power(x.params_active, -p.alpha + p.gamma * log)
        data = jnp.exp(p.omega * log) * power(x.tokens, -p.beta + p.zeta * log)
        return p.E + p.A * size + p.B * data

    def start_points(self, inputs: Mapping[str, Array], y: Array) -> list[dict[str, float]]:
        # Chinchilla's exponents; experts with no effect, or acting like parameters.
        plain = {"gamma": 0.0, "omega": 0.0, "zeta": 0.0}
        return [
            {"alpha": a, "beta": b, "delta": d, **plain}
            for a in (0.25, 0.5)
            for b in (0.25, 0.5)
            for d in (-0.02, -0.15)
        ]

    def example(self, n: int = 120, seed: int = 0) -> Example:
        constants = {"E": 1.7, "A": 400.0, "B": 2000.0, "alpha": 0.34, "beta": 0.36}
        experts = {"delta": -0.25, "gamma": 0.004, "omega": -0.1, "zeta": 0.006}
        rng = np.random.default_rng(seed)
        inputs = {name: kind.draw(rng, n) for name, kind in self.inputs.items()}
        return Example(constants | experts, inputs)
