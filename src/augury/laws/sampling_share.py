"""A task's loss over parameters and the task's share of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Law, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class SamplingShare(Law):
    """L(N, p) = E + A (f(p) N)^-alpha, f(p) = p + c_1 p^c_2 (1 - p)^c_3.

    Fernandes et al. 2023 (arXiv 2302.09650): a multilingual model that sees a language pair with
    weight p is as good at it as a model of f(p) N parameters that sees nothing else. f(1) = 1; f(p)
    > p means that the other languages help (found into English), f(p) = p that they do not (from
    English). For p above 0. Only shares on both sides of the bend identify c_2 and c_3: compare
    f(p), not these.
    """

    name: ClassVar[str] = "sampling-share"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = (
        r"L(N, p) = E + A\,(f(p) N)^{-\alpha},\quad f(p) = p + c_1 p^{c_2} (1 - p)^{c_3}"
    )
    source: ClassVar[str] = "Fernandes et al. 2023 (arXiv 2302.09650)"
    inputs: ClassVar[dict[str, Input]] = {n: KNOWN[n] for n in ("params", "sampling_share")}
    E = real((0.0, 3.0), "irreducible loss", bounds=(0.0, 1e6), amplitude=True)
    A = positive((1.0, 1e5), "amplitude of the reducible part", amplitude=True)
    alpha = positive((0.05, 1.0), "exponent of parameters", bounds=(1e-3, 5.0))
    c_1 = real((0.0, 1.0), "help from the other data", bounds=(0.0, 20.0))
    c_2 = positive((0.2, 1.5), "shape of the rise from p = 0", bounds=(1e-2, 10.0))
    c_3 = positive((0.2, 1.5), "shape of the fall towards p = 1", bounds=(1e-2, 10.0))

    def formula(self, p: Any, x: Any) -> Array:
        share = self.fraction(p, x.sampling_share)
        return p.E + p.A * power(share * x.params, -p.alpha)

    @staticmethod
    def fraction(p: Any, share: Array) -> Array:
        """Compute f(p): effective parameters over parameters."""
        import jax.numpy as jnp

        rest = jnp.maximum(1.0 - share, 1e-12)  # at p = 1 its power is 0, and so is its slope
        return share + p.c_1 * power(share, p.c_2) * power(rest, p.c_3)
