"""Simulated studies for the moved curve: noisier than its likelihood, not from its priors."""

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
    amounts: tuple[int, ...] = AMOUNTS,
) -> tuple[float, pl.DataFrame, float]:
    """A table of three sizes by nine checkpoints, few-shot and finetuned, with its truth.

    The few-shot curve is .1 above chance at the returned loss, which lies `ahead` nats beyond
    the best checkpoint. D_h is drawn over four decades, the floor between 4 and 20 % below it. With
    `by_size`, each doubling of the size moves the curve by that, in log units: at equal loss
    larger models are worse, and the premise fails.

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
    most = np.log1p(amounts[-1] / dh)
    luck = 0.02 * rng.standard_normal((3, 9))
    rows = []
    for amount in (0, *amounts):
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


def families_table(
    rng: np.random.Generator,
    shape: str = "s-shaped",
    *,
    spread: float = 0.2,
    recipe: float = 0.25,
    steeper: float = 2.0,
) -> tuple[float, pl.DataFrame]:
    """Public models of eight families on FLOPs, few-shot rows at chance, and their truth.

    Thirty to fifty-five models over four decades, 8 to 17 amounts. A family is early or late by
    `spread` decades (a standard deviation), and finetuning moves it by more or less than others
    (`recipe`, of the logarithm). The slope is about half as steep with much data as with none. All
    models beyond a cut .1 to .8 decades before the point are left out.

    Returns:
        FLOPs at which the families' mean few-shot score is .1 above chance, and the table.
    """
    models = int(rng.integers(30, 56))
    families = 8
    family = np.concatenate([np.arange(families), rng.integers(families, size=models - families)])
    best = rng.uniform(0.1, 0.8)  # decades before the point
    x = -best - 4.0 * rng.random(models) ** 1.3
    x[rng.integers(models)] = -best
    amounts = np.unique(np.round(np.geomspace(16, 10 ** rng.uniform(4.2, 5.5),
                                              int(rng.integers(8, 18)))))  # fmt: skip
    height = rng.uniform(0.4, 0.7)
    width = rng.uniform(0.15, 0.35)
    share = 0.1 / height
    middle = -width * np.log(share / (1 - share))
    shift = rng.uniform(0.8, 2.2)
    turn = rng.uniform(0.3, 0.7)
    late = spread * rng.standard_normal(families)
    learns = np.exp(recipe * rng.standard_normal(families))
    luck = 0.02 * rng.standard_normal(models)
    rows = []
    for amount in (0, *amounts):
        way = np.log1p(amount / 4.0) / np.log1p(amounts[-1] / 4.0)
        if shape == "s-shaped":
            ends = expit(np.array([0.0, 1.0]) / 0.12 - turn / 0.12)
            way = (expit((way - turn) / 0.12) - ends[0]) / (ends[1] - ends[0])
        own = width * steeper**way
        moved = x - late[family] + shift * way * learns[family]
        rate = CHANCE + height * expit((moved - middle) / own) + luck
        rate = np.clip(rate + 0.015 * rng.standard_normal(models), 0.01, 0.99)
        passes = rng.binomial(500, rate)
        rows += [
            {
                "family": f"f{family[i]}",
                "model": f"m{i}",
                "flops": 10.0 ** (23.0 + x[i]),
                "finetune_examples": int(amount),
                "value": passes[i] / 500,
                "n": 500,
                "chance": CHANCE,
                "shots": 5,
            }
            for i in range(models)
        ]
    return 1e23, pl.DataFrame(rows)
