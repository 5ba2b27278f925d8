"""A format that emerges: few-shot scores wait for a skill that any finetuning teaches at once.

Tasks asked in one format of prompt (multiple choice, say) stay at chance until models can read it,
however able they are; finetuned ones read it at once. Finetuning then tells where the task would
emerge, not the format. One study shows it once few-shot scores are late: at chance at checkpoints
that finetuned models say are past the point. Two studies show it when both leap at once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from augury.errors import UsageError
from augury.forecast.emergence.design import PlannedRun, predicted
from augury.forecast.emergence.observations import EmergenceData, place_of
from augury.forecast.emergence.result import EmergenceFit
from augury.forecast.emergence.search import Floats
from augury.notes import Note

# Few-shot scores this unlikely, given finetuned models alone, are late.
LATE = 0.01
# A few-shot score has left its base at this many standard errors, as have all after it.
ABOVE = 4.0
# Leaps that coincide by chance less often than this are shared (as in forecast.trends.leaps).
COINCIDENCE = 0.01
# Two elbows lie apart when the posteriors are this sure of their order.
APART = 0.95


def few_shot_lag_note(alone: EmergenceFit, data: EmergenceData) -> list[Note]:
    """Whether few-shot scores stay at chance where finetuned models say that they have left it.

    Args:
        alone: fitted to its finetuned rows only.
        data: the whole study.
    """
    few = np.flatnonzero(data.amount == 0)
    units = [PlannedRun(float(data.place[i]), 0, 1.0, float(data.trials[i])) for i in few]
    scores, noise = predicted(alone, units)
    # All few-shot scores as one, each as far as it should have risen and is known.
    lifted = np.maximum(scores.mean(1) - scores.min(), 0.0) / noise
    if not lifted.sum() > 0:
        return []
    gap = lifted @ (data.y[few][:, None] - scores)
    chance = float(np.mean(stats.norm.cdf(gap / np.sqrt(lifted**2 @ noise))))
    if chance > LATE:
        return []
    point = float(place_of(np.median(alone.point_draws()), data.scale))
    return [
        Note(
            "few-shot-late",
            "warning",
            "Few-shot scores are lower than finetuned models say (a chance of "
            f"{chance:.1g}), who put the point at {point:.4g}. The way from the smallest amount to "
            "none is longer than it looks, or the format of the prompt is a skill of its own, that "
            "any finetuning teaches: then the point is where the format emerges, which finetuning "
            "cannot show. Ask in another format, or score the log-probability of the answer.",
            {"chance": chance, "finetuned_only": point},
        )
    ]


def _left(data: EmergenceData) -> tuple[float, float] | None:
    """Progress of the two checkpoints between which few-shot scores leave their base for good."""
    few = np.flatnonzero(data.amount == 0)
    few = few[np.argsort(data.progress[few], kind="stable")]
    y, base = data.y[few], data.base
    counted = base * (1 - base) / np.maximum(data.trials[few], 1) if data.counts else 0.0
    own = np.median(np.abs(np.diff(y))) / 0.6745 / np.sqrt(2) if len(y) > 1 else 0.0
    error = np.maximum(np.sqrt(np.maximum(counted, data.stderr[few] ** 2)), own)
    up = np.logical_and.accumulate((y > base + ABOVE * error)[::-1])[::-1]
    first = int(np.argmax(up))
    if not up.any() or first == 0:
        return None
    return float(data.progress[few][first - 1]), float(data.progress[few][first])


def shared_leap(fits: Mapping[str, EmergenceFit]) -> Note | None:
    """Whether tasks leave chance between the same two checkpoints: then it may be their format.

    Args:
        fits: by task, over the same checkpoints, with few-shot scores past emergence.

    Returns:
        None if no two do. Else a note, a warning if it is no coincidence: three or more tasks
        rarely do so by chance, and two are suspicious if finetuned they leave chance apart.

    Raises:
        UsageError: fewer than two fits, or scales differ.
    """
    if len(fits) < 2 or len({f.data.scale for f in fits.values()}) > 1:
        raise UsageError("shared_leap takes two or more fits on one scale")
    where = {name: _left(f.data) for name, f in fits.items()}
    leaping = {name: ends for name, ends in where.items() if ends is not None}
    for ends in dict.fromkeys(leaping.values()):
        names = [name for name, own in leaping.items() if own == ends]
        if len(names) > 1:
            return _told(names, ends, len(leaping), fits)
    return None


def _told(
    names: list[str], ends: tuple[float, float], leaping: int, fits: Mapping[str, EmergenceFit]
) -> Note:
    data = fits[names[0]].data
    places = max(int((np.unique(data.progress[data.amount == 0])).size) - 1, 1)
    chance = min(places * float(stats.binom.sf(len(names) - 1, leaping, 1 / places)), 1.0)
    smallest = [fits[n].elbow_draws(float(fits[n].data.amounts[0])) for n in names]
    apart = max(_order(a, b) for i, a in enumerate(smallest) for b in smallest[:i]) > APART
    low, high = sorted(float(x) for x in place_of(np.array(ends), data.scale))
    unit = "nats" if data.scale == "loss" else "FLOPs"
    finetuned = place_of(np.array([np.median(s) for s in smallest]), data.scale)
    listed = ", ".join(f"{n} {x:.4g}" for n, x in zip(names, finetuned, strict=True))
    sure = chance < COINCIDENCE or apart
    return Note(
        "shared-leap",
        "warning" if sure else "info",
        f"{' and '.join(names)} leave chance few-shot between the same two checkpoints ({low:.4g} "
        f"to {high:.4g} {unit}), as happens by chance once in {1 / max(chance, 1e-9):.3g} times; "
        f"finetuned on their smallest amounts at {listed}. "
        + (
            "One skill that they share emerged there, their format perhaps, not each task."
            if sure
            else "It may be their format, or a coincidence."
        ),
        {
            "tasks": names,
            "between": [low, high],
            "chance": chance,
            "finetuned": [float(x) for x in finetuned],
        },
    )


def _order(a: Floats, b: Floats) -> float:
    """How sure it is which of two is first."""
    before = float(np.mean(a < b))
    return max(before, 1.0 - before)
