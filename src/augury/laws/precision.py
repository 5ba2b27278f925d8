"""Precision: the value of a low-precision parameter in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.errors import UsageError
from augury.laws.base import Array, Example, Law, Parameter, positive, power, real
from augury.laws.inputs import KNOWN, Input, Positive
from augury.laws.registry import register

PARTS = ("weights", "activations", "cache")


@register
@dataclass(frozen=True)
class Precision(Law):
    """L = E + A N_eff^-alpha + B D^-beta, N_eff = N (1 - e^(-P / g)) for each part of P bits.

    Kumar et al. 2024 (arXiv 2411.04330), recalled and not checked against the paper: training in
    few bits acts like having fewer parameters. For models trained in low precision from the start;
    the cost of quantising a finished model follows another law, and grows with tokens.

    Attributes:
        parts: which parts have their bits in a column: "weights" (column bits_weights),
            "activations", "cache". Leave out parts that were the same in all runs.
    """

    parts: tuple[str, ...] = ("weights",)

    name: ClassVar[str] = "precision"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = (
        r"L = E + A \left(N \prod_x (1 - e^{-P_x/g_x})\right)^{-\alpha} + B\, D^{-\beta}"
    )
    source: ClassVar[str] = "Kumar et al. 2024 (arXiv 2411.04330); recalled, unchecked"

    def __post_init__(self) -> None:
        given: Any = self.parts  # a single name where the command line gives one
        parts = (given,) if isinstance(given, str) else tuple(given)
        object.__setattr__(self, "parts", parts)
        for part in parts:
            if part not in PARTS:
                raise UsageError(f"law '{self.name}' knows {', '.join(PARTS)}, not '{part}'")

    @property
    def inputs(self) -> dict[str, Input]:
        bits = {
            f"bits_{x}": Positive(f"bits of the {x} in training", example=(2.0, 16.0))
            for x in self.parts
        }
        return {"params": KNOWN["params"], "tokens": KNOWN["tokens"], **bits}

    @property
    def parameters(self) -> dict[str, Parameter]:
        found = {
            "E": real((0.5, 3.0), "irreducible loss, nats", bounds=(0.0, 1e6), amplitude=True),
            "A": positive((1.0, 1e6), "amplitude of the parameter term", amplitude=True),
            "B": positive((1.0, 1e6), "amplitude of the token term", amplitude=True),
            "alpha": positive((0.1, 1.0), "exponent of parameters", bounds=(1e-2, 5.0)),
            "beta": positive((0.1, 1.0), "exponent of tokens", bounds=(1e-2, 5.0)),
        }
        return found | {
            f"g_{x}": positive((0.5, 6.0), f"bits of the {x} that retain 63 % of a parameter",
                               bounds=(1e-2, 100.0))
            for x in self.parts
        }  # fmt: skip

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        effective = x.params
        for part in self.parts:
            effective = effective * -jnp.expm1(
                -getattr(x, f"bits_{part}") / getattr(p, f"g_{part}")
            )
        return p.E + p.A * power(effective, -p.alpha) + p.B * power(x.tokens, -p.beta)

    def example(self, n: int = 120, seed: int = 0) -> Example:
        rng = np.random.default_rng(seed)
        inputs = {name: kind.draw(rng, n) for name, kind in self.inputs.items()}
        parameters = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
        return Example(parameters | {f"g_{x}": 2.5 for x in self.parts}, inputs)
