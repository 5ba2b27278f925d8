"""What to run next: the finetunes and checkpoints that shrink the interval most per FLOP.

The posterior draws contain every curve that the data allow. A unit is worth running if the draws
disagree on its score and that disagreement correlates with the point of emergence. The expected
variance of the point after the run is the linear-Bayes one (Goldstein & Wooff 2007),

    var(e | y) = var(e) - cov(e, m)^2 / (var(m) + noise)

where m is the unit's expected score over the draws. This needs no further fit, however many units
there are. The second unit is judged as if the first had been run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from augury.errors import UsageError
from augury.forecast.emergence.compiled import curves
from augury.forecast.emergence.density import NORMAL
from augury.forecast.emergence.observations import progress_of
from augury.forecast.emergence.result import EmergenceFit, mixed, parameters
from augury.forecast.emergence.search import Floats


@dataclass(frozen=True)
class PlannedRun:
    """A possible run: one checkpoint, finetuned on one amount and scored.

    Attributes:
        place: its loss (or FLOPs).
        amount: finetuning examples, 0 for a few-shot evaluation.
        price: FLOPs, including the checkpoint's pretraining if it does not exist yet.
        instances: number of instances scored, where scores are counts; 0 means the study's median.
        name: label for the ranking.
    """

    place: float
    amount: int
    price: float
    instances: float = 0.0
    name: str = ""


def rank_units(
    fit: EmergenceFit, units: Sequence[PlannedRun], *, first: int | None = None
) -> pl.DataFrame:
    """Rank units by how much they shrink the point's interval per FLOP, best first.

    The ranking is greedy: each unit is the best one given that those above it are run as well.

    Args:
        fit: what has been run so far.
        units: what could be run.
        first: number of units to rank; all by default.

    Returns:
        One row per unit: rank, name, place, amount, price, width (expected width of the interval
        once it and all above it are run), gain (how much this unit shrinks it), gain_per_flop.

    Raises:
        UsageError: there are no units, or a price is not positive.
    """
    if not units:
        raise UsageError("there are no units to rank")
    for unit in units:
        if not unit.price > 0:
            raise UsageError(f"the price of {unit.name or unit} must be positive")
    point = fit.point_draws()
    tail = (1 - fit.level) / 2
    low, high = np.quantile(point, [tail, 1 - tail], method="nearest")
    scores, noise = predicted(fit, units)
    # Far tails of the point would dominate a covariance, so they are clipped to the interval.
    spread = float(high - low)
    own = np.clip(point, low - spread / 4, high + spread / 4)
    e = own - own.mean()
    m = scores - scores.mean(1, keepdims=True)
    variance = float(e @ e) / len(e)
    per_sd = spread / np.sqrt(variance) if variance > 0 else 0.0
    cross, every = m @ e / len(e), m @ m.T / len(e)
    price = np.array([u.price for u in units])
    left = list(range(len(units)))
    rows = []
    for rank in range(1, min(first or len(units), len(units)) + 1):
        at = np.array(left)
        total = every[at, at] + noise[at]
        after = np.maximum(variance - cross[at] ** 2 / total, 1e-300)
        gain = (np.sqrt(variance) - np.sqrt(after)) * per_sd
        best = int(np.argmax(gain / price[at]))
        k = left.pop(best)
        variance = float(after[best])
        rows.append(
            {
                "rank": rank,
                "name": units[k].name,
                "place": float(units[k].place),
                "amount": int(units[k].amount),
                "price": float(units[k].price),
                "width": float(np.sqrt(variance) * per_sd),
                "gain": float(gain[best]),
                "gain_per_flop": float(gain[best] / price[k]),
            }
        )
        # What remains to be learnt once this unit has been run.
        row = every[k] / (every[k, k] + noise[k])
        cross = cross - row * cross[k]
        every = every - np.outer(row, every[k])
    return pl.DataFrame(rows)


def predicted(fit: EmergenceFit, units: Sequence[PlannedRun]) -> tuple[Floats, Floats]:
    """(U, S) expected scores over the draws of the averaged law, and (U,) noise variances."""
    data = fit.data
    scales = data.scales
    progress = progress_of(np.array([u.place for u in units]), data.scale)
    few = np.array([u.amount == 0 for u in units])
    amount = np.log(np.maximum([float(u.amount) for u in units], data.low_data))
    scores, noises = [], []
    for f in fit.fits:
        p = parameters(f.law, f.draws, scales)
        p = type(p)(**{k: v[None, :] for k, v in vars(p).items()})
        up, slope = curves(f.draws, f.law.member, scales, progress, amount)
        mean = np.where(few[:, None], p.few_base, p.base) + up
        if data.counts:
            usual = float(np.median(data.trials))
            trials = np.array([u.instances or usual for u in units])[:, None]
            rate = np.clip(mean, 1e-6, 1 - 1e-6)
            noise = rate * (1 - rate) * (1 / trials + p.run)
        else:
            noise = (NORMAL * p.run * scales.height) ** 2 + np.median(data.stderr) ** 2
        subset = np.where(few[:, None], 0.0, (slope * p.subset) ** 2) + (slope * p.luck) ** 2
        scores.append(mean)
        noises.append((noise + subset).mean(1))
    weights = np.array(fit.weights) / np.sum(fit.weights)
    together = np.stack(
        [mixed([s[u] for s in scores], fit.weights, fit.seed) for u in range(len(units))]
    )
    return together, np.asarray(weights @ np.stack(noises))
