"""Fit tasks of one ladder jointly: the recipe sets how far finetuning moves a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from augury.errors import UsageError
from augury.forecast.emergence.moved_curve import MovedCurve, MovedStudy
from augury.forecast.emergence.moved_fit import MovedFit, few_shot_risen, fit_moved, log_total_shift
from augury.forecast.emergence.moved_status import MovedStatus
from augury.notes import Note

# Prior of the spread of ln(shift) between tasks under one recipe; it decides with few teachers.
BETWEEN = 0.35


def fit_moved_tasks(
    studies: Mapping[str, MovedStudy], *, level: float = 0.9, seed: int = 0
) -> dict[str, MovedFit]:
    """Fit several tasks of one ladder and one finetuning recipe jointly.

    How far finetuning moves the curve depends more on the recipe than on the task. Tasks whose
    few-shot scores have risen inside the ladder show their shift. They determine the mean and
    spread of a common distribution of ln(shift), from which the others take theirs (random effects,
    by restricted maximum likelihood with a half-normal prior on the spread).

    Args:
        studies: task -> study, all on one scale.
        level, seed: as in `fit_moved`.

    Returns:
        One fit per task. A note names the tasks that a task's shift was taken from.

    Raises:
        UsageError: there is no study, or scales differ.
    """
    if not studies:
        raise UsageError("there is no task to fit")
    if len({s.data.scale for s in studies.values()}) > 1:
        raise UsageError("all tasks must be on one scale: loss or flops")
    return teach_shifts({n: fit_moved(s, level=level, seed=seed) for n, s in studies.items()})


def teach_shifts(alone: Mapping[str, MovedFit]) -> dict[str, MovedFit]:
    """Refit the tasks whose shift is taken from others.

    Args:
        alone: task -> its separate fit.
    """
    teachers = {
        name: log_shift(f) for name, f in alone.items()
        if f.status is MovedStatus.ANSWERED and few_shot_risen(f.study.data)
    }  # fmt: skip
    out = {}
    for name, own in alone.items():
        others = {t: x for t, x in teachers.items() if t != name}
        if name in teachers or not others or own.status is MovedStatus.PREMISE:
            out[name] = own
            continue
        mean, spread = pooled_shift(list(others.values()))
        study = replace(own.study, shift=(mean, spread))
        taught = fit_moved(study, level=own.level, seed=own.seed, control=False)
        names = ", ".join(others)
        note = Note(
            "shift-taught",
            "info",
            f"How far finetuning moves the curve is taken from {names}, whose few-shot scores have "
            "risen under the same recipe.",
            {"teachers": list(others), "log_shift": mean, "spread": spread},
        )
        # The control has no finetuned rows, so other tasks do not change it.
        out[name] = replace(taught, control=own.control, notes=(note, *taught.notes))
    return out


def log_shift(fitted: MovedFit) -> tuple[float, float]:
    """Mean and standard deviation of ln(shift from none to the largest amount, over the span)."""
    curve = MovedCurve(fitted.study)
    shift = log_total_shift(curve, curve.natural(fitted.draws.z))
    return float(np.mean(shift)), float(np.std(shift))


def pooled_shift(found: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean and spread of a new task's ln(shift), from other tasks' values and errors.

    Random effects: the spread between tasks is averaged over its posterior on a grid, with a
    half-normal prior. The returned spread includes the error of the mean.
    """
    at = np.array([m for m, _ in found])
    error = np.array([s for _, s in found])
    grid = np.linspace(0.01, 4 * BETWEEN, 80)
    log_weight, means, variances = [], [], []
    for between in grid:
        weight = 1.0 / (error**2 + between**2)
        mean = float((weight * at).sum() / weight.sum())
        fit = -0.5 * (weight * (at - mean) ** 2).sum() + 0.5 * np.log(weight).sum()
        log_weight.append(fit - 0.5 * np.log(weight.sum()) - 0.5 * (between / BETWEEN) ** 2)
        means.append(mean)
        variances.append(between**2 + 1.0 / weight.sum())
    share = np.exp(np.array(log_weight) - max(log_weight))
    share /= share.sum()
    mean = float(share @ np.array(means))
    variance = float(share @ (np.array(variances) + (np.array(means) - mean) ** 2))
    return mean, float(np.sqrt(variance))
