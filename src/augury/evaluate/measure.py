"""Measure checkpoints of the lab: rows of the observation table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.data import observations
from augury.evaluate.exact import exact_scores
from augury.evaluate.lab import LabBackend
from augury.evaluate.tasks import Task


def measure(checkpoints: Sequence[str | Path], task: Task) -> pl.DataFrame:
    """Exact pass probability, its logarithm and greedy accuracy of every checkpoint.

    Args:
        checkpoints: folders that the lab's training wrote.
        task: what to measure; one row per metric and checkpoint: "pass" (mean exact pass
            probability over instances), "logprob" (mean of its logarithm, nats), "greedy".

    Returns:
        The observation table, with the checkpoint's own validation loss, params, tokens and flops.

    Raises:
        DataError: a folder holds no whole checkpoint.
    """
    rows: list[dict[str, Any]] = []
    for folder in checkpoints:
        backend = LabBackend(folder)
        saved = backend.checkpoint
        scores = exact_scores(backend, task)
        count = len(scores.logprob)
        for metric, values in (
            ("pass", np.exp(scores.logprob)),
            ("logprob", scores.logprob),
            ("greedy", scores.greedy),
        ):
            rows.append(
                {
                    "model": saved.config.name,
                    "family": saved.config.family,
                    "step": saved.step,
                    "seed": saved.config.seed,
                    "params": float(saved.config.model.params),
                    "params_kind": "all",
                    "tokens": saved.tokens,
                    "flops": saved.flops,
                    "loss": saved.loss,
                    "loss_set": "held-out documents of the same mixture",
                    "task": task.name,
                    "metric": metric,
                    "value": float(values.mean()),
                    "stderr": float(values.std(ddof=1) / np.sqrt(count)) if count > 1 else None,
                    "n": float(count),
                    "chance": task.chance,
                }
            )
    return observations(rows)
