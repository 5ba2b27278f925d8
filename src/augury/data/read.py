"""Read an observation table from CSV, TSV, Parquet or JSON lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from augury.data.compute import training_flops
from augury.data.table import ROW, cast_columns, check_table, fill_compute
from augury.data.table_text import decode_table, first_line, read_delimited, read_json_lines
from augury.data.wide import task_rows
from augury.errors import DataError, UsageError

# How far, in decades, compute may be from a power of a thousand times 6 N D: attention and other
# counting conventions make a difference of at most a quarter of a decade.
UNIT_TOLERANCE = 0.3
SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")


def read_table(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    where: str | None = None,
    require: Sequence[str] = (),
    scale: Mapping[str, float] | None = None,
    tasks: Sequence[str] = (),
) -> pl.DataFrame:
    """Read a table: map, derive, filter and check its columns.

    Text in a number column is an error in any row. The rules of the columns (params positive,
    losses finite ...) apply to the rows that `where` leaves, so that known bad rows can be filtered
    out. Numbers may be written as 70M, 1.4B, 70,000,000 or 45 %; columns may be separated by
    semicolons, with decimal commas.

    Args:
        path: .csv, .tsv, .parquet, .jsonl or .ndjson; or a study's folder, for everything it
        measured.
        columns: our column <- the file's, as in {"params": "Model Size"}.
        where: an SQL expression over the columns (Polars), such as "loss < 3.43 and step > 0".
        require: columns that must be present, given or derived (flops, tokens, params), and filled.
        scale: factor that multiplies a column, as in {"tokens": 1e9} for tokens in billions.
        tasks: columns that hold the scores of one task each, or patterns such as "icl/*": they
            become rows of `task` and `value`, and empty cells are left out.

    Returns:
        The table: schema columns typed, unknown ones unchanged; with `where`, also `row`, the row
        in the file.

    Raises:
        DataError: the file cannot be read, or a value breaks a rule; one line with file, row
            (counted from 1, without the header), column, value and what was expected.
        UsageError: `columns`, `where`, `scale` or `tasks` do not fit the table, or the suffix is
            unknown.

    Examples:
        >>> runs = augury.read_table("runs.csv", where="params < 1e9", require=["flops"])
        >>> runs.height, "flops" in runs.columns
        (13, True)
    """
    path = Path(path)
    source = str(path)
    raw = _read_raw(path, source)
    if raw.is_empty():
        raise DataError("there are no rows", source=source, expected="a header and rows")
    raw = _filled_rows(raw.with_row_index(ROW, offset=1))
    table = _mapped(raw, columns or {}, source)
    if tasks:
        table = task_rows(table, tasks, source)
    table = _scaled(cast_columns(table, source), scale or {}, source)
    _check_units(table, source)
    table = fill_compute(table)
    if where is not None:
        table = _filtered(table, where, source)
    table = check_table(table, source, require)
    if where is not None and "row" not in table.columns:
        return table.rename({ROW: "row"})  # row numbers in the file, for notes on them
    return table.drop(ROW)


def _filled_rows(raw: pl.DataFrame) -> pl.DataFrame:
    """Drop blank lines. The others keep their numbers."""
    texts = [s.name for s in raw.iter_columns() if s.dtype == pl.String]
    if raw.width < 3 or len(texts) < raw.width - 1:
        return raw
    blank = pl.all_horizontal(
        pl.col(c).is_null() | (pl.col(c).str.strip_chars() == "") for c in texts
    )
    return raw.filter(~blank)


def _scaled(table: pl.DataFrame, scale: Mapping[str, float], source: str) -> pl.DataFrame:
    for name, factor in scale.items():
        if name not in table.columns:
            raise UsageError(f"{source}: cannot scale '{name}': there is no such column")
        if not table[name].dtype.is_numeric():
            raise UsageError(f"{source}: cannot scale '{name}': it does not hold numbers")
        if not (math.isfinite(factor) and factor > 0):
            raise UsageError(f"cannot scale '{name}' by {factor}: expected a positive number")
        table = table.with_columns(pl.col(name) * factor)
    return table


def _check_units(table: pl.DataFrame, source: str) -> None:
    """Refuse compute that is off 6 N D by a power of a thousand in every row: a unit mistake.

    Raises:
        DataError: it is; the message says what to scale.
    """
    names = ("params", "tokens", "flops")
    if not set(names) <= set(table.columns):
        return
    n, d, c = (table[x].cast(pl.Float64).fill_null(np.nan).to_numpy() for x in names)
    with np.errstate(all="ignore"):
        off = np.log10(c / training_flops(n, d))
    off = off[np.isfinite(off)]
    if len(off) < 3:
        return
    power = 3 * round(float(np.median(off)) / 3)
    if power == 0 or np.abs(off - power).max() > UNIT_TOLERANCE:
        return
    raise DataError(
        f"flops are 1e{power:+d} times 6 N D in every row: the columns use different units",
        source=source,
        column="flops",
        expected=f"parameters, tokens and FLOPs; {_scale_options(power)}",
    )


def _scale_options(power: int) -> str:
    usual = {15: "--scale params=1e6 --scale tokens=1e9 if they are in millions and billions",
             18: "--scale params=1e9 --scale tokens=1e9 if both are in billions",
             9: "--scale tokens=1e9 if they are in billions",
             6: "--scale params=1e6 if they are in millions"}  # fmt: skip
    return usual.get(power, f"--scale flops=1e{-power} if these are in another unit")


def repeated_rows(table: pl.DataFrame) -> str | None:
    """Return a remark on rows that repeat earlier ones in every column, or None."""
    names = [s.name for s in table.iter_columns() if s.name not in (ROW, "row", "file")]
    if table.height < 2 or not names:
        return None
    rows = table.select(names)
    again = ~rows.select(pl.struct(names).is_first_distinct()).to_series()
    count = int(again.sum())
    if not count:
        return None
    first = int(again.arg_max() or 0)
    if count == table.height - first and 2 * count == table.height:
        return f"rows {first + 1}-{table.height} repeat rows 1-{first}"
    return f"{count} of {table.height} rows repeat an earlier one, the first is row {first + 1}"


def parse_scale(pairs: Sequence[str]) -> dict[str, float]:
    """Parse ["tokens=1e9"] from the command line to {"tokens": 1e9}.

    Raises:
        UsageError: it is not a name and a positive number.
    """
    found: dict[str, float] = {}
    for pair in pairs:
        name, _, factor = pair.partition("=")
        try:
            found[name.strip()] = float(factor)
        except ValueError:
            raise UsageError(f"--scale '{pair}': expected COLUMN=NUMBER") from None
        if not (math.isfinite(found[name.strip()]) and found[name.strip()] > 0):
            raise UsageError(f"--scale '{pair}': expected a positive number")
    return found


def parse_tasks(texts: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """Parse ["MMLU,ARC-C", "icl/*"]; a column of the table may have a comma in its name."""
    names = (x for text in texts for x in ([text] if text in there else text.split(",")))
    return tuple(name.strip() for name in names if name.strip())


def parse_map(pairs: Sequence[str]) -> dict[str, str]:
    """Parse ["params=Model Size"] from the command line to {"params": "Model Size"}.

    Raises:
        UsageError: a pair has no equals sign, or names one of our columns twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        ours, theirs = ours.strip(), theirs.strip()
        if not equals or not ours or not theirs:
            raise UsageError(f"--map '{pair}': expected OUR_COLUMN=THEIR COLUMN")
        if ours in found:
            raise UsageError(f"--map '{pair}': duplicate column '{ours}'")
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
                f"{source}: cannot read '{theirs}' as '{ours}': column '{ours}' already exists"
            )
    return table.rename({theirs: ours for ours, theirs in columns.items()})


def _filtered(table: pl.DataFrame, where: str, source: str) -> pl.DataFrame:
    try:
        kept = table.filter(pl.sql_expr(where))
    except (pl.exceptions.PolarsError, TypeError) as error:
        there = ", ".join(c for c in table.columns if c != ROW)
        raise UsageError(
            f"cannot filter by '{where}': {first_line(error)}; the columns are: {there}"
        ) from error
    if kept.is_empty():
        raise DataError(
            f"no row is left after '{where}'", source=source, expected="at least one row"
        )
    return kept


def _read_raw(path: Path, source: str) -> pl.DataFrame:
    if path.is_dir():
        parts = sorted(path.glob("measurements/*/rows.parquet"))
        if not parts:
            raise DataError(
                "is a folder without measurements",
                source=source,
                expected="a file, or a study's folder (measurements/*/rows.parquet)",
            )
        return pl.concat([_read_raw(part, str(part)) for part in parts], how="diagonal_relaxed")
    if path.suffix.lower() not in SUFFIXES:
        if not path.exists():
            raise DataError("there is no such file", source=source, expected="a table")
        raise UsageError(
            f"{source}: unknown format '{path.suffix}'; expected {', '.join(SUFFIXES)}"
        )
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError("there is no such file", source=source, expected="a table") from error
    except PermissionError as error:
        raise DataError(
            "cannot be read: permission denied", source=source, expected="read permission"
        ) from error
    if not data.strip():
        raise DataError("the file is empty", source=source, expected="a header and rows")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        try:
            return pl.read_parquet(data)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise DataError(
                f"not a whole Parquet file: {first_line(error)}",
                source=source,
                expected="a complete Parquet file",
            ) from error
    text = decode_table(data, source)
    if suffix in (".jsonl", ".ndjson"):
        return read_json_lines(text, source)
    return read_delimited(text, "\t" if suffix == ".tsv" else ",", source)
