"""Tables with one column of scores per task: into one row per model and task."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

import polars as pl

from augury.data.schema import BY_NAME
from augury.data.table import ROW, read_numbers
from augury.errors import DataError, UsageError

TASK, VALUE = "task", "value"


def task_rows(table: pl.DataFrame, tasks: Sequence[str], source: str) -> pl.DataFrame:
    """Return one row per row of the table and task; empty cells are left out.

    Args:
        table: as it was read, its columns named as ours.
        tasks: columns of scores, or patterns such as "icl/*". A pattern never takes a column that
            has one of our names.
        source: file, for messages.

    Raises:
        DataError: a cell is not a number, every cell is empty, or no column has this name or
            pattern.
        UsageError: the table already has tasks or values in a column of their own.
    """
    for ours in (TASK, VALUE):
        if ours in table.columns:
            raise UsageError(
                f"{source}: column '{ours}' already exists: columns of single tasks cannot be read "
                "as well"
            )
    names = _columns_of(table.columns, tasks, source)
    scores = [_scores(table, name, source) for name in names]
    others = table.drop(names)
    parts = [
        others.with_columns(pl.lit(n).alias(TASK), pl.Series(VALUE, values))
        for n, values in zip(names, scores, strict=True)
    ]
    rows = pl.concat(parts).filter(pl.col(VALUE).is_not_null())
    if rows.is_empty():
        raise DataError(
            "every cell is empty", source=source, column=", ".join(names), expected="scores"
        )
    return rows


def _scores(table: pl.DataFrame, name: str, source: str) -> pl.Series:
    try:
        return read_numbers(table[name], table, BY_NAME[VALUE], source)
    except DataError as error:  # with the column's own name
        raise DataError(
            error.problem,
            source=source,
            row=error.row,
            column=name,
            value=error.value,
            expected=error.expected,
        ) from None


def _columns_of(there: Collection[str], tasks: Sequence[str], source: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for asked in tasks:
        also = [c for c in there if c not in BY_NAME and c != ROW and fnmatchcase(c, asked)]
        if asked not in there and not also:
            raise DataError(
                "no column has this name or pattern",
                source=source,
                column=asked,
                expected=f"one of: {', '.join(c for c in there if c != ROW)}",
            )
        found |= dict.fromkeys([asked] if asked in there else also)
    return tuple(found)
