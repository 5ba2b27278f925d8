"""Loss over learning rate and batch size: a bowl that moves with parameters and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Example, Law, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register

# Reference point of the bowl's minimum: a billion parameters and a hundred billion tokens.
PARAMS, TOKENS = 1e9, 1e11
EXPONENTS = (0.2, 0.4)
LEAST_CURVATURE = 1e-4


@register
@dataclass(frozen=True)
class LearningRateBowl(Law):
    """L = L_0(N, D) exp(c_l l^2 + c_b b^2 + c_lb l b), l and b log distances from the optimum.

    Ours: Chinchilla for the minimum, quadratic in the logarithms of learning rate and batch size
    around lr* = lr_best (N / 1e9)^lr_N (D / 1e11)^lr_D and B* = batch_best (D / 1e11)^batch_D, the
    power laws of Li et al. 2025 (arXiv 2503.04715, Step law). For grids of runs over learning rates
    and batch sizes. Its thirteen constants need a grid at three or more sizes. Far from the minimum
    training diverges, which no quadratic predicts: leave such runs out.
    """

    name: ClassVar[str] = "learning-rate-bowl"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = (
        r"L = (E + A N^{-\alpha} + B D^{-\beta})"
        r" \exp(c_l l^2 + c_b b^2 + c_{lb}\, l b),\; l = \ln(\eta/\eta^*),\; b = \ln(S/S^*)"
    )
    source: ClassVar[str] = "ours, 2026; the optima after Li et al. 2025 (arXiv 2503.04715)"
    inputs: ClassVar[dict[str, Input]] = {
        n: KNOWN[n] for n in ("params", "tokens", "learning_rate", "batch_size")
    }
    E = real((0.5, 3.0), "irreducible loss, nats", bounds=(0.0, 1e6), amplitude=True)
    A = positive((1.0, 1e6), "amplitude of the parameter term", amplitude=True)
    B = positive((1.0, 1e6), "amplitude of the token term", amplitude=True)
    alpha = positive((0.1, 1.0), "exponent of parameters", bounds=(1e-2, 5.0))
    beta = positive((0.1, 1.0), "exponent of tokens", bounds=(1e-2, 5.0))
    lr_best = positive((1e-4, 1e-2), "best learning rate at 1e9 parameters and 1e11 tokens")
    lr_N = real(
        (-1.0, 0.0), ("exponent of parameters for the best learning rate"), bounds=(-5.0, 5.0)
    )
    lr_D = real((-0.2, 0.6), "exponent of tokens for the best learning rate", bounds=(-5.0, 5.0))
    batch_best = positive((1e5, 5e6), "best batch at 1e11 tokens, tokens")
    batch_D = real((0.0, 1.0), "exponent of tokens for the best batch", bounds=(-5.0, 5.0))
    c_l = real((0.005, 0.1), "curvature in log learning rate", bounds=(0.0, 10.0))
    c_b = real((0.002, 0.1), "curvature in log batch", bounds=(0.0, 10.0))
    c_lb = real((-0.05, 0.01), "interaction of the two", bounds=(-10.0, 10.0))

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        size, data = jnp.log(x.params / PARAMS), jnp.log(x.tokens / TOKENS)
        rate = jnp.log(x.learning_rate / p.lr_best) - p.lr_N * size - p.lr_D * data
        batch = jnp.log(x.batch_size / p.batch_best) - p.batch_D * data
        bowl = p.c_l * rate * rate + p.c_b * batch * batch + p.c_lb * rate * batch
        bottom = p.E + p.A * power(x.params, -p.alpha) + p.B * power(x.tokens, -p.beta)
        return bottom * jnp.exp(jnp.minimum(bowl, 50.0))

    def start_points(self, inputs: Mapping[str, Array], y: Array) -> list[dict[str, float]]:
        n, d, rate, batch = (np.asarray(inputs[k], float) for k in self.inputs)
        s, t, l, b = np.log(n / PARAMS), np.log(d / TOKENS), np.log(rate), np.log(batch)  # noqa: E741
        # Log loss is nearly quadratic in (l, b), with coefficients linear in log N and log D.
        columns = [np.ones_like(s), s, t, s * s, t * t, l * l, b * b, l * b,
                   l, l * s, l * t, b, b * s, b * t]  # fmt: skip
        found = np.linalg.lstsq(np.stack(columns, 1), np.log(np.asarray(y, float)), rcond=None)[0]
        c_l, c_b, c_lb = (float(c) for c in found[5:8])
        c_l, c_b = max(c_l, LEAST_CURVATURE), max(c_b, LEAST_CURVATURE)
        edge = 1.9 * np.sqrt(c_l * c_b)
        c_lb = float(np.clip(c_lb, -edge, edge))
        slopes = np.stack([found[8:11], found[11:14]])
        (l0, l_n, l_d), (b0, _, b_d) = -np.linalg.solve([[2 * c_l, c_lb], [c_lb, 2 * c_b]], slopes)
        point = {
            "lr_best": float(np.exp(np.clip(l0, l.min() - 3, l.max() + 3))),
            "lr_N": float(np.clip(l_n, -2, 2)),
            "lr_D": float(np.clip(l_d, -2, 2)),
            "batch_best": float(np.exp(np.clip(b0, b.min() - 3, b.max() + 3))),
            "batch_D": float(np.clip(b_d, -2, 2)),
            "c_l": c_l,
            "c_b": c_b,
            "c_lb": c_lb,
        }
        return [{**point, "alpha": a, "beta": e} for a in EXPONENTS for e in EXPONENTS]

    def example(self, n: int = 120, seed: int = 0) -> Example:
        rng = np.random.default_rng(seed)
        params, tokens = (self.inputs[k].draw(rng, n) for k in ("params", "tokens"))
        # Step law's optima, with rates and batches within a factor of five of them.
        best = {"lr_best": 1.6e-3, "lr_N": -0.713, "lr_D": 0.307, "batch_best": 1.1e6}
        own = {"batch_D": 0.571, "c_l": 0.03, "c_b": 0.015, "c_lb": -0.01}
        rate = best["lr_best"] * (params / PARAMS) ** -0.713 * (tokens / TOKENS) ** 0.307
        batch = best["batch_best"] * (tokens / TOKENS) ** 0.571
        inputs = {
            "params": params,
            "tokens": tokens,
            "learning_rate": rate * np.exp(rng.uniform(-1.6, 1.6, n)),
            "batch_size": batch * np.exp(rng.uniform(-1.6, 1.6, n)),
        }
        bottom = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
        return Example(bottom | best | own, inputs)
