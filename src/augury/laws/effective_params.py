"""One task under several training mixtures: each mixture's value in parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Law, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class EffectiveParams(Law):
    """L_m(N) = E + A_m N^-alpha: mixtures of one task differ as if in parameters alone.

    Fernandes et al. 2023 (arXiv 2302.09650), joint law: exponent and floor belong to the task (a
    language pair), only the amplitude to the mixture (its share of the task). A model of N
    parameters trained on mixture m is then as good at the task as one of (A_ref / A_m)^(1/alpha) N
    trained on the reference: `augury.forecast.families.effective_fractions`. The table needs a
    column `mixture`, at least three sizes of each, and one task. It is biased where mixtures change
    the slope: compare with `power` fitted to each (`fit_many`). For a share that was not trained,
    use `sampling-share`.
    """

    name: ClassVar[str] = "effective-params"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L_m(N) = E + A_m N^{-\alpha}"
    source: ClassVar[str] = "Fernandes et al. 2023 (arXiv 2302.09650), the joint law"
    inputs: ClassVar[dict[str, Input]] = {"params": KNOWN["params"]}
    E = real((0.0, 3.0), "irreducible loss", bounds=(0.0, 1e6), amplitude=True)
    A = positive((1.0, 1e5), "amplitude of the reducible part", amplitude=True, per="mixture")
    alpha = positive((0.05, 1.0), "exponent of parameters", bounds=(1e-3, 5.0))

    def formula(self, p: Any, x: Any) -> Array:
        return p.E + p.A * power(x.params, -p.alpha)
