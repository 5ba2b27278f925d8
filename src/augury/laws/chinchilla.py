"""The Chinchilla law of parameters and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Law, Parameter, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class Chinchilla(Law):
    """L(N, D) = E + A / N^alpha + B / D^beta.

    Hoffmann et al. 2022 (arXiv 2203.15556), approach 3. The first law to try where parameters and
    tokens both vary. It assumes that the two terms add up and that no token is seen twice.
    """

    name: ClassVar[str] = "chinchilla"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L(N, D) = E + A\, N^{-\alpha} + B\, D^{-\beta}"
    source: ClassVar[str] = "Hoffmann et al. 2022 (arXiv 2203.15556), approach 3"

    @property
    def inputs(self) -> dict[str, Input]:
        return {"params": KNOWN["params"], "tokens": KNOWN["tokens"]}

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "E": real((0.5, 3.0), "irreducible loss, nats", bounds=(0.0, 1e6), amplitude=True),
            "A": positive((1.0, 1e6), "amplitude of the parameter term", amplitude=True),
            "B": positive((1.0, 1e6), "amplitude of the token term", amplitude=True),
            "alpha": positive((0.1, 1.0), "exponent of parameters", bounds=(1e-3, 5.0)),
            "beta": positive((0.1, 1.0), "exponent of tokens", bounds=(1e-3, 5.0)),
        }

    def formula(self, p: Any, x: Any) -> Array:
        return p.E + p.A * power(x.params, -p.alpha) + p.B * power(x.tokens, -p.beta)
