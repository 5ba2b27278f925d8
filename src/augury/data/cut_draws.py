"""Rows whose samples did not come from the model's own distribution."""

from __future__ import annotations

import polars as pl

from augury.notes import Note

# A column that PassUntil writes, with its value for a server that left tokens out.
COLUMN, CUT = "distribution", "cut"


def cut_draws_notes(table: pl.DataFrame) -> list[Note]:
    """Return notes on such rows before they are fitted; none if there are none."""
    if COLUMN not in table.columns:
        return []
    cut = table.filter(pl.col(COLUMN) == CUT)
    if cut.is_empty():
        return []
    models = cut["model"].n_unique() if "model" in cut.columns else 1
    rows = "1 row was" if cut.height == 1 else f"{cut.height} rows were"
    told = (
        f"{rows} sampled from a distribution that the server had cut ({models} "
        f"model{'s' if models > 1 else ''}): rare answers are missing there, and common ones are "
        "too common."
    )
    return [Note("cut-distribution", "warning", told, {"rows": cut.height, "models": models})]
