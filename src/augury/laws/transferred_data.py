"""The value of pretraining, in examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Law, positive, power
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class TransferredData(Law):
    """D_T = k D_F^alpha N^beta: the examples that pretraining saved, over size and finetuning data.

    Hernandez et al. 2021 (arXiv 2102.01293), recalled, not checked. D_T (column
    `transferred_examples`) is how many more examples a model from scratch needs to reach the
    finetuned one's loss; measure it on both learning curves. A line in logarithms: use it where D_T
    is well above its measurement error. With much finetuning data D_T falls to 0, which this law
    does not model.
    """

    name: ClassVar[str] = "transferred-data"
    output: ClassVar[str] = "transferred_examples"
    equation: ClassVar[str] = r"D_T = k\, D_F^\alpha N^\beta"
    source: ClassVar[str] = "Hernandez et al. 2021 (arXiv 2102.01293); the form recalled, unchecked"
    inputs: ClassVar[dict[str, Input]] = {
        "finetune_examples": KNOWN["finetune_examples"],
        "params": KNOWN["params"],
    }
    k = positive((1.0, 1e6), "size", amplitude=True)
    alpha = positive((0.05, 0.8), "exponent of finetuning examples", bounds=(1e-3, 5.0))
    beta = positive((0.1, 1.0), "exponent of parameters", bounds=(1e-3, 5.0))

    def formula(self, p: Any, x: Any) -> Array:
        return p.k * power(x.finetune_examples, p.alpha) * power(x.params, p.beta)
