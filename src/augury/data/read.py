"""Read an observation table from CSV, TSV, Parquet or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from augury.data.schema import BY_NAME
from augury.data.table import MISSING, ROW, checked, derived, typed
from augury.errors import DataError, UsageError

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")


def read_table(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    where: str | None = None,
    require: Sequence[str] = (),
) -> pl.DataFrame:
    """Read, map, derive, filter and check.

    Text in a number column is an error wherever it stands; the rules of the columns (params
    positive, losses finite ...) are those of the rows that `where` leaves, so that known bad rows
    can be filtered out.

    Args:
        path: .csv, .tsv, .parquet, .jsonl or .ndjson; or a study's folder: all it measured.
        columns: our column <- theirs, as in {"params": "Model Size"}.
        where: an SQL expression over the columns (Polars), such as "loss < 3.43 and step > 0".
        require: columns that must be there, given or derived (flops, tokens, params), and filled.

    Returns:
        The table: schema columns typed, unknown ones as they came; with `where`, also `row`, the
        row in the file.

    Raises:
        DataError: the file cannot be read, or a value breaks a rule; one line that names file,
            row (counted from 1, without the header), column, value and what was expected.
        UsageError: `columns` or `where` do not fit the table, or the suffix is unknown.
    """
    path = Path(path)
    source = str(path)
    raw = _raw(path, source)
    if raw.is_empty():
        raise DataError("there are no rows", source=source, expected="a header and rows")
    raw = raw.with_row_index(ROW, offset=1)
    table = derived(typed(_mapped(raw, columns or {}, source), source))
    if where is not None:
        table = _filtered(table, where, source)
    table = checked(table, source, require)
    if where is not None and "row" not in table.columns:
        return table.rename({ROW: "row"})  # which rows of the file are left, for notes on them
    return table.drop(ROW)


def parse_map(pairs: Sequence[str]) -> dict[str, str]:
    """["params=Model Size"] -> {"params": "Model Size"}, as the command line gives it.

    Raises:
        UsageError: a pair has no equals sign, or names a column of ours twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        ours, theirs = ours.strip(), theirs.strip()
        if not equals or not ours or not theirs:
            raise UsageError(f"--map '{pair}': expected OUR_COLUMN=THEIR COLUMN")
        if ours in found:
            raise UsageError(f"--map '{pair}': '{ours}' is mapped twice")
        found[ours] = theirs
    return found


def _mapped(table: pl.DataFrame, columns: Mapping[str, str], source: str) -> pl.DataFrame:
    for ours, theirs in columns.items():
        if theirs not in table.columns:
            there = ", ".join(c for c in table.columns if c != ROW)
            raise DataError(
                f"the column to be read as '{ours}' is missing",
                source=source,
                column=theirs,
                expected=f"one of: {there}",
            )
        if ours in table.columns and theirs != ours and ours not in columns.values():
            raise UsageError(
                f"{source}: cannot read '{theirs}' as '{ours}': there is a column '{ours}' already"
            )
    return table.rename({theirs: ours for ours, theirs in columns.items()})


def _filtered(table: pl.DataFrame, where: str, source: str) -> pl.DataFrame:
    try:
        kept = table.filter(pl.sql_expr(where))
    except (pl.exceptions.PolarsError, TypeError) as error:
        there = ", ".join(c for c in table.columns if c != ROW)
        raise UsageError(
            f"cannot filter by '{where}': {_one_line(error)}; the columns are: {there}"
        ) from error
    if kept.is_empty():
        raise DataError(
            f"no row is left after '{where}'", source=source, expected="at least one row"
        )
    return kept


def _raw(path: Path, source: str) -> pl.DataFrame:
    if path.is_dir():
        parts = sorted(path.glob("measurements/*/rows.parquet"))
        if not parts:
            raise DataError(
                "is a folder without measurements",
                source=source,
                expected="a file, or a study's folder (measurements/*/rows.parquet)",
            )
        return pl.concat([_raw(part, str(part)) for part in parts], how="diagonal_relaxed")
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{source}: cannot tell the format from '{path.suffix}'; expected {', '.join(SUFFIXES)}"
        )
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError("there is no such file", source=source, expected="a table") from error
    except PermissionError as error:
        raise DataError("may not be read", source=source, expected="read permission") from error
    if not data.strip():
        raise DataError("the file is empty", source=source, expected="a header and rows")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        try:
            return pl.read_parquet(data)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(
                f"not a whole Parquet file: {_one_line(error)}",
                source=source,
                expected="a Parquet file that was written to its end",
            ) from error
    text = _decoded(data, source)
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(text, source)
    return _delimited(text, "\t" if suffix == ".tsv" else ",", source)


def _decoded(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"line {line} is not UTF-8",
            source=source,
            value=data[error.start : error.start + 1],
            expected="UTF-8 text",
        ) from error


def _delimited(text: str, separator: str, source: str) -> pl.DataFrame:
    header = next(csv.reader(text.splitlines()[:1], delimiter=separator))
    for name in header:
        if header.count(name) > 1:
            raise DataError(
                "the header names it twice", source=source, column=name, expected="unique names"
            )
    try:
        # Every cell as text, so that a wrong one can be named; `typed` makes the numbers.
        table = pl.read_csv(
            text.encode(),
            separator=separator,
            infer_schema=False,
        )
    except pl.exceptions.PolarsError as error:
        for number, row in enumerate(csv.reader(text.splitlines(), delimiter=separator)):
            if row and len(row) != len(header):
                raise DataError(
                    f"has {len(row)} cells",
                    source=source,
                    row=number,
                    expected=f"{len(header)}, as the header has",
                ) from error
        raise DataError(_one_line(error), source=source, expected="a table") from error
    strangers = [s.name for s in table.iter_columns() if s.name not in BY_NAME]
    return table.with_columns(_guessed(table[name]) for name in strangers)


def _guessed(series: pl.Series) -> pl.Series:
    """An unknown text column as numbers, if every filled cell is one."""
    values = series.str.strip_chars()
    values = values.set(values.is_in(MISSING), None)
    numbers = values.cast(pl.Float64, strict=False)
    if numbers.null_count() == values.null_count() and numbers.null_count() < len(numbers):
        return numbers
    return series


def _json_lines(text: str, source: str) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(
                f"line {number} is not JSON: {_one_line(error)}",
                source=source,
                expected="one JSON object a line",
            ) from error
        if not isinstance(row, dict):
            raise DataError(
                f"line {number} is not an object",
                source=source,
                value=line[:40],
                expected="one JSON object a line",
            )
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        cells = [row.get(name) for row in rows]
        kinds = {type(c) for c in cells if c is not None}
        if kinds <= {int, float}:
            columns[name] = pl.Series(name, cells, pl.Float64, strict=False)
        elif kinds == {bool}:
            columns[name] = pl.Series(name, cells, pl.Boolean)
        else:
            texts = [c if c is None or isinstance(c, str) else json.dumps(c) for c in cells]
            columns[name] = pl.Series(name, texts, pl.String)
    return pl.DataFrame(columns)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split("\n")[0].split())[:200]
