"""Distillation: the loss of a student, from its teacher's loss and its own without a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Example, Law, positive, power
from augury.laws.inputs import KNOWN, Input, Positive
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class Distillation(Law):
    """L = L_T + (A N^-alpha + B D^-beta)^g L_T^-c0 (1 + (L_T / (d L_alone))^(1/f))^(-c1 f).

    Busbridge et al. 2025 (arXiv 2502.08606), recalled and not checked against the paper. A student
    of N parameters and D distilled tokens approaches its teacher's loss L_T, up to a point: beyond
    a ratio d of L_T to the loss L_alone that it would have without a teacher (from `chinchilla`), a
    better teacher no longer helps (the capacity gap). Nine constants in a valley, five of them held
    by weak priors: use it to forecast between the settings that were tried, and do not interpret
    the constants. Needs the columns loss_teacher and loss_alone.
    """

    name: ClassVar[str] = "distillation"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = (
        r"L = L_T + \frac{(A N^{-\alpha} + B D^{-\beta})^{g}}{L_T^{c_0}}"
        r"\left(1 + (L_T / (d\,L_a))^{1/f}\right)^{-c_1 f}"
    )
    source: ClassVar[str] = "Busbridge et al. 2025 (arXiv 2502.08606); recalled, unchecked"
    inputs: ClassVar[dict[str, Input]] = {
        "params": KNOWN["params"],
        "tokens": KNOWN["tokens"],
        "loss_teacher": Positive("the teacher's loss, nats per token", example=(1.9, 2.8)),
        "loss_alone": Positive("the student's loss without a teacher", example=(2.1, 3.6)),
    }
    A = positive((1.0, 1e5), "amplitude of the parameter term")
    B = positive((1.0, 1e5), "amplitude of the token term")
    alpha = positive((0.1, 0.8), "exponent of parameters", bounds=(1e-2, 5.0))
    beta = positive((0.1, 0.8), "exponent of tokens", bounds=(1e-2, 5.0))
    g = positive((0.5, 1.5), "power of both terms", bounds=(0.05, 5.0), prior=(0.0, 0.5))
    c0 = positive((0.5, 3.0), "how much a poor teacher masks the student's own error",
                  bounds=(1e-3, 20.0), prior=(0.5, 1.0))  # fmt: skip
    c1 = positive((0.3, 3.0), "steepness beyond the gap", bounds=(1e-3, 50.0), prior=(0.0, 1.0))
    d = positive((0.5, 2.0), "ratio of losses at the capacity gap", bounds=(0.05, 20.0),
                 prior=(0.0, 0.5))  # fmt: skip
    f = positive((0.05, 0.5), "width of the gap", bounds=(1e-2, 5.0), prior=(-1.8, 0.7))

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        short = p.A * power(x.params, -p.alpha) + p.B * power(x.tokens, -p.beta)
        ratio = (jnp.log(x.loss_teacher) - jnp.log(x.loss_alone) - jnp.log(p.d)) / p.f
        gap = -p.c1 * p.f * jnp.logaddexp(0.0, ratio)
        return x.loss_teacher + jnp.exp(p.g * jnp.log(short) - p.c0 * jnp.log(x.loss_teacher) + gap)

    def start_points(self, inputs: Mapping[str, Array], y: Array) -> list[dict[str, float]]:
        n, t = (np.asarray(inputs[k], float) for k in ("params", "tokens"))
        rest = {"g": 1.0, "c0": 1.6, "c1": 1.0, "d": 1.0, "f": 0.16}
        excess = float(np.median(np.maximum(np.asarray(y) - inputs["loss_teacher"], 1e-3)))
        return [
            {"A": 2 * excess * float(np.median(n**a)), "B": 2 * excess * float(np.median(t**b)),
             "alpha": a, "beta": b, **rest}
            for a in (0.2, 0.35, 0.5) for b in (0.2, 0.35, 0.5)
        ]  # fmt: skip

    def example(self, n: int = 120, seed: int = 0) -> Example:
        rng = np.random.default_rng(seed)
        params, tokens = (self.inputs[k].draw(rng, n) for k in ("params", "tokens"))
        alone = 1.8 + 480 * params**-0.35 + 2100 * tokens**-0.37
        teacher = rng.uniform(1.9, 2.8, n)
        inputs = {"params": params, "tokens": tokens, "loss_teacher": teacher, "loss_alone": alone}
        parameters = {"A": 900.0, "B": 4000.0, "alpha": 0.35, "beta": 0.37, "g": 1.0, "c0": 1.6}
        return Example(parameters | {"c1": 1.0, "d": 1.0, "f": 0.16}, inputs)
