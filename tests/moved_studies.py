"""Simulated studies for the moved curve, noisier than its likelihood and not from its priors."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.special import expit

SHAPES = ("log", "s-shaped", "unequal slopes")
AMOUNTS = (8, 16, 32, 64, 128, 512)
CHANCE = 0.25


def moved_table(
    rng: np.random.Generator,
    shape: str = "log",
    *,
    ahead: tuple[float, float] = (0.05, 0.3),
    by_size: float = 0.0,
) -> tuple[float, pl.DataFrame, float]:
    """A table of three sizes by nine checkpoints, few-shot and finetuned, and its truth.

    The few-shot curve stands .1 above chance at the loss returned, which lies `ahead` nats beyond
    the best checkpoint. D_h is drawn over four decades, the floor between 4 and 20 % below it. With
    `by_size`, each doubling of the size moves the curve that far, in log units: at equal loss
    larger models are worse, and the premise is broken.

    Returns:
        The true point, the table, and the floor.
    """
    point = 4.0
    floor = point * (1.0 - rng.uniform(0.04, 0.2))
    lowest = max(point + rng.uniform(*ahead), floor + 0.3 * (point - floor))
    losses = np.sort(lowest + rng.uniform(0.0, 0.7, (3, 9)), axis=1)[:, ::-1]
    losses[rng.integers(3), -1] = lowest
    x = -np.log(losses - floor)
    height = rng.uniform(0.4, 0.75)
    width = rng.uniform(0.12, 0.3)
    share = 0.1 / height
    middle = -np.log(point - floor) - width * np.log(share / (1 - share))
    shift = rng.uniform(0.3, 0.9)
    dh = 10.0 ** rng.uniform(-0.5, 3.5)
    most = np.log1p(AMOUNTS[-1] / dh)
    luck = 0.02 * rng.standard_normal((3, 9))
    rows = []
    for amount in (0, *AMOUNTS):
        way = np.log1p(amount / dh) / most
        if shape == "s-shaped":
            way = way**2 / (way**2 + (1 - way) ** 2 + 1e-12)
        own = width * np.exp(0.7 * way) if shape == "unequal slopes" else width
        subset = 0.02 * rng.standard_normal(2)
        for s in range(1 if amount == 0 else 2):
            place = x + (subset[s] if amount else 0.0) - by_size * (np.arange(3) - 1)[:, None]
            rate = CHANCE + height * expit((place - middle + shift * way) / own) + luck
            rate = np.clip(rate + 0.015 * rng.standard_normal((3, 9)), 0.01, 0.99)
            passes = rng.binomial(1024, rate)
            rows += [
                {
                    "model": f"w{i}",
                    "step": 100 * (j + 1),
                    "params": 1e4 * 2.0**i,
                    "loss": losses[i, j],
                    "finetune_examples": amount,
                    "subset": str(s) if amount else None,
                    "value": passes[i, j] / 1024,
                    "n": 1024,
                    "chance": CHANCE,
                    "shots": 6,
                }
                for i in range(3)
                for j in range(9)
            ]
    return point, pl.DataFrame(rows), floor
