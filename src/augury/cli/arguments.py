"""What a user typed, as the API takes it: tables and points."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augury.errors import UsageError

if TYPE_CHECKING:
    import polars as pl


def read_rows(
    table: Path,
    map_: list[str] | None,
    where: str | None,
    inputs: Any,
    output: str,
    defaults: Any,
    scale: list[str] | None = None,
) -> pl.DataFrame:
    from augury.data import parse_map, read_table
    from augury.data.read import parse_scale, repeated_rows
    from augury.data.scores import has_scores

    def read(needed: list[str]) -> pl.DataFrame:
        return read_table(
            table,
            columns=parse_map(map_ or []),
            where=where,
            require=needed,
            scale=parse_scale(scale or []),
        )

    data = read([name for name in inputs if name not in defaults])
    if output not in data.columns and not has_scores(data.columns):
        read([output])
    again = repeated_rows(data)
    if again is not None:
        print(f"augury: note: {table}: {again}", file=sys.stderr)
    return data


def parse_point(text: str) -> dict[str, float]:
    point = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        try:
            point[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise UsageError(f"--at '{text}': expected name=number,name=number, not '{part}'")
    return point


def parse_stops(texts: list[str] | None) -> tuple[str, ...]:
    """Stops as a user writes them in a shell: their escapes are read."""
    from augury.evaluate.stops import unescape

    return tuple(unescape(text) for text in texts or ())
