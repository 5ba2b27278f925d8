"""How a pass rate grows: PassUntil's law with a chance floor, straight and curved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Law, Parameter, positive, power, real
from augury.laws.inputs import KNOWN, Input, input_named
from augury.laws.registry import register

# Inputs where less is better: the pass rate falls as they grow.
FALLS_WITH = ("loss", "bpb")
# Bound of the logarithm of a start value: beyond 709 its exponential overflows.
LARGEST_LOG = 600.0


@register
@dataclass(frozen=True)
class PassRate(Law):
    """pass(x) = chance + (1 - chance) exp(-c x^-alpha): a straight line in log(-log pass), log x.

    Over a loss, where more is worse, the exponent is +alpha.

    Hu et al. 2023 (arXiv 2310.03262), task scaling law, with a floor for what random guessing
    passes (ours: without it the small end of a series bends the line). `chance` is a column of the
    table, 0 if missing.
    """

    over: str = "params"

    name: ClassVar[str] = "pass-rate"
    output: ClassVar[str] = "value"
    equation: ClassVar[str] = r"P(x) = g + (1 - g)\, e^{-c\, x^{-\alpha}}"
    source: ClassVar[str] = "Hu et al. 2023 (arXiv 2310.03262); the floor g is ours"

    @property
    def inputs(self) -> dict[str, Input]:
        return {self.over: input_named(self.over), "chance": KNOWN["chance"]}

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "c": positive((1.0, 1e6), "minus log of the pass rate at x = 1"),
            "alpha": positive((0.05, 2.0), "exponent", bounds=(1e-3, 20.0)),
        }

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        sign = 1.0 if self.over in FALLS_WITH else -1.0
        grown = power(getattr(x, self.over), sign * p.alpha)
        return x.chance + (1.0 - x.chance) * jnp.exp(-p.c * grown)

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        x = np.log(np.asarray(inputs[self.over]))
        slope, level = line_through_log_log(x, np.asarray(y), np.asarray(inputs["chance"]))
        sign = 1.0 if self.over in FALLS_WITH else -1.0
        alpha = max(sign * slope, 0.02)
        log_c = float(np.clip(level - sign * alpha * float(x.mean()), -LARGEST_LOG, LARGEST_LOG))
        return {
            "alpha": (alpha / 3, 3 * alpha),
            "c": (float(np.exp(log_c - 3.0)), float(np.exp(log_c + 3.0))),
        }


@register
@dataclass(frozen=True)
class CurvedPassRate(Law):
    """The pass-rate law with a curvature: log(-log pass) = a - alpha z + q z^2, z = log(x / x0).

    q > 0 is sub-scaling growth (several steps, all needed), q < 0 accelerated emergence (several
    circuits, the best one answers); q = 0 is the straight law of Hu et al. 2023 (arXiv 2310.03262).
    `x0` only centres the curve. Far outside the data the parabola turns back: trust its sign, not
    its far end.
    """

    over: str = "params"
    x0: float = 1e9

    name: ClassVar[str] = "curved-pass-rate"
    output: ClassVar[str] = "value"
    equation: ClassVar[str] = (
        r"P(x) = g + (1 - g)\, e^{-e^{a - \alpha z + q z^2}},\quad z = \ln(x / x_0)"
    )
    source: ClassVar[str] = "ours, after Hu et al. 2023 (arXiv 2310.03262)"

    @property
    def inputs(self) -> dict[str, Input]:
        return {self.over: input_named(self.over), "chance": KNOWN["chance"]}

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "a": real((-3.0, 4.0), "log(-log pass) at x0", bounds=(-60.0, 60.0)),
            "alpha": real((-0.5, 2.0), "fall of log(-log pass) per e-fold of x", bounds=(-20, 20)),
            "q": real((-0.1, 0.1), "curvature", bounds=(-5.0, 5.0)),
        }

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        z = jnp.log(getattr(x, self.over) / self.x0)
        return x.chance + (1.0 - x.chance) * jnp.exp(-jnp.exp(p.a - p.alpha * z + p.q * z * z))

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        z = np.log(np.asarray(inputs[self.over]) / self.x0)
        slope, level = line_through_log_log(z, np.asarray(y), np.asarray(inputs["chance"]))
        a = level - slope * float(z.mean())
        # A bend of up to a quarter of the slope's change over the observed range.
        bend = 0.25 * (abs(slope) + 0.05) / max(float(np.ptp(z)), 0.1)
        return {
            "a": (a - 1.0, a + 1.0),
            "alpha": (-slope - 0.5 * abs(slope) - 0.05, -slope + 0.5 * abs(slope) + 0.05),
            "q": (-bend, bend),
        }


def line_through_log_log(x: Array, y: Array, chance: Array) -> tuple[float, float]:
    """Return slope and middle height of a line through log(-log pass) over x, chance removed.

    Points at or below chance, or at 1, are moved just inside: this only serves to start a fit.
    """
    rate = np.clip((y - chance) / (1.0 - chance), 1e-9, 1.0 - 1e-6)
    f = np.log(-np.log(rate))
    if np.ptp(x) == 0:
        return -0.3, float(f.mean())
    slope = float(np.polyfit(x - x.mean(), f, 1)[0])
    return slope, float(f.mean())
