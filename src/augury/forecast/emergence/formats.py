"""A prompt format that emerges: few-shot scores wait for a skill that any finetuning teaches.

Tasks asked in one prompt format (multiple choice, say) stay at chance until models can read the
format, however able they are; finetuned models read it at once. Finetuning then shows where the
task would emerge, not where the format does. One study reveals this once few-shot scores are late:
still at chance at checkpoints that finetuned models place past the point. Two studies reveal it
when both leap at once.
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

# Few-shot scores are late if finetuned models alone make them less likely than this.
LATE = 0.01
# A few-shot score has left its base if it and all later ones are this many standard errors above.
ABOVE = 4.0
# Leaps are shared if they would coincide by chance less often than this (see
# forecast.trends.leaps).
COINCIDENCE = 0.01
# Two elbows differ when the posteriors are this sure of their order.
APART = 0.95


def few_shot_lag_note(alone: EmergenceFit, data: EmergenceData) -> list[Note]:
    """Whether few-shot scores stay at chance where finetuned models say they have left it.

    Args:
        alone: a fit to the finetuned rows only.
        data: the whole study.
    """
    few = np.flatnonzero(data.amount == 0)
    units = [PlannedRun(float(data.place[i]), 0, 1.0, float(data.trials[i])) for i in few]
    scores, noise = predicted(alone, units)
    # One test of all few-shot scores, weighted by their expected rise over their noise.
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
            "Few-shot scores are lower than finetuned models predict (probability "
            f"{chance:.1g}); these put the point at {point:.4g}. Either the step from the smallest "
            "amount to none is larger than it looks, or the prompt format is a skill of its own "
            "that any finetuning teaches. Then few-shot scores rise only where the format emerges, "
            "which finetuning cannot show. Use another format, or score the answer's "
            "log-probability.",
            {"chance": chance, "finetuned_only": point},
        )
    ]


def _left(data: EmergenceData) -> tuple[float, float] | None:
    """Progress of the two checkpoints between which few-shot scores finally leave their base."""
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
    """Whether tasks leave chance between the same two checkpoints, perhaps because of their format.

    Args:
        fits: one per task, over the same checkpoints, with few-shot scores past emergence.

    Returns:
        None if no two tasks do. Otherwise a note, which is a warning if it is not a coincidence:
        three or more tasks rarely coincide by chance, and two are suspicious if they leave chance
        at different places when finetuned.

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
        f"to {high:.4g} {unit}), which happens by chance once in {1 / max(chance, 1e-9):.3g} "
        f"times; finetuned on their smallest amounts, they leave it at {listed}. "
        + (
            "A skill that they share, perhaps the prompt format, emerged there, not each task."
            if sure
            else "The cause may be their format, or this is a coincidence."
        ),
        {
            "tasks": names,
            "between": [low, high],
            "chance": chance,
            "finetuned": [float(x) for x in finetuned],
        },
    )


def _order(a: Floats, b: Floats) -> float:
    """Probability of the likelier order of two."""
    before = float(np.mean(a < b))
    return max(before, 1.0 - before)
