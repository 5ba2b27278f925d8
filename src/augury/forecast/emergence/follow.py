"""From the point of emergence to parameters and FLOPs, where a loss law is known."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from augury.errors import AuguryError, UsageError
from augury.fitting import Fit, Status, fit, load_fit
from augury.forecast.emergence.point import Definition
from augury.forecast.emergence.reach import Reach, in_flops, in_params
from augury.forecast.emergence.result import EmergenceFit

# Checkpoints below which a law of five parameters is not fitted to find the way to parameters.
FEWEST = 8


def reaches(
    fitted: EmergenceFit,
    table: pl.DataFrame,
    loss_law: str | Path | None,
    tokens: float | None,
    *,
    definition: Definition = "elbow",
    distance: float | None = None,
) -> dict[str, Reach | None]:
    """The point in parameters (at given tokens) and in FLOPs; None where no loss law is known.

    Args:
        fitted: on the loss scale; on FLOPs there is nothing to follow.
        table: what it was fitted to; its few-shot rows give a Chinchilla law where `loss_law` does
            not.
        loss_law: folder of a saved fit of a law in params and tokens.
        tokens: pretraining tokens; by default the most that a checkpoint of the table has seen.
        definition, distance: as in `emergence_point`.

    Raises:
        UsageError: the loss law is of something else.
        DataError: there is no such folder.
    """
    nothing: dict[str, Reach | None] = {"in_params": None, "in_flops": None}
    if fitted.data.scale != "loss":
        return nothing
    if tokens is not None and not tokens > 0:
        raise UsageError(f"tokens must be positive, not {tokens}")
    loss = load_fit(loss_law) if loss_law is not None else _fitted(table)
    if loss is None:
        return nothing
    if tokens is None and "tokens" in table.columns:
        most = table["tokens"].max()
        tokens = None if most is None else float(most)  # type: ignore[arg-type]
    try:
        return {
            "in_params": None
            if tokens is None
            else in_params(fitted, loss, tokens, definition=definition, distance=distance),
            "in_flops": in_flops(fitted, loss, definition=definition, distance=distance),
        }
    except UsageError:
        if loss_law is not None:
            raise
        return nothing  # everything is at chance: there is no point to follow


def _fitted(table: pl.DataFrame) -> Fit | None:
    """Chinchilla's law on the checkpoints of the table, if they carry one."""
    needed = ("params", "tokens", "loss")
    if any(name not in table.columns for name in needed):
        return None
    points = table.filter(pl.col("finetune_examples") == 0).select(needed).drop_nulls().unique()
    if points.height < FEWEST or min(points[n].n_unique() for n in needed[:2]) < 3:
        return None
    try:
        found = fit("chinchilla", points.sort(needed))
        if found.status is Status.AT_BOUND:  # a normal approximation knows no bound
            found = fit("chinchilla", points.sort(needed), uncertainty="bootstrap")
    except AuguryError:
        return None
    return found if found.usable else None
