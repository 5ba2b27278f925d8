"""What a user typed, converted for the API: tables and points."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augury.cli.printing import detail, note
from augury.cli.standard_input import table_file
from augury.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from augury.laws import Law


# A planned point's compute may differ from 6 N D by this factor: attention and other conventions.
COMPUTE_TOLERANCE = 1.3


def read_rows(
    table: Path,
    map_: list[str] | None,
    where: str | None,
    needed: Sequence[str],
    output: str | None,
    scale: list[str] | None = None,
    wished: Sequence[str] = (),
    tasks: list[str] | None = None,
) -> pl.DataFrame:
    """Read a table with the columns a command needs; report guesses on standard error.

    Args:
        table: a file, a study's folder, or "-" for standard input.
        map_, where, scale, tasks: as the options of these names.
        needed: required columns.
        output: the column to predict, which scores and counts can replace. None if not needed.
        wished: columns that are looked for under common names, and may be missing; a note names
            what looks like one of them. By default none.
    """
    from augury.data import parse_map, read_table
    from augury.data.common_names import column_names, guess_columns, likely_missed
    from augury.data.read import parse_scale, parse_tasks, repeated_rows
    from augury.data.scores import has_scores

    columns = parse_map(map_ or [])
    with table_file(table) as path:
        shown = "standard input" if path != table else str(table)
        there = column_names(path)
        found = [n for n in wished if guess_columns(there, [n], columns)]
        asked = parse_tasks(tasks or [], there)
        made = {"task", "value"} if asked else set()
        needed = [name for name in needed if name not in made]
        guessed = guess_columns(
            there, [*needed, *found], columns, None if output in made else output
        )
        if guessed:
            said = ", ".join(f"'{theirs}' as {ours}" for ours, theirs in guessed.items())
            note(f"{shown}: reading {said}; --map says otherwise")

        def read(require: list[str]) -> pl.DataFrame:
            return read_table(
                path,
                columns=columns | guessed,
                where=where,
                require=require,
                scale=parse_scale(scale or []),
                tasks=asked,
            )

        data = read(list(needed))
        if output is not None and output not in data.columns and not has_scores(data.columns):
            read([output])
    detail(f"{shown}: {data.height} rows, columns {', '.join(data.columns)}")
    for name, options in likely_missed(data.columns, wished).items():
        note(f"{shown}: no column is read as {name}; if this is it: {options}")
    again = repeated_rows(data)
    if again is not None:
        note(f"{shown}: {again}")
    return data


def needed_columns(law: Law) -> list[str]:
    """Return the columns that a law requires; those of shares are found by their names."""
    from augury.laws.inputs import Share

    return [
        name
        for name, kind in law.inputs.items()
        if kind.default is None and not isinstance(kind, Share)
    ]


def parse_point(text: str) -> dict[str, float]:
    """Parse a point such as "params=7B,tokens=4T".

    Raises:
        UsageError: it has another form, repeats a name, or its compute is not 6 N D.
    """
    from augury.data.compute import training_flops
    from augury.data.numbers import read_cell
    from augury.data.schema import Column, column_of

    point: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (x.strip() for x in part.partition("="))
        number = read_cell(value, column_of(name) or Column(name, "number", "any", ""))
        if not name or number is None:
            raise UsageError(f"--at '{text}': expected name=number,name=number, not '{part}'")
        if name in point:
            raise UsageError(f"--at '{text}': duplicate '{name}'")
        point[name] = number
    if {"params", "tokens", "flops"} <= set(point):
        flops = training_flops(point["params"], point["tokens"])
        if not 1 / COMPUTE_TOLERANCE < point["flops"] / (flops or math.nan) < COMPUTE_TOLERANCE:
            raise UsageError(
                f"--at '{text}' contradicts itself: 6 x params x tokens is {flops:.3g} FLOPs, not "
                f"{point['flops']:.3g}; give two of the three"
            )
    return point


def parse_extra(pairs: list[str] | None) -> dict[str, Any]:
    """Parse KEY=VALUE fields of a request: as JSON if possible, else as text."""
    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--extra '{pair}': expected KEY=VALUE")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def parse_stops(texts: list[str] | None) -> tuple[str, ...]:
    """Parse stop strings as typed in a shell: escapes are interpreted."""
    from augury.evaluate.stops import unescape

    return tuple(unescape(text) for text in texts or ())
