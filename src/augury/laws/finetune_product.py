"""Loss after finetuning as a function of model size and examples together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Law, Parameter, positive, power, real
from augury.laws.inputs import KNOWN, Input, input_named
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class FinetuneProduct(Law):
    """L(X, D_f) = A / (X^alpha D_f^beta) + E: a better model gains more from examples.

    Zhang et al. 2024 (arXiv 2402.17193), recalled, not checked: X is model size, pretraining tokens
    (`over=tokens`) or tuned parameters. Needs models of several X, each finetuned on several
    amounts. For one model, or amounts before its loss starts to fall, use `rectified`.
    """

    over: str = "params"

    name: ClassVar[str] = "finetune-product"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L(X, D_f) = \frac{A}{X^\alpha D_f^\beta} + E"
    source: ClassVar[str] = "Zhang et al. 2024 (arXiv 2402.17193); the form recalled, unchecked"

    @property
    def inputs(self) -> dict[str, Input]:
        return {
            self.over: input_named(self.over),
            "finetune_examples": KNOWN["finetune_examples"],
        }

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "E": real((0.0, 2.0), "irreducible loss", bounds=(0.0, 1e6), amplitude=True),
            "A": positive((1.0, 1e4), "amplitude of the reducible part", amplitude=True),
            "alpha": positive((0.02, 0.5), "exponent of the model", bounds=(1e-3, 5.0)),
            "beta": positive((0.02, 0.5), "exponent of examples", bounds=(1e-3, 5.0)),
        }

    def formula(self, p: Any, x: Any) -> Array:
        model = power(getattr(x, self.over), -p.alpha)
        return p.E + p.A * model * power(x.finetune_examples, -p.beta)
