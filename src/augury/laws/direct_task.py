"""A task's score as a function of parameters and tokens, without a loss in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Law, positive, power
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register

# Exponents of parameters and of tokens tried as starts.
EXPONENTS = (0.1, 0.25, 0.5)


@register
@dataclass(frozen=True)
class DirectTask(Law):
    """score(N, D) = chance + (1 - chance) exp(-(A / N^alpha + B / D^beta)).

    Krajewski et al. 2025 (arXiv 2512.08894), eq. 4; -log of the score above chance is Chinchilla's
    form without a floor. Fitted to counts (value and n, or passes and samples), it also uses scores
    at chance. Use it where no loss was measured, or beside a chain: alone it misses the 7B target
    of the public OLMo ladder by 2.9 points on average, and its intervals cover half of the eight
    tasks. Needs runs that differ in tokens per parameter; with a single ratio use `pass-rate`. It
    rises to 1, which a task with wrong answers in its key does not.
    """

    name: ClassVar[str] = "direct-task"
    output: ClassVar[str] = "value"
    equation: ClassVar[str] = r"s(N, D) = g + (1 - g)\, e^{-(A / N^\alpha + B / D^\beta)}"
    source: ClassVar[str] = "Krajewski et al. 2025 (arXiv 2512.08894), eq. 4; on counts: ours"
    inputs: ClassVar[dict[str, Input]] = {
        "params": KNOWN["params"],
        "tokens": KNOWN["tokens"],
        "chance": KNOWN["chance"],
    }
    A = positive((1.0, 1e4), "size of the part that parameters remove")
    alpha = positive((0.05, 0.8), "exponent of parameters", bounds=(1e-3, 5.0))
    B = positive((1.0, 1e4), "size of the part that tokens remove")
    beta = positive((0.05, 0.8), "exponent of tokens", bounds=(1e-3, 5.0))

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        missing = p.A * power(x.params, -p.alpha) + p.B * power(x.tokens, -p.beta)
        return x.chance + (1.0 - x.chance) * jnp.exp(-missing)

    def start_points(self, inputs: Mapping[str, Array], y: Array) -> Sequence[Mapping[str, float]]:
        from scipy.optimize import nnls

        size, data, chance = (np.asarray(inputs[n]) for n in ("params", "tokens", "chance"))
        share = np.clip((np.asarray(y) - chance) / (1.0 - chance), 1e-3, 1.0 - 1e-3)
        missing = -np.log(share)
        points = []
        for alpha in EXPONENTS:
            for beta in EXPONENTS:
                # Relative residuals, so that scores near 1 are not lost beside those at chance.
                terms = np.stack([size**-alpha, data**-beta], 1) / missing[:, None]
                (a, b), _ = nnls(terms, np.ones(len(missing)))
                least_a, least_b = 1e-2 / terms.max(0)
                points.append({"A": max(a, least_a), "alpha": alpha, "B": max(b, least_b),
                               "beta": beta})  # fmt: skip
        return points
