"""Mixtures by effective share: each domain counts for a target by its transfer weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Parameter, positive, power, real
from augury.laws.mixing import MixingLaw, log_slopes
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class EffectiveShare(MixingLaw):
    """L(r) = c + k (sum_j w_j r_j + e)^-g: the loss falls as a power of the effective share.

    w_j is how much a token of domain j is worth for the target, on a common scale (only ratios to
    the largest are read), e what is known without any of it. Reads as transfer weights, and falls
    naturally into laws of tokens: D sum w r effective tokens.
    """

    name: ClassVar[str] = "effective-share"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L(r) = c + k \left(\sum_j w_j r_j + e\right)^{-g}"
    source: ClassVar[str] = "ours; additive transfer weights as in Shukor et al. 2025 (2507.09404)"

    @property
    def parameters(self) -> dict[str, Parameter]:
        weight = positive((0.02, 1.0), "worth of a token of", bounds=(1e-6, 1e3),
                          prior=(-2.0, 2.0))  # fmt: skip
        return {
            "c": real((0.5, 3.0), "loss that stays", bounds=(0.0, 1e6), amplitude=True),
            "k": positive((0.1, 10.0), "size of the part that falls", amplitude=True),
            "g": positive((0.05, 1.0), "exponent of the effective share", bounds=(1e-3, 5.0),
                          prior=(-1.5, 1.0)),
            "e": positive((1e-3, 0.1), "what is known without the mixture", bounds=(1e-6, 10.0),
                          prior=(-4.0, 2.0)),
            **self.per_domain("w", weight),
        }  # fmt: skip

    def formula(self, p: Any, x: Any) -> Array:
        return p.c + p.k * power(x.share @ self.gathered(p, "w") + p.e, -p.g)

    def start_points(self, inputs: Mapping[str, Array], y: Array) -> Sequence[Mapping[str, float]]:
        slopes = log_slopes(inputs["share"], y, 0.8 * float(np.min(y)))[:-1]
        # A domain that lowers the loss is worth more: weights by the rank of its slope.
        helped = np.exp(np.clip(-(slopes - slopes.min()), -6.0, 0.0))
        equal = np.full(len(slopes), np.exp(-2.0))
        return [
            {"g": g, "e": e, **self.named("w", w)}
            for w in (equal, helped)
            for g in (0.1, 0.3)
            for e in (0.01, 0.1)
        ]
