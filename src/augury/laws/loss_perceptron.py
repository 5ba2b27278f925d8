"""A task's score from several losses, through a small perceptron: FLP-M's second step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from augury.errors import DataError, UsageError
from augury.laws.base import Array, Example, Law, Parameter, real
from augury.laws.inputs import Input, Positive
from augury.laws.registry import register

PREFIX = "loss_"
MOST_HIDDEN, MOST_LOSSES = 6, 16
CENTRE, SCALE = float(np.log(3.0)), 0.25
# Number of starts drawn from the priors.
STARTS = 128


def standard(log_loss: Array) -> Array:
    """Scale logarithms of losses to order 1: losses of a ladder differ by a factor of two."""
    return (log_loss - CENTRE) / SCALE


@register
@dataclass(frozen=True)
class LossPerceptron(Law):
    """score = b + sum_h v_h tanh(sum_d w_hd z_d + c_h), z_d = 4 log(L_d / 3) of domain d.

    Second step of FLP-M (Chen et al. 2024, arXiv 2410.08527; hidden width and priors ours): reads
    the columns `loss_DOMAIN` of a table. Use it where one loss cannot distinguish models of
    different corpora, with about a hundred checkpoints that score above chance. Weak priors hold
    the weights, which are not identified individually: use forecasts, not weights. Far beyond the
    observed losses it levels off, at whatever value. One hidden unit forecast gadre's tasks better
    than the paper's three (4.1 and 5.0 points, chosen with the truth in view). One series of one
    corpus needs one loss: `logistic-task`.
    """

    losses: tuple[str, ...] = ()
    hidden: int = 1

    name: ClassVar[str] = "loss-perceptron"
    output: ClassVar[str] = "value"
    equation: ClassVar[str] = r"s = b + \sum_h v_h \tanh\left(\sum_d w_{hd} z_d + c_h\right)"
    source: ClassVar[str] = "Chen et al. 2024 (arXiv 2410.08527), step 2; recalled, priors ours"

    def __post_init__(self) -> None:
        if not 1 <= self.hidden <= MOST_HIDDEN:
            raise UsageError(f"loss-perceptron takes 1 to {MOST_HIDDEN} hidden, not {self.hidden}")
        if len(self.losses) > MOST_LOSSES:
            raise UsageError(f"loss-perceptron takes at most {MOST_LOSSES} losses")

    @property
    def labels(self) -> tuple[str, ...]:
        """The domains; placeholder names until a table names them."""
        return self.losses or ("a", "b")

    @property
    def inputs(self) -> dict[str, Input]:
        kind = Positive("loss on a domain, nats per token", example=(2.0, 4.0))
        return {f"{PREFIX}{domain}": kind for domain in self.labels}

    @property
    def parameters(self) -> dict[str, Parameter]:
        weight = real((-1.0, 1.0), "weight of a loss", bounds=(-50.0, 50.0), prior=(0.0, 1.0))
        named = {"b": real((0.0, 1.0), "middle score", bounds=(-5.0, 5.0), amplitude=True)}
        for h in range(1, self.hidden + 1):
            named[f"v{h}"] = real((-0.5, 0.5), f"height of unit {h}", bounds=(-5.0, 5.0),
                                  amplitude=True, prior=(0.0, 0.5))  # fmt: skip
            named[f"c{h}"] = real((-1.0, 1.0), f"position of unit {h}", bounds=(-50.0, 50.0),
                                  prior=(0.0, 3.0))  # fmt: skip
            for domain in self.labels:
                named[f"w{h}_{domain}"] = replace(weight, meaning=f"of {domain} in unit {h}")
        return named

    def bind(self, table: pl.DataFrame) -> Self:
        if self.losses:
            return self
        found = [c for c in table.columns if c.startswith(PREFIX) and table[c].dtype.is_numeric()]
        if not found:
            raise DataError("the table has no domain losses", column=f"{PREFIX}*",
                            expected="one column per domain, such as loss_web")  # fmt: skip
        return replace(self, losses=tuple(c.removeprefix(PREFIX) for c in found))

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        z = jnp.stack([standard(jnp.log(getattr(x, f"{PREFIX}{d}"))) for d in self.labels], -1)
        out = p.b
        for h in range(1, self.hidden + 1):
            own = jnp.stack([getattr(p, f"w{h}_{domain}") for domain in self.labels])
            out = out + getattr(p, f"v{h}") * jnp.tanh(z @ own + getattr(p, f"c{h}"))
        return out

    def start_points(self, inputs: Mapping[str, Array], y: Array) -> Sequence[Mapping[str, float]]:
        rng = np.random.default_rng(0)
        middle = np.array([standard(np.log(inputs[name]).mean()) for name in self.inputs])
        points = []
        for _ in range(STARTS):
            point = {}
            for h in range(1, self.hidden + 1):
                w = rng.standard_normal(len(self.labels)) / np.sqrt(len(self.labels))
                # Every unit bends within the data.
                point[f"c{h}"] = float(0.7 * rng.standard_normal() - w @ middle)
                point |= {f"w{h}_{d}": float(x) for d, x in zip(self.labels, w, strict=True)}
            points.append(point)
        return points

    def example(self, n: int = 120, seed: int = 0) -> Example:
        own = super().example(n, seed)
        (first,) = self.start_points(own.inputs, np.empty(0))[:1]
        heights = {f"v{h}": 0.2 * (-1) ** h for h in range(1, self.hidden + 1)}
        return Example({**own.parameters, **first, **heights, "b": 0.5}, own.inputs)
