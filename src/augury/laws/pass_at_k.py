"""pass@k over the number of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.laws.base import Array, Law, positive, power
from augury.laws.inputs import Input, Positive
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class PassAtK(Law):
    """E[pass@k] = exp(-a k^-b): the mean pass@k of a benchmark over the samples per problem.

    Schaeffer et al. 2025 (arXiv 2502.17578). Single problems fail exponentially in k; the power law
    comes from problems with a small pass rate, whose density near 0 goes as p^(b-1). Good beyond
    about k = 10. Points from one table of counts are not independent, so intervals are too narrow.
    If counts per problem are available, `augury.data.counts.pass_at_k_fitted` (a beta distribution
    over problems) uses all of them, and needs no law.
    """

    name: ClassVar[str] = "pass-at-k"
    output: ClassVar[str] = "value"
    equation: ClassVar[str] = r"E[pass@k] = e^{-a k^{-b}}"
    source: ClassVar[str] = "Schaeffer et al. 2025 (arXiv 2502.17578); from a secondary source"
    inputs: ClassVar[dict[str, Input]] = {
        "k": Positive("samples per problem", example=(1.0, 1e4)),
    }
    a = positive((0.3, 10.0), "minus log of pass@1", bounds=(1e-9, 1e6))
    b = positive((0.05, 1.0), "exponent", bounds=(1e-3, 10.0))

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        return jnp.exp(-p.a * power(x.k, -p.b))
