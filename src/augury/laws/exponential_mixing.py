"""The exponential law of data mixtures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Example, Parameter, positive, real
from augury.laws.mixing import FLOORS, MixingLaw
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class ExponentialMixing(MixingLaw):
    """L(r) = c + exp(sum_j r_j ln a_j), r the shares of a mixture: the data mixing law.

    Ye et al. 2024 (arXiv 2403.16952) write c + k exp(sum_j t_j r_j). As shares sum to 1, only the
    products k exp(t_j) = a_j are identified, so they are the parameters: a_j is the excess loss of
    a model trained on domain j alone. The limit of `effective-share` for a large exponent. It
    extrapolates across model sizes better than boosted trees, which beat it within one size. A
    share of 0 is fine.
    """

    name: ClassVar[str] = "exponential-mixing"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L(r) = c + \exp\left(\sum_j r_j \ln a_j\right)"
    source: ClassVar[str] = "Ye et al. 2024 (arXiv 2403.16952)"

    @property
    def parameters(self) -> dict[str, Parameter]:
        alone = positive((0.1, 10.0), "excess loss after training only on")
        return {
            "c": real((0.0, 3.0), "loss that no mixture removes", bounds=(0.0, 1e6),
                      amplitude=True),
            **self.per_domain("a", alone),
        }  # fmt: skip

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        return p.c + jnp.exp(x.share @ jnp.log(self.gathered(p, "a")))

    def start_points(self, inputs: Mapping[str, Array], y: Array) -> Sequence[Mapping[str, float]]:
        share, points = np.asarray(inputs["share"]), []
        for part in FLOORS:
            logs = np.log(np.asarray(y) - part * np.min(y))
            found, *_ = np.linalg.lstsq(share, logs, rcond=1e-6)
            inside = np.clip(found, logs.min() - 3.0, logs.max() + 3.0)
            points.append(self.named("a", np.exp(inside)))
        return points

    def example(self, n: int = 120, seed: int = 0) -> Example:
        return self.distinct(super().example(n, seed))
