"""Over-training: loss of models trained on more tokens than is compute-optimal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Law, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class OverTraining(Law):
    """L(C, M) = E + (a M^eta + b M^-eta) C^-eta, in compute C = 6 N D and tokens per parameter M.

    Gadre et al. 2024 (arXiv 2403.08540), eq. 4. Models over-trained by the same ratio M, whatever
    it is, fall with compute at one exponent. As C and M are 6 N D and D / N, it is Chinchilla with
    one exponent 2 eta in both terms: four constants, so that five runs suffice. Inputs are
    parameters and tokens. Where N and D have different exponents, use `chinchilla`.
    """

    name: ClassVar[str] = "over-training"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = (
        r"L = E + (a\, M^{\eta} + b\, M^{-\eta})\, C^{-\eta},\; C = 6ND,\; M = D/N"
    )
    source: ClassVar[str] = "Gadre et al. 2024 (arXiv 2403.08540), eq. 4"
    inputs: ClassVar[dict[str, Input]] = {n: KNOWN[n] for n in ("params", "tokens")}
    E = real((0.5, 3.0), "irreducible loss, nats", bounds=(0.0, 1e6), amplitude=True)
    a = positive((1.0, 1e6), "size of the term that grows with tokens per parameter",
                 amplitude=True)  # fmt: skip
    b = positive((1.0, 1e6), "size of the term that falls with them", amplitude=True)
    eta = positive((0.05, 0.5), "exponent of compute", bounds=(1e-3, 2.5))

    def formula(self, p: Any, x: Any) -> Array:
        # (M / C)^eta = (6 N^2)^-eta, and (M C)^-eta = (6 D^2)^-eta: computed without overflow.
        size = power(6.0 * x.params * x.params, -p.eta)
        data = power(6.0 * x.tokens * x.tokens, -p.eta)
        return p.E + p.a * size + p.b * data
