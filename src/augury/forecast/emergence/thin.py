"""What a study is too thin to answer, said before and after it is fitted."""

from __future__ import annotations

import numpy as np

from augury.forecast.emergence.observations import EmergenceData, place_of
from augury.forecast.emergence.result import EmergenceStatus
from augury.forecast.emergence.search import Floats
from augury.notes import Note

# An amount whose better checkpoints stand this many standard errors above the base has left it.
# Of 600 simulated studies that were all at chance, 2 were said to have left it.
ABOVE = 3.5
# Sure enough that the best checkpoints are past the elbow of the largest amount.
PAST = 0.9
# An interval wider than this many units of scale (the range of checkpoints, .4 nats or more) says
# little more than the prior, whose own 90 % interval is 2.4 units.
VAGUE = 1.5
# A point that is more units than this beyond the best checkpoint is too far to be trusted: in the
# lab one such was off by .9 nats, with an interval of .8.
FAR = 1.0
FEWEST_AMOUNTS = 3


def risen(data: EmergenceData, *, worst: bool = False) -> Floats:
    """(amounts,) how many standard errors the best third of each amount's rows is above base.

    The worst third, if that is asked for.

    The noise is read off differences between neighbours in progress, which a rise hardly touches,
    and is never less than counting.
    """
    base = data.base
    jumps, out = [], []
    for amount in data.amounts:
        own = np.flatnonzero(data.amount == amount)
        ordered = data.y[own[np.argsort(data.progress[own], kind="stable")]]
        jumps.append(np.diff(ordered))
    noise = np.concatenate(jumps) if jumps else np.zeros(1)
    seen = float((noise**2).mean()) / 2 if len(noise) else 0.0
    for amount in data.amounts:
        own = np.flatnonzero(data.amount == amount)
        order, third = own[np.argsort(data.progress[own])], max(len(own) // 3, 1)
        top = order[:third] if worst else order[-third:]
        counting = max(base * (1 - base), 1 / data.trials[top].mean()) if data.counts else 0.0
        counting = counting / data.trials[top].mean() if data.counts else 0.0
        error = np.sqrt(max(seen, counting, 1e-12) / len(top))
        out.append((float(data.y[top].mean()) - base) / error)
    return np.array(out)


def _any_risen(data: EmergenceData) -> bool:
    """Whether any amount has left the base, or all of them together."""
    found = risen(data)
    return bool(found.max() >= ABOVE or found.sum() / np.sqrt(len(found)) >= ABOVE)


def _elbow_seen(data: EmergenceData) -> bool:
    """Whether some amount leaves the base between the weaker and the better checkpoints."""
    return bool(((risen(data) >= ABOVE) & (risen(data, worst=True) < ABOVE)).any())


def too_thin(data: EmergenceData) -> tuple[EmergenceStatus, list[Note]]:
    """What can be said before a fit: a status, ANSWERED if nothing stands against it, and notes."""
    notes = []
    amounts = data.amounts
    told = {"amounts": [float(a) for a in amounts], "checkpoints": len(data.checkpoints)}
    status = EmergenceStatus.ANSWERED
    if len(amounts) < FEWEST_AMOUNTS:
        status = EmergenceStatus.TOO_FEW_AMOUNTS
        listed = ", ".join(f"{a:g}" for a in amounts) or "none"
        notes.append(
            Note("few-amounts", "serious", f"Finetuning amounts: {listed}. {status.remedy}", told)
        )
    if not len(amounts) or not _any_risen(data):
        few = data.amount == 0
        more = f" and {few.sum()} few-shot" if few.any() else ""
        status = EmergenceStatus.AT_CHANCE
        notes.append(
            Note(
                "at-chance",
                "serious",
                f"None of {(~few).sum()} finetuned{more} scores (largest {data.y.max():.3g}) is "
                f"clearly above {data.base:.3g}. {status.remedy}",
                told,
            )
        )
    elif status is EmergenceStatus.ANSWERED and not _elbow_seen(data):
        status = EmergenceStatus.NO_ELBOW
        notes.append(
            Note(
                "no-elbow",
                "serious",
                f"No amount of finetuning is at chance with the weaker third of the checkpoints "
                f"and above it with the better third. {status.remedy}",
                told,
            )
        )
    for amount in amounts:
        subsets = len(np.unique(data.subset[data.amount == amount]))
        if subsets > 1:
            break
    else:
        notes.append(
            Note(
                "one-subset",
                "info",
                "Every amount has one subset: how far subsets differ is taken from the prior.",
                told,
            )
        )
    if len(data.checkpoints) < 4:
        notes.append(
            Note(
                "few-checkpoints",
                "warning",
                f"Only {len(data.checkpoints)} checkpoints: an elbow is hard to see.",
                told,
            )
        )
    if not (data.amount == 0).any():
        notes.append(
            Note(
                "no-few-shot",
                "info",
                "No few-shot scores: those at chance would say where emergence has not happened.",
                told,
            )
        )
    return status, notes


def check_precision(
    data: EmergenceData, draws: Floats, end: Floats, level: float
) -> tuple[EmergenceStatus, list[Note]]:
    """What can be said after it, from draws of the point and of the largest amount's elbow."""
    unit = data.scales.unit
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], method="nearest")
    best = data.progress.max()
    past = float(np.mean(end < best))
    ahead = float(np.median(draws) - best)
    told = {"past": past, "width": float(high - low), "ahead": ahead, "unit": float(unit)}
    if past < PAST:
        status = EmergenceStatus.NOT_EMERGED
        message = (
            "The best checkpoint is past the elbow of the largest amount with probability "
            f"{past:.0%}."
        )
    elif high - low > VAGUE * unit:
        status = EmergenceStatus.VAGUE
        ends = sorted(float(x) for x in place_of(np.array([low, high]), data.scale))
        name = "nats" if data.scale == "loss" else "FLOPs"
        message = (
            f"The point of emergence may lie anywhere from {ends[0]:.4g} to {ends[1]:.4g} {name}."
        )
    elif ahead > FAR * unit:
        status = EmergenceStatus.FAR
        name = "nats" if data.scale == "loss" else "decades of FLOPs"
        message = f"The point lies {ahead:.3g} {name} beyond the best checkpoint."
    else:
        return EmergenceStatus.ANSWERED, []
    return status, [Note("vague", "serious", f"{message} {status.remedy}", told)]
