"""Detect studies with too little data, before and after they are fitted."""

from __future__ import annotations

import numpy as np

from augury.forecast.emergence.observations import EmergenceData, place_of
from augury.forecast.emergence.result import EmergenceStatus
from augury.forecast.emergence.search import Floats
from augury.notes import Note

# An amount has left the base if its better checkpoints are this many standard errors above it.
# Of 600 simulated studies that were all at chance, 2 were wrongly found to have left it.
ABOVE = 3.5
# Probability needed that the best checkpoint is past the elbow of the largest amount.
PAST = 0.9
# An interval wider than this many units of scale (the range of checkpoints, .4 nats or more) says
# little more than the prior, whose 90 % interval is 2.4 units wide.
VAGUE = 1.5
# A point more than this many units beyond the best checkpoint cannot be trusted: in the lab, one
# was off by .9 nats with an interval of .8.
FAR = 1.0
FEWEST_AMOUNTS = 3


def risen(data: EmergenceData, *, worst: bool = False) -> Floats:
    """(amounts,) how many standard errors the best third of each amount's rows is above the base.

    If requested, the worst third instead.

    The noise is estimated from differences between neighbours in progress, which a rise hardly
    affects, and is at least the counting noise.
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
    """Whether any amount, or all amounts pooled, have left the base."""
    found = risen(data)
    return bool(found.max() >= ABOVE or found.sum() / np.sqrt(len(found)) >= ABOVE)


def _elbow_seen(data: EmergenceData) -> bool:
    """Whether some amount leaves the base between the weaker and the better checkpoints."""
    return bool(((risen(data) >= ABOVE) & (risen(data, worst=True) < ABOVE)).any())


def too_thin(data: EmergenceData) -> tuple[EmergenceStatus, list[Note]]:
    """Check a study before it is fitted: a status, ANSWERED if all is well, and notes."""
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
                "Every amount has one subset: the prior says how far subsets differ.",
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
                "No few-shot scores: scores at chance would show where emergence has not happened.",
                told,
            )
        )
    return status, notes


def check_precision(
    data: EmergenceData, draws: Floats, end: Floats, level: float
) -> tuple[EmergenceStatus, list[Note]]:
    """Check a fit by its draws of the point and of the elbow at the largest amount."""
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
