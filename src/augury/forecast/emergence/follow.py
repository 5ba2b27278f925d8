"""From the point of emergence to parameters and FLOPs, where a loss law is known."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from augury.errors import UsageError
from augury.fitting import load_fit
from augury.forecast.emergence.loss_ladder import loss_law_of
from augury.forecast.emergence.moved_fit import MovedFit
from augury.forecast.emergence.point import Definition
from augury.forecast.emergence.reach import Reach, in_flops, in_params
from augury.forecast.emergence.result import EmergenceFit


def reaches(
    fitted: EmergenceFit | MovedFit,
    table: pl.DataFrame,
    loss_law: str | Path | None,
    tokens: float | None,
    *,
    definition: Definition = "elbow",
    distance: float | None = None,
) -> dict[str, Reach | None]:
    """The point in parameters (at given tokens) and in FLOPs; None where no loss law is known.

    Args:
        fitted: a fit on the loss scale; on FLOPs both results are None.
        table: the table it was fitted to. Without `loss_law`, its few-shot rows are fitted with
            Chinchilla's law.
        loss_law: folder of a saved fit of a law in params and tokens.
        tokens: pretraining tokens; by default the most that a checkpoint of the table has seen.
        definition, distance: as in `emergence_point`.

    Raises:
        UsageError: the loss law does not take params and tokens.
        DataError: there is no such folder.
    """
    nothing: dict[str, Reach | None] = {"in_params": None, "in_flops": None}
    if fitted.data.scale != "loss":
        return nothing
    if tokens is not None and not tokens > 0:
        raise UsageError(f"tokens must be positive, not {tokens}")
    loss = load_fit(loss_law) if loss_law is not None else loss_law_of(table)
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
        return nothing  # everything is at chance: there is no point to convert
