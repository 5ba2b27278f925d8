"""Measure a model on a task: rows of the observation table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.data import observations
from augury.errors import UsageError
from augury.evaluate.backend import Backend, Floats
from augury.evaluate.exact import exact_scores
from augury.evaluate.models import open_model
from augury.evaluate.tasks import Task, named_task

# The mean of 2,048 exact pass probabilities has a standard error of 3-9 % over the lab's ladder.
INSTANCES = 2048


def measure(
    models: Backend | Sequence[str | Path],
    task: str | Task = "rule",
    *,
    instances: int = INSTANCES,
    each: bool = False,
) -> pl.DataFrame:
    """Measure exact pass probability, its logarithm and greedy accuracy of models on one task.

    Args:
        models: a model, whose `about` fills the identifying columns; or checkpoint folders that the
            lab's training wrote.
        task: one of the lab's tasks by name, or your own task.
        instances: number of held-out instances of a lab task.
        each: also one row per instance: metric "pass", with `instance` and `logprob`.

    Returns:
        Observation table with one row per model and metric: "pass" (mean exact pass probability;
        with `reference_logprob` and, if the model shows it, `reference_rank` of the first answer),
        "logprob" (mean log pass probability, nats) and "greedy" (accuracy of greedy decoding).
        `stderr` is over instances; null if there is only one.

    Raises:
        UsageError: the task does not exist, its answers overlap, or there is no model.
        DataError: a folder holds no complete checkpoint.
    """
    asked = named_task(f"lab:{task}", instances) if isinstance(task, str) else task
    if isinstance(models, Backend):
        return observations(_rows(models, asked, each))
    if not models:
        raise UsageError("no model to measure: the list of checkpoints is empty")
    rows: list[dict[str, Any]] = []
    for folder in models:
        rows += _rows(open_model(f"lab:{folder}"), asked, each)
    return observations(rows)


def _rows(backend: Backend, asked: Task, each: bool) -> list[dict[str, Any]]:
    scores = exact_scores(backend, asked)
    common = {**backend.about, "task": asked.name}
    chance = {"chance": asked.chance}
    rows: list[dict[str, Any]] = [
        {
            **common,
            "metric": "pass",
            **_mean(scores.passing),
            **chance,
            **scores.reference_columns(),
        },
        {**common, "metric": "logprob", **_mean(scores.logprob)},
        {**common, "metric": "greedy", **_mean(scores.greedy.astype(float)), **chance},
    ]
    if each:
        rows += [
            {
                **common,
                "metric": "pass",
                "instance": instance.id,
                "value": float(np.exp(logprob)),
                "logprob": float(logprob),
                "n": 1.0,
                **chance,
            }
            for instance, logprob in zip(asked.instances, scores.logprob, strict=True)
        ]
    return rows


def _mean(values: Floats) -> dict[str, float | None]:
    n = len(values)
    return {
        "value": float(values.mean()),
        "stderr": float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else None,
        "n": float(n),
    }
