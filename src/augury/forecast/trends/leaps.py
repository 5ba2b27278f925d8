"""Leaps that coincide: several tasks that jump between the same two checkpoints of a run.

Coinciding leaps mean that one skill was learned, not several. In public OLMo 2 runs four
multiple-choice benchmarks leave chance within one interval of 5,000 steps, while the cloze form of
one of them rises smoothly. The format emerged, not the tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from augury.forecast.trends.series import Floats, TrendSeries
from augury.notes import Note

# A leap is a rise between neighbours beyond this many times the median absolute rise of its task
# (in normal terms: / .6745): noise alone does so once in 16,000 steps.
LEAP = 4.0
# Coincidences less likely than this by chance, over all intervals of a run, count as shared.
COINCIDENCE = 0.01


def leaps(series: TrendSeries, run: int) -> tuple[np.ndarray, Floats]:
    """Return (T,) the interval of each task's largest leap, -1 for none; and checkpoints' x."""
    own = series.design.run == run
    rises = np.diff(series.y[:, own], axis=1)
    if rises.shape[1] < 4:
        return np.full(len(series.y), -1), series.design.x[own]
    usual = np.median(np.abs(rises), axis=1) / 0.6745
    where = np.argmax(rises, axis=1)
    most = rises[np.arange(len(rises)), where]
    return np.where((most > LEAP * usual) & (most > 0), where, -1), series.design.x[own]


def coincidences(series: TrendSeries) -> list[dict[str, Any]]:
    """Find sets of three or more tasks that leap together in a run, beyond chance.

    Returns:
        Per set: run, tasks, and `between`, the two checkpoints.
    """
    found = []
    for run in range(series.design.runs):
        where, x = leaps(series, run)
        leaping = where[where >= 0]
        if len(leaping) < 3:
            continue
        places = len(x) - 1
        for place in np.unique(leaping):
            count = int((leaping == place).sum())
            chance = places * float(stats.binom.sf(count - 1, len(leaping), 1.0 / places))
            if count >= 3 and chance < COINCIDENCE:
                tasks = [series.keys[i] for i in np.flatnonzero(where == place)]
                ends = [float(series.design.at(v)) for v in (x[place], x[place + 1])]
                found.append({"run": run, "tasks": tasks, "between": ends})
    return found


def shared_leaps(trends: Sequence[Any], analysed: Sequence[TrendSeries]) -> list[Any]:
    """Add a note to every trend over training whose leap is shared."""
    told: dict[tuple[str | None, tuple[str, str]], Note] = {}
    for series in analysed:
        for c in coincidences(series):
            names = sorted({task for task, _ in c["tasks"]})
            if len(names) < 3:  # several metrics of one task count as one leap
                continue
            low, high = c["between"]
            text = (
                f"Leaps between {low:.3g} and {high:.3g} {series.design.progress} together with "
                f"{len(names) - 1} other tasks: possibly one shared skill, such as a format."
            )
            for key in c["tasks"]:
                told[series.family, key] = Note(
                    "shared-leap", "warning", text, {"tasks": names, "between": [low, high]}
                )
    return [
        replace(t, notes=(*t.notes, told[t.family, (t.task, t.metric)]))
        if t.axis != "params" and (t.family, (t.task, t.metric)) in told
        else t
        for t in trends
    ]
