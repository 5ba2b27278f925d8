"""What is forecast of a latent world from its ladder alone, at every cut and for every task."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from augury.forecast.emergence import MovedFit, fit_moved, moved_study
from augury.forecast.emergence.moved_tasks import teach_shifts

# Checkpoints with a loss less than this above the floor are not seen; 0 sees the whole ladder.
CUTS = (0.47, 0.42, 0.37, 0.32, 0.27, 0.0)
# At every cut this task is forecast; the others at these cuts only.
HEADLINE, OTHERS_AT = "attribute-3", (0.37, 0.27, 0.0)
# What counts as emerged: a few-shot score this far above chance.
DISTANCE = 0.1
FEWEST = 6


def forecasts(sweep: pl.DataFrame, floor: float, cut: float) -> list[dict[str, Any]]:
    """A row per task and method; none where too few checkpoints are seen.

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
            few = seen.filter(task=task, finetune_examples=0)
            about = {
                "cut": cut,
                "task": task,
                "checkpoints": few.height,
                "lowest": float(few["loss"].min()),  # type: ignore[arg-type]
                "risen": float((few["value"] - few["chance"]).max()),  # type: ignore[arg-type]
            }
            rows.append({**about, "method": "moved curve", **_told(fitted)})
            rows.append({**about, "method": "few-shot alone", **_told(fitted, control=True)})
            taught = together.get(task)
            if taught is not None and taught is not fitted:
                rows.append({**about, "method": "tasks together", **_told(taught)})
    return rows


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
