"""Forecasts of a latent world from its ladder alone, at every cut and for every task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from tests.emergence_studies import plain_relu

from augury.forecast.emergence import (
    MovedFit,
    emergence_data,
    emergence_point,
    fit_emergence_many,
    fit_moved,
    moved_study,
)
from augury.forecast.emergence.moved_curve import LEAST_SPAN, MovedCurve
from augury.forecast.emergence.moved_fit import log_total_shift
from augury.forecast.emergence.moved_tasks import pooled_shift, teach_shifts

# Checkpoints with a loss less than this above the floor are hidden; 0 shows the whole ladder.
CUTS = (0.47, 0.42, 0.37, 0.32, 0.27, 0.0)
# This task is forecast at every cut; the others only at these cuts.
HEADLINE, OTHERS_AT = "attribute-3", (0.27, 0.0)
# A task has emerged if its few-shot score is this far above chance.
DISTANCE = 0.1
FEWEST = 6


def forecasts(sweep: pl.DataFrame, floor: float, cut: float) -> list[dict[str, Any]]:
    """One row per task and method; none where too few checkpoints are visible.

    Args:
        sweep: all checkpoints of the ladder, few-shot and finetuned.
        floor: entropy of the corpus, nats per token.
        cut: one of `CUTS`.
    """
    rows: list[dict[str, Any]] = []
    seen = sweep.filter(pl.col("loss") >= floor + cut)
    if cut not in OTHERS_AT:
        seen = seen.filter(task=HEADLINE)
    if seen.select("run", "step").unique().height >= FEWEST:
        alone = {
            str(task): fit_moved(moved_study(part, floor=floor))
            for (task,), part in seen.group_by("task", maintain_order=True)
        }
        together = teach_shifts(alone) if len(alone) > 1 else {}
        for task, fitted in alone.items():
            about = _about(seen.filter(task=task, finetune_examples=0), cut, task)
            rows.append({**about, "method": "moved curve", **_told(fitted)})
            rows.append({**about, "method": "few-shot alone", **_told(fitted, control=True)})
            taught = together.get(task)
            if taught is not None and taught is not fitted:
                rows.append({**about, "method": "tasks together", **_told(taught)})
    return rows


def leave_one_out(sweep: pl.DataFrame, floor: float) -> list[dict[str, Any]]:
    """Each task from its cuts, with the shifts of the other tasks known from the whole ladder.

    Other tasks show how far finetuning moves the curve, on the axis of ln(loss - floor);
    this gives the target's prior, which is relative to the span of its own checkpoints.
    """
    parts = {str(t): p for (t,), p in sweep.group_by("task", maintain_order=True)}
    known = {}
    for task, part in parts.items():
        fitted = fit_moved(moved_study(part, floor=floor), control=False)
        curve = MovedCurve(fitted.study)
        p = curve.natural(fitted.draws.z)
        shift = log_total_shift(curve, p) + np.log(p.span)
        known[task] = (float(shift.mean()), float(shift.std()))
    rows: list[dict[str, Any]] = []
    for cut in OTHERS_AT[:1]:
        for task, part in parts.items():
            seen = part.filter(pl.col("loss") >= floor + cut)
            if seen.select("run", "step").unique().height < FEWEST:
                continue
            study = moved_study(seen, floor=floor)
            mean, spread = pooled_shift([at for name, at in known.items() if name != task])
            x = -np.log(study.data.place - floor)
            prior = (mean - float(np.log(max(np.ptp(x), LEAST_SPAN["loss"]))), spread)
            fitted = fit_moved(replace(study, shift=prior), control=False)
            about = _about(seen.filter(finetune_examples=0), cut, task)
            rows.append({**about, "method": "others' shifts", **_told(fitted)})
    return rows


def relu_forecasts(
    sweeps: Mapping[tuple[str, int], tuple[pl.DataFrame, float]],
) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """The paper's ReLU on the loss for the headline task, with our noise model and plain.

    Args:
        sweeps: (world, seed) -> its ladder and floor; all are fitted in one call.
    """
    cases = []
    for key, (sweep, floor) in sweeps.items():
        for cut in CUTS:
            seen = sweep.filter(pl.col("loss") >= (floor + cut if cut else 0.0), task=HEADLINE)
            if seen.select("run", "step").unique().height >= FEWEST:
                about = _about(seen.filter(finetune_examples=0), cut, HEADLINE)
                cases.append((key, about, emergence_data(seen)))
    rows: dict[tuple[str, int], list[dict[str, Any]]] = {key: [] for key in sweeps}
    fits = fit_emergence_many([data for _, _, data in cases])
    for (key, about, data), fitted in zip(cases, fits, strict=True):
        made = [("ReLU law", emergence_point(fitted, "above", distance=DISTANCE))]
        made.append(("ReLU law, elbow", emergence_point(fitted)))
        for method, point in made:
            low, high = point.interval
            told = {"value": point.value, "low": low, "high": high}
            known = {k: float(v) if np.isfinite(v) else None for k, v in told.items()}
            rows[key].append({**about, "method": method, **known, "status": str(point.status)})
        plain = {"value": plain_relu(data), "low": None, "high": None, "status": ""}
        rows[key].append({**about, "method": "plain ReLU, elbow", **plain})
    return rows


def _about(few: pl.DataFrame, cut: float, task: str) -> dict[str, Any]:
    """The visible few-shot scores of a task."""
    return {
        "cut": cut,
        "task": task,
        "checkpoints": few.height,
        "lowest": float(few["loss"].min()),  # type: ignore[arg-type]
        "risen": float((few["value"] - few["chance"]).max()),  # type: ignore[arg-type]
    }


def _told(fitted: MovedFit, *, control: bool = False) -> dict[str, Any]:
    draws = fitted.point_draws(DISTANCE, control=control)
    low, value, high = np.quantile(draws, [0.05, 0.5, 0.95], method="nearest")
    return {
        "value": float(value) if np.isfinite(value) else None,
        "low": float(low) if np.isfinite(low) else None,
        "high": float(high) if np.isfinite(high) else None,
        "status": str(fitted.status),
        "holds": fitted.premise.holds,
        "on_loss": fitted.premise.to_dict()["on_loss"],
        "on_size": fitted.premise.to_dict()["on_size"],
    }
