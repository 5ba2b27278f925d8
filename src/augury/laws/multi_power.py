"""Loss over a run, with a separate term per decrease of the learning rate: the multi-power law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.errors import UsageError
from augury.laws.base import Array, Example, Law, Parameter, positive, power, real
from augury.laws.inputs import Curve, Input, Positive
from augury.laws.registry import register
from augury.laws.schedules import schedule_columns

# Peak and final learning rate, steps and warm-up of the example's schedules.
PEAK, LAST, STEPS, WARM_UP = 3e-4, 3e-5, 8000, 500
# A decrease that was just made has released nothing yet; its power still needs a derivative.
LEAST_SINCE = 1e-12


@register
@dataclass(frozen=True)
class MultiPower(Law):
    """L = L_0 + A S^-alpha - B sum_k d_k (1 - (1 + C eta_k^-gamma (S - S_k))^-beta).

    Luo et al. 2025 (arXiv 2503.12811). S is the sum of the learning rates so far; decrease k of the
    learning rate, by d_k to eta_k, has released a part of the loss that grows with the learning
    done since, S - S_k. `with_schedule` computes the columns from a log with steps and learning
    rates.
    Seven constants: fit it to two or more schedules of one model (a constant or slow one, and one
    with a sharp drop); then it forecasts the loss under another schedule. A single curve does not
    identify beta, gamma and C: `momentum` has fewer constants. Leave out the rows of the warm-up,
    and runs of other sizes.

    Attributes:
        shape: (beta, gamma) held fixed, which leaves five constants. With three schedules the seven
            lie in a valley: the mean forecast of several shapes is more accurate than the best fit.
    """

    shape: tuple[float, ...] = ()

    name: ClassVar[str] = "multi-power"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = (
        r"L = L_0 + A S^{-\alpha} - B \sum_k d_k"
        r" \left(1 - (1 + C \eta_k^{-\gamma} (S - S_k))^{-\beta}\right)"
    )
    source: ClassVar[str] = "Luo et al. 2025 (arXiv 2503.12811), their code's sum"
    inputs: ClassVar[dict[str, Input]] = {
        "lr_sum": Positive("sum of the learning rates so far", example=(0.5, 20.0)),
        "drop": Curve("decrease of the learning rate in each segment", axis="segment"),
        "drop_lr": Curve("learning rate after the decrease", axis="segment"),
        "drop_since": Curve("learning rates summed since the decrease", axis="segment"),
    }
    L_0 = real((0.5, 3.0), "irreducible loss", bounds=(0.0, 1e6), amplitude=True)
    A = positive((0.3, 1.0), "amplitude of the reducible part", amplitude=True)
    alpha = positive((0.3, 0.7), "exponent of the learning so far", bounds=(1e-3, 5.0))
    B = positive((100.0, 1000.0), "loss finally released per decrease", amplitude=True)
    C = positive((0.5, 5.0), "how fast it is released", bounds=(1e-9, 1e9))
    beta = positive((0.3, 0.8), "exponent of the release", bounds=(1e-2, 10.0))
    gamma = positive(
        (0.3, 0.8),
        ("exponent by which low learning rates speed up the release"),
        bounds=(1e-3, 5.0),
    )

    def __post_init__(self) -> None:
        if self.shape and (len(self.shape) != 2 or self.shape[0] <= 0):
            raise UsageError(f"law '{self.name}' takes shape=beta;gamma, not {self.shape}")

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        free = super().parameters
        return {n: x for n, x in free.items() if not (self.shape and n in ("beta", "gamma"))}

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        beta, gamma = self.shape or (p.beta, p.gamma)
        since = jnp.maximum(x.drop_since, LEAST_SINCE)
        grown = p.C * power(x.drop_lr, -gamma) * since
        released = -jnp.expm1(-beta * jnp.log1p(grown))
        return p.L_0 + p.A * power(x.lr_sum, -p.alpha) - p.B * (x.drop * released).sum(-1)

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        # C eta^-gamma S is of order 1 to 100 at the data's own learning rates, for gamma around .6.
        drop, rate = np.asarray(inputs["drop"]), np.asarray(inputs["drop_lr"])
        live = drop != 0
        if not live.any():
            return {}
        gamma = self.shape[1] if self.shape else 0.6
        unit = float(np.median(rate[live])) ** gamma / float(np.median(inputs["lr_sum"]))
        return {"C": (unit, 300.0 * unit)}

    def example(self, n: int = 120, seed: int = 0) -> Example:
        rng = np.random.default_rng(seed)
        step = np.arange(1, STEPS + 1)
        warm = np.minimum(step / WARM_UP, 1.0)
        progress = np.clip((step - WARM_UP) / (STEPS - WARM_UP), 0.0, 1.0)
        cosine = LAST + (PEAK - LAST) * 0.5 * (1 + np.cos(np.pi * progress))
        sudden = np.where(step < STEPS // 2, PEAK, 3 * LAST)
        late = PEAK * (LAST / PEAK) ** np.clip((progress - 0.8) / 0.2, 0.0, 1.0)
        parts = []
        for j, rate in enumerate((cosine, sudden, late)):
            count = len(range(j, n, 3))
            at = rng.integers(WARM_UP, STEPS, count) + 1
            parts.append(schedule_columns(warm * rate, at))
        inputs = {name: np.concatenate([part[name] for part in parts]) for name in self.inputs}
        middle = {"L_0": 2.65, "A": 0.6, "alpha": 0.45, "B": 440.0, "C": 2.1, "beta": 0.6,
                  "gamma": 0.65}  # fmt: skip
        return Example({name: middle[name] for name in self.parameters}, inputs)
