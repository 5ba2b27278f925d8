"""The published analysis of trends over pretraining, unchanged, for comparison.

Michaelov & Bergen 2023 (arXiv 2305.14681): per task, ordinary least squares of z-scored accuracy on
z-scored log10 parameters, log10 tokens and their product. It treats checkpoints of one run as
independent, so its p values are optimistic: under serial dependence like that of real runs it
reports far more trends than there are (tests/claims/test_trends.py). `trends` does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from augury.errors import DataError

Floats = NDArray[np.float64]
EFFECTS = ("params", "tokens", "interaction")


def published_trends(table: pl.DataFrame) -> pl.DataFrame:
    """Return t values of size, tokens and their interaction, per task.

    Args:
        table: rows with task, params, tokens and value; one metric per task.

    Returns:
        Per task and effect: task, effect ("params", "tokens", "interaction"), t, df, p, and q, the
        p values of all tasks and effects adjusted together by Benjamini & Hochberg (1995).

    Raises:
        DataError: a column is missing, or a task has fewer than five rows or no variation.
    """
    for name in ("task", "params", "tokens", "value"):
        if name not in table.columns:
            raise DataError("the column is missing", column=name, expected="params, tokens, value")
    rows: list[dict[str, Any]] = []
    for (task,), own in table.drop_nulls(["params", "tokens", "value"]).group_by(
        ["task"], maintain_order=True
    ):
        n, d, y = (_standard(own[c], str(task)) for c in ("params", "tokens", "value"))
        design = np.stack([np.ones_like(n), n, d, n * d], 1)
        spare = len(y) - design.shape[1]
        if spare < 1:
            raise DataError(
                f"task '{task}' has too few rows", value=len(y), expected="at least five"
            )
        found, *_ = np.linalg.lstsq(design, y, rcond=None)
        noise = float(((y - design @ found) ** 2).sum()) / spare
        errors = np.sqrt(noise * np.diag(np.linalg.inv(design.T @ design)))
        for effect, t in zip(EFFECTS, (found / errors)[1:], strict=True):
            p = float(2 * stats.t.sf(abs(t), spare))
            rows.append({"task": task, "effect": effect, "t": float(t), "df": spare, "p": p})
    result = pl.DataFrame(rows)
    return result.with_columns(q=pl.Series(adjusted(result["p"].to_numpy())))


def adjusted(p: Floats) -> Floats:
    """Return Benjamini & Hochberg's adjusted p values: the false-discovery rate for calling each.

    NaN stays NaN and does not count as a test.
    """
    q = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    if len(known):
        q[known] = stats.false_discovery_control(p[known])
    return q


def _standard(column: pl.Series, task: str) -> Floats:
    """Return z-scores, with sizes and tokens in logarithms (their base cancels)."""
    x = column.cast(pl.Float64).to_numpy()
    x = x if column.name == "value" else np.log10(x)
    spread = x.std(ddof=1)
    if not spread > 0:
        raise DataError(
            f"task '{task}' does not vary", column=column.name, expected="at least two values"
        )
    return np.asarray((x - x.mean()) / spread)
