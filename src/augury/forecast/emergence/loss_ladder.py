"""The loss law of the checkpoints of a study, where they carry one."""

from __future__ import annotations

from functools import lru_cache

import polars as pl

from augury.errors import AuguryError
from augury.fitting import Fit, Status, fit

# Fewest checkpoints for a law of five parameters.
FEWEST = 8


def loss_law_of(table: pl.DataFrame) -> Fit | None:
    """Chinchilla's law on the checkpoints of the table, if they carry one."""
    needed = ("params", "tokens", "loss")
    if any(name not in table.columns for name in needed):
        return None
    points = table.filter(pl.col("finetune_examples") == 0).select(needed).drop_nulls().unique()
    if points.height < FEWEST or min(points[n].n_unique() for n in needed[:2]) < 3:
        return None
    return _fitted(tuple(points.sort(needed).rows()))


@lru_cache(maxsize=16)
def _fitted(points: tuple[tuple[float, float, float], ...]) -> Fit | None:
    """Fit sorted rows of params, tokens and loss. Cached: one command asks for it three times."""
    table = pl.DataFrame(points, schema=["params", "tokens", "loss"], orient="row")
    try:
        found = fit("chinchilla", table)
        if found.status is Status.AT_BOUND:  # a normal approximation ignores bounds
            found = fit("chinchilla", table, uncertainty="bootstrap")
    except AuguryError:
        return None
    return found if found.usable else None
