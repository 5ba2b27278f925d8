"""Rows of a study's observation tables: written, read, joined, and chosen for a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from augury.data.scores import whole_tasks
from augury.errors import DataError, UsageError
from augury.runtime.atomic import atomic_file
from augury.study.results.store import Store

if TYPE_CHECKING:
    from augury.laws import Chain, Law

ROWS = "rows.parquet"


def write_rows(rows: pl.DataFrame, work: Path) -> None:
    """Write the observation table of a unit."""
    with atomic_file(work / ROWS) as fresh:
        rows.write_parquet(fresh)


def read_rows(path: str | Path, asked: Mapping[str, Any]) -> pl.DataFrame:
    """Read the rows of a table that a unit asks for: those held out, or the others.

    Args:
        path: the table.
        asked: columns (ours from the file's), where, and `held_out` (an SQL expression, or None)
            with `side`, "seen" or "held".

    Raises:
        DataError: the table cannot be read.
        UsageError: the expression cannot be evaluated on it.
    """
    from augury.data import read_table

    table = read_table(path, columns=asked["columns"], where=asked["where"])
    if asked["held_out"] is None:
        return table
    held = pl.sql_expr(asked["held_out"])
    try:
        return table.filter(held if asked["side"] == "held" else ~held.fill_null(False))
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise UsageError(
            f"held_out.where: '{asked['held_out']}' cannot be evaluated on {path}: "
            f"{str(error).splitlines()[0]}; its columns are: {', '.join(table.columns)}"
        ) from error


def join_rows(store: Store, keys: Sequence[str]) -> pl.DataFrame:
    """Join the observation tables of these units."""
    parts = [pl.read_parquet(store.result(key) / ROWS) for key in keys]
    return pl.concat(parts, how="diagonal_relaxed")


def distinct_losses(table: pl.DataFrame, law: Law | Chain) -> pl.DataFrame:
    """Return each checkpoint's pretraining loss once, without its scores.

    A law of size alone gets only the last checkpoint of each model: it does not describe training.

    Raises:
        DataError: no loss was measured.
    """
    return pretraining_losses(table, last_step=not {"tokens", "flops"} & set(law.inputs))


def pretraining_losses(table: pl.DataFrame, *, last_step: bool) -> pl.DataFrame:
    """Return each checkpoint's pretraining loss once, without its scores.

    Args:
        table: observation table.
        last_step: only the last checkpoint of each model.

    Raises:
        DataError: no loss was measured.
    """
    rows = last_steps(whole_tasks(table), only=last_step)
    if "finetune_examples" in rows.columns:
        rows = rows.filter(pl.col("finetune_examples").fill_null(0) == 0)
    if "loss" not in rows.columns or rows["loss"].is_null().all():
        raise DataError("no loss was measured", column="loss", expected="a loss to fit the law to")
    known = ("model", "family", "step", "params", "params_kind", "tokens", "flops", "loss")
    pretrained = [name for name in (*known, "loss_set") if name in rows.columns]
    own = [*pretrained, *(["seed"] if "seed" in rows.columns else [])]
    rows = rows.filter(pl.col("loss").is_not_null()).select(own)
    # Rows of a sweep have no pretraining seed: a model that was also measured directly counts once.
    rows = rows.sort(own, maintain_order=True, nulls_last=True)
    return rows.unique(subset=pretrained, keep="first", maintain_order=True)


def task_scores(table: pl.DataFrame, asked: Mapping[str, Any]) -> pl.DataFrame:
    """Return mean scores of the task and metric in `asked`, in a fixed order.

    Raises:
        DataError: there are none.
    """
    rows = whole_tasks(table)
    for name in ("task", "metric"):
        if asked[name] is not None and name in rows.columns:
            rows = rows.filter(pl.col(name) == asked[name])
    rows = last_steps(rows, only=bool(asked.get("last_step")))
    if "value" in rows.columns:
        rows = rows.filter(pl.col("value").is_not_null())
    if rows.is_empty():
        raise DataError(
            "no score to learn from",
            column="task",
            value=asked["task"],
            expected=f"rows of metric {asked['metric']}",
        )
    order = [n for n in ("params", "tokens", "seed", "step", "model") if n in rows.columns]
    return rows.sort(order, maintain_order=True)


def last_steps(rows: pl.DataFrame, *, only: bool) -> pl.DataFrame:
    """Keep, with `only`, the last checkpoint of each model: laws of size ignore training."""
    if not only or "step" not in rows.columns:
        return rows
    own = [n for n in ("model", "family", "seed") if n in rows.columns]
    return rows.filter(pl.col("step") == pl.col("step").max().over(own))
