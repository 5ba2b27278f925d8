"""Power law with a floor, in one variable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Parameter, positive, power, real
from augury.laws.one_input import OneInputLaw
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class PowerLaw(OneInputLaw):
    """L(x) = E + A / x^alpha: one resource, and a loss that no amount of it removes.

    Kaplan et al. 2020 (arXiv 2001.08361) without the floor; Henighan et al. 2020 (arXiv 2010.14701)
    with it. Good for one series where only `over` varies; three or four sizes do not identify E.
    """

    name: ClassVar[str] = "power"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L(x) = E + A\, x^{-\alpha}"
    source: ClassVar[str] = "Henighan et al. 2020 (arXiv 2010.14701)"

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "E": real((0.0, 3.0), "irreducible loss", bounds=(0.0, 1e6), amplitude=True),
            "A": positive((1.0, 1e5), "amplitude of the reducible part", amplitude=True),
            "alpha": positive((0.05, 1.0), "exponent", bounds=(1e-3, 5.0)),
        }

    def formula(self, p: Any, x: Any) -> Array:
        return p.E + p.A * power(getattr(x, self.over), -p.alpha)
