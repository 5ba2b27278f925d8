"""Studies like the published ones, their ablations, and the plain fit as a baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from scipy import optimize

from augury.forecast.emergence import EmergenceData, Truth, emergence_data, simulate_study

# The four tasks of Snell et al. 2024: few-shot elbow (nats), training examples, test instances,
# chance. What the paper does not say (slopes, shifts, alpha, noise) is drawn from wide ranges.
TASKS = {
    "gsm8k": (1.984, 7473, 1319, 0.0),
    "mmlu": (1.814, 99842, 14042, 0.25),
    "csqa": (1.827, 9741, 1221, 0.2),
    "cola": (1.833, 8551, 1043, 0.5),
}
CHECKPOINTS = 10
# An estimate farther off than this, in nats, is a miss.
MISS = 0.1


def paper_like(rng: np.random.Generator, **changes: float | bool) -> tuple[Truth, EmergenceData]:
    """A study: ten checkpoints at chance few-shot, five amounts, two subsets.

    The last checkpoint is .03 to .12 nats before the few-shot elbow (two- to fivefold FLOPs),
    the first .5 before it. `changes` are fields of `Truth`, or format_skill=True.
    """
    elbow, examples, items, chance = TASKS[str(rng.choice(list(TASKS)))]
    own = {
        "elbow": elbow,
        "shift": rng.uniform(0.15, 0.4),
        "alpha": np.exp(rng.uniform(np.log(0.5), np.log(2.5))),
        "slope": rng.uniform(0.8, 1.6) * (1 - chance),
        "chance": chance,
        "run": 3e-4,
        "subset": 0.007,
        "checkpoint": 0.003,
    }
    if changes.pop("format_skill", False):
        # The task itself would emerge .1 nats before its format, just beyond or inside the data.
        own |= {"elbow": elbow + 0.1, "format_loss": elbow}
    truth = Truth(**(own | changes))
    near = rng.uniform(0.03, 0.12)
    losses = elbow + np.linspace(0.5, near, CHECKPOINTS) + 0.01 * rng.standard_normal(CHECKPOINTS)
    losses = np.maximum(losses, elbow + 0.02)
    amounts = tuple(examples // 4**k for k in range(5))
    table = simulate_study(truth, rng, losses=losses, amounts=amounts, items=items)
    return truth, emergence_data(table)


BENT: dict[str, dict[str, float | bool]] = {
    "saturating": {"plateau": 0.25},
    "slopes that halve": {"tilt": float(np.log(2.0))},
    "S-shaped shift": {"s_shaped": True},
    "elbow by size": {"by_size": 0.02},
    "format skill": {"format_skill": True},
}
"""Truths that are not a ReLU, as changes to `paper_like`."""


Ablation = Callable[[EmergenceData], EmergenceData]


def ablations() -> dict[str, Ablation]:
    """The paper's ablations by name, each a function from the full study to the reduced one."""

    def smallest(count: int) -> Ablation:
        return lambda d: d.subset_rows((d.amount == 0) | (d.amount >= d.amounts[count]))

    def first_subset(d: EmergenceData) -> EmergenceData:
        firsts = {a: d.subset[d.amount == a].min() for a in d.amounts}
        keep = [a == 0 or firsts[a] == s for a, s in zip(d.amount, d.subset, strict=True)]
        return d.subset_rows(np.array(keep))

    def order(d: EmergenceData) -> np.ndarray:
        """Rank of each row's checkpoint, from the best: 0, 1 ..."""
        places = np.unique(d.progress)[::-1]
        return np.searchsorted(-places, -d.progress)

    def last(count: int) -> Ablation:
        return lambda d: d.subset_rows(order(d) < count)

    def without_last(count: int) -> Ablation:
        return lambda d: d.subset_rows(order(d) >= count)

    return {
        "everything": lambda d: d,
        **{f"smallest {k} amounts out": smallest(k) for k in (1, 2, 3)},
        "largest amount out": lambda d: d.subset_rows(d.amount < d.amounts[-1]),
        "one subset": first_subset,
        **{f"only the last {k} checkpoints": last(k) for k in (3, 4, 5, 6)},
        **{f"last {k} checkpoints out": without_last(k) for k in (1, 2, 3, 4)},
    }


def plain_relu(data: EmergenceData) -> float:
    """The few-shot elbow in nats by least squares of the plain law on the finetuned rows.

    score = A max(E(D) - L, 0) + B with E(D) = k (log D)^alpha + C. A and B are solved for; the
    other three are searched on a grid and polished by Nelder-Mead from its three best. alpha lies
    in .1 to 10, the shift below 3 nats: no other prior, as in a maximum-likelihood fit.
    """
    tuned = data.amount > 0
    loss, y = data.place[tuned], data.y[tuned]
    log_amount = np.log(data.amount[tuned])
    low, high = np.log(data.low_data), log_amount.max()
    weight = np.sqrt(np.maximum(data.trials[tuned], 1) / max(data.trials[tuned].max(), 1))

    def cost(at: np.ndarray) -> np.ndarray:
        """(G, 3) end, log shift, log alpha -> (G,) sums of squares."""
        end, shift, alpha = at[:, :1], np.exp(at[:, 1:2]), np.exp(at[:, 2:])
        grown = np.expm1(alpha * np.log(log_amount / low)) / np.expm1(alpha * np.log(high / low))
        h = np.maximum(end - shift * (1 - grown) - loss, 0.0) * weight
        one, v = weight[None], y * weight
        hh, h1, o1 = (h * h).sum(1), (h * one).sum(1), (one * one).sum()
        hy, oy = (h * v).sum(1), (one * v).sum()
        full = hh * o1 - h1**2
        slope = np.where(full > 1e-12, (hy * o1 - h1 * oy) / np.maximum(full, 1e-12), 0.0)
        slope = np.maximum(slope, 0.0)
        base = (oy - slope * h1) / o1
        return ((v - slope[:, None] * h - base[:, None] * one) ** 2).sum(1)

    def bounded(at: np.ndarray) -> float:
        off = np.maximum(np.abs(at - MIDDLE) - HALF, 0.0).sum()
        return float(cost(np.clip(at, MIDDLE - HALF, MIDDLE + HALF)[None])[0]) + 10.0 * off

    ends = np.linspace(loss.min() + 0.02, loss.max() + 0.1, 12)
    grid = np.stack(
        np.meshgrid(ends, np.log([0.05, 0.1, 0.2, 0.4, 0.8]), np.log([0.3, 0.7, 1.5, 3.0])), -1
    ).reshape(-1, 3)
    best = grid[np.argsort(cost(grid))[:3]]
    found = [
        optimize.minimize(
            bounded, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-9}
        )
        for start in best
    ]
    x = min(found, key=lambda r: r.fun).x
    end, shift, _ = np.clip(x, MIDDLE - HALF, MIDDLE + HALF)
    return float(end - np.exp(shift))


# Bounds of the plain fit: end 0 to 5 nats, shift e^-7 to 3 nats, alpha .1 to 10.
MIDDLE = np.array([2.5, (np.log(3.0) - 7.0) / 2, 0.0])
HALF = np.array([2.5, (np.log(3.0) + 7.0) / 2, np.log(10.0)])


# The study shared by most tests of emergence.
TRUTH = Truth(elbow=1.9, shift=0.3, alpha=1.2, slope=0.9, run=3e-4)
LOSSES = np.linspace(2.4, 1.94, 10)
AMOUNTS = (30, 120, 480, 1900, 7500)


def study(truth: Truth = TRUTH, seed: int = 0, **options: Any) -> pl.DataFrame:
    options = {"losses": LOSSES, "amounts": AMOUNTS, **options}
    return simulate_study(truth, np.random.default_rng(seed), **options)
