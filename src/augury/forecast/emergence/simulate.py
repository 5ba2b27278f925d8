"""Simulate finetuning studies, to plan one and to check intervals.

Truths are not drawn from the fitted family's priors, and data are noisier than its likelihood
assumes: rates vary between runs like a beta-binomial's, a subset is worth more or fewer examples,
and every checkpoint is a little better or worse than its loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Truth:
    """The true process behind simulated scores.

    Attributes:
        elbow: loss at which the few-shot score leaves chance, nats.
        shift: how much higher the elbow is at the largest amount, nats.
        alpha: exponent of log D.
        slope: score per nat past the elbow, at the largest amount.
        chance: score of guessing.
        tilt: log ratio of the few-shot slope to that at the largest amount; 0 is one slope.
        plateau: height above chance at which the rise ends; infinite for a ReLU.
        s_shaped: the shift is a logistic curve in log D, centred .55 of the way.
        run: correlation of two trials of one run (beta-binomial).
        subset: standard deviation of a subset's shift of the elbow, nats.
        checkpoint: standard deviation of a checkpoint's own deviation from its loss, nats.
        by_size: how much later (in nats) the elbow comes with each doubling of the model.
        format_loss: loss at which the prompt format emerges, a skill of its own that any
            finetuning teaches. Until then, few-shot scores of every task in this format stay at
            chance, whatever the task's own elbow. Infinite for a format that all models know.
    """

    elbow: float = 1.9
    shift: float = 0.3
    alpha: float = 1.0
    slope: float = 0.8
    chance: float = 0.25
    tilt: float = 0.0
    plateau: float = np.inf
    s_shaped: bool = False
    run: float = 1e-3
    subset: float = 0.01
    checkpoint: float = 0.005
    by_size: float = 0.0
    format_loss: float = np.inf

    @property
    def emerges(self) -> float:
        """Loss at which few-shot scores leave chance: the later of the task and its format."""
        return min(self.elbow, self.format_loss)

    def elbow_at(self, amount: np.ndarray | float, low: float, high: float) -> np.ndarray:
        """Elbow in nats for finetuning amounts between `low` (D_0) and `high`."""
        way = np.log(np.maximum(amount, low) / low) / np.log(high / low)
        if self.s_shaped:
            ends = np.tanh((np.array([0.0, 1.0]) - 0.55) / 0.2)
            moved = (np.tanh((way - 0.55) / 0.2) - ends[0]) / (ends[1] - ends[0])
        else:
            own = np.log(np.maximum(amount, low)) ** self.alpha
            ends = np.log([low, high]) ** self.alpha
            moved = (own - ends[0]) / (ends[1] - ends[0])
        return np.asarray(self.elbow + self.shift * moved)

    def score(self, past: np.ndarray, way: np.ndarray) -> np.ndarray:
        """Expected score `past` the elbow, with a share `way` (0 to 1) of the log of finetuning."""
        rise = self.slope * np.exp(self.tilt * (1 - way)) * np.maximum(past, 0.0)
        if np.isfinite(self.plateau):
            rise = self.plateau * -np.expm1(-rise / self.plateau)
        return np.clip(self.chance + rise, 0.0, 0.99)


def simulate_study(
    truth: Truth,
    rng: np.random.Generator,
    *,
    losses: ArrayLike | Callable[[], ArrayLike],
    amounts: Sequence[int] = (400, 800, 1600, 3200, 7000),
    subsets: int = 2,
    shots: int = 5,
    items: int = 1200,
    sizes: int = 3,
) -> pl.DataFrame:
    """Simulate one study as a table for `emergence_data`.

    Args:
        truth: the true process.
        rng: random generator.
        losses: pretraining loss of each checkpoint; sizes alternate.
        amounts: finetuning examples; the largest has one subset, the others `subsets`.
        subsets: random subsets of each smaller amount.
        shots: examples in the prompt of the few-shot rows; also D_0.
        items: number of instances per score.
        sizes: number of model sizes, each twice the one before.
    """
    own = np.asarray(losses() if callable(losses) else losses, float)
    size = np.arange(len(own)) % sizes
    luck = truth.checkpoint * rng.standard_normal(len(own))
    high = max(amounts)
    rows = []
    for amount in (0, *amounts):
        for subset in range(1 if amount in (0, high) else subsets):
            moved = truth.subset * rng.standard_normal() if amount else 0.0
            way = np.log(max(amount, shots) / shots) / np.log(high / shots)
            past = truth.elbow_at(float(amount), shots, high) + moved + luck - own
            rate = truth.score(past - truth.by_size * size, np.full(len(own), way))
            if not amount:
                rate = np.where(own > truth.format_loss, truth.chance, rate)
            if truth.run > 0:
                total = 1 / truth.run - 1
                rate = rng.beta(np.maximum(rate * total, 1e-9), (1 - rate) * total)
            passes = rng.binomial(items, rate)
            rows += [
                {
                    "model": f"size{size[i]}-checkpoint{i:02d}",
                    "params": 1e9 * 2.0 ** size[i],
                    "loss": own[i],
                    "finetune_examples": amount,
                    "subset": str(subset),
                    "shots": 0 if amount else shots,
                    "passes": float(passes[i]),
                    "samples": float(items),
                    "chance": truth.chance,
                }
                for i in range(len(own))
            ]
    return pl.DataFrame(rows)
