"""What every observation table goes through: types, derived columns, rules, identity, writing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.data.common_names import mapping_like
from augury.data.compute import params_for_flops, tokens_for_flops, training_flops
from augury.data.numbers import MISSING, read_cell
from augury.data.schema import BY_NAME, KEY, Column, column_of
from augury.errors import DataError, UsageError
from augury.runtime.atomic import atomic_file

ROW = "__row__"
# An untrained model has none of these; a law that takes one takes its logarithm.
FROM_NOTHING = ("tokens", "flops")
EXACT = 2**53  # beyond this, a float cannot represent every whole number
EACH_A_TASK = '--tasks "A,B" if columns A and B hold the scores of a task each'
WRITTEN = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
CELLS = (".csv", ".tsv")  # formats in which a cell holds one value
TRUE, FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no")


def cast_columns(table: pl.DataFrame, source: str | None) -> pl.DataFrame:
    """Cast the schema's columns to their types; text that is a number becomes one.

    A value that cannot be read is an error, never missing.

    Raises:
        DataError: a cell of a number column is not a number; it names row, column and value.
    """
    columns = []
    for series in table.iter_columns():
        column = column_of(series.name)
        if column is None:
            columns.append(series)
        elif column.kind == "text":
            columns.append(_texts(series, column, source))
        elif column.kind == "flag":
            columns.append(_flags(series, table, column, source))
        else:
            columns.append(read_numbers(series, table, column, source))
    return pl.DataFrame(columns)


def _texts(series: pl.Series, column: Column, source: str | None) -> pl.Series:
    if series.dtype == pl.String:
        return series
    try:
        return series.cast(pl.String)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise DataError(f"holds {_name_of(series.dtype)}", source=source, column=column.name,
                        expected="text") from error  # fmt: skip


def _name_of(dtype: pl.DataType) -> str:
    return str(dtype).partition("(")[0].lower() + " values"


def _flags(series: pl.Series, table: pl.DataFrame, column: Column, source: str | None) -> pl.Series:
    if series.dtype in (pl.Boolean, pl.Null):
        return series.cast(pl.Boolean)
    words = _texts(series, column, source).str.strip_chars().str.to_lowercase()
    words = words.set(words.is_in([m.lower() for m in MISSING]), None)
    wrong = words.is_not_null() & ~words.is_in([*TRUE, *FALSE])
    if wrong.any():
        i = int(wrong.arg_max() or 0)
        raise DataError("neither true nor false", source=source, row=_row(table, i),
                        column=column.name, value=_short(series[i]),
                        expected="true or false")  # fmt: skip
    return words.replace_strict(dict.fromkeys(TRUE, True) | dict.fromkeys(FALSE, False),
                                default=None, return_dtype=pl.Boolean)  # fmt: skip


def read_numbers(
    series: pl.Series, table: pl.DataFrame, column: Column, source: str | None
) -> pl.Series:
    """Return a column as numbers; text that is one becomes one.

    Raises:
        DataError: a cell is not a number; it names row, column and value.
    """
    values = series
    if series.dtype == pl.String:
        values = series.str.strip_chars()
        values = values.set(values.is_in(MISSING), None)
        numbers = values.cast(pl.Float64, strict=False)
        lost = values.is_not_null() & numbers.is_null()
        if lost.any():
            read = [
                read_cell(cell, column) if out else number
                for cell, number, out in zip(values, numbers, lost, strict=True)
            ]
            numbers = pl.Series(series.name, read, pl.Float64)
    elif series.dtype.is_numeric() or series.dtype in (pl.Null, pl.Boolean):
        numbers = values.cast(pl.Float64, strict=False)
    else:
        raise DataError(f"holds {_name_of(series.dtype)}", source=source, column=column.name,
                        expected="numbers")  # fmt: skip
    lost = values.is_not_null() & numbers.is_null()
    if lost.any():
        i = int(lost.arg_max() or 0)
        raise DataError(
            "text in a number column",
            source=source,
            row=_row(table, i),
            column=column.name,
            value=_short(series[i]),
            expected=column.expected,
        )
    if column.kind == "whole":
        broken = numbers.is_not_null() & ~(numbers.is_finite() & (numbers == numbers.floor()))
        broken = (broken | (numbers.abs() > EXACT)).fill_null(False)
        if broken.any():
            i = int(broken.arg_max() or 0)
            whole = numbers[i] == math.floor(numbers[i]) if math.isfinite(numbers[i]) else False
            raise DataError(
                "too large a number" if whole else "not a whole number",
                source=source,
                row=_row(table, i),
                column=column.name,
                value=_short(series[i]) if whole else numbers[i],
                expected=f"a whole number of at most {EXACT:,}" if whole else "a whole number",
            )
        return numbers.cast(pl.Int64, strict=False).alias(column.name)
    return numbers.alias(column.name)


def _short(value: object) -> object:
    """Shorten a value for a message."""
    if isinstance(value, str) and len(value) > 60:
        return value[:57] + "..."
    return value


def fill_compute(table: pl.DataFrame) -> pl.DataFrame:
    """Fill flops = 6 N D, tokens = C / 6 N and params = C / 6 D if the other two are known.

    In float64 from the start: 6 N D overflows 64-bit integers for today's runs.
    """
    params, tokens, flops = pl.col("params"), pl.col("tokens"), pl.col("flops")
    for name, value in (
        ("flops", training_flops(params, tokens)),
        ("tokens", tokens_for_flops(flops, params)),
        ("params", pl.when(tokens > 0).then(params_for_flops(flops, tokens))),
    ):
        others = {"flops", "tokens", "params"} - {name}
        if others <= set(table.columns):
            known = pl.col(name) if name in table.columns else pl.lit(None, pl.Float64)
            table = table.with_columns(pl.coalesce(known, value).alias(name))
    return table


def check_table(
    table: pl.DataFrame, source: str | None = None, require: Sequence[str] = ()
) -> pl.DataFrame:
    """Return the table if every value obeys its column's rule and no measurement is duplicated.

    Two rows are the same measurement if they agree in every identity column of the table
    (`schema.KEY`) and the table tells at least the model or run of each row: a table of only
    params, flops and loss may hold the same point twice.

    Args:
        table: typed.
        source: file, for messages.
        require: columns that must be present and filled in every row.

    Raises:
        DataError: it names file, row, column, value and what was expected.
    """
    for name in require:
        if name not in table.columns:
            there = [c for c in table.columns if c != ROW]
            options = EACH_A_TASK if name == "task" else mapping_like(there, name)
            example = "" if options is None else f" ({options})"
            raise DataError(
                "the column is missing",
                source=source,
                column=name,
                expected=(
                    f"the column, or a mapping onto it{example} from one of: {', '.join(there)}"
                ),
            )
    for series in table.iter_columns():
        column = column_of(series.name)
        if column is None or column.kind in ("text", "flag"):
            continue
        if column.name in require and column.name in FROM_NOTHING:
            column = replace(column, rule="positive")
        bad = _breaking_rule(series, column)
        if bad.any():
            i = int(bad.arg_max() or 0)
            raise DataError(
                f"the value is not {column.expected}",
                source=source,
                row=_row(table, i),
                column=column.name,
                value=series[i],
                expected=f"{column.expected} ({column.meaning})",
            )
    for name in require:
        if table[name].null_count():
            i = int(table[name].is_null().arg_max() or 0)
            wanted = BY_NAME[name].expected if name in BY_NAME else "a value"
            raise DataError(
                "the value is missing",
                source=source,
                row=_row(table, i),
                column=name,
                expected=wanted,
            )
    if {"passes", "samples"} <= set(table.columns):
        over = (table["passes"] > table["samples"]).fill_null(False)
        if over.any():
            i = int(over.arg_max() or 0)
            raise DataError(
                "more passes than samples",
                source=source,
                row=_row(table, i),
                column="passes",
                value=table["passes"][i],
                expected=f"at most the {table['samples'][i]:g} samples",
            )
    _refuse_duplicates(table, source)
    return table


def _breaking_rule(series: pl.Series, column: Column) -> pl.Series:
    bad = ~series.cast(pl.Float64).is_finite()
    if column.rule == "positive":
        bad = bad | (series <= 0)
    elif column.rule == "not negative":
        bad = bad | (series < 0)
    elif column.rule == "share":
        bad = bad | (series < 0) | (series >= 1)
    elif column.rule == "fraction":
        bad = bad | (series < 0) | (series > 1)
    elif column.rule == "not positive":
        bad = bad | (series > 0)
    return bad.fill_null(False)


def _refuse_duplicates(table: pl.DataFrame, source: str | None) -> None:
    key = [name for name in KEY if name in table.columns]
    if not {"model", "run"} & set(key) or not {"step", "task", "seed", "run"} & set(key):
        return
    twice = table.select(key).is_duplicated()
    if twice.any():
        second = int(table.select(~pl.struct(key).is_first_distinct()).to_series().arg_max() or 0)
        identity = table.select(key).row(second)
        first = next(i for i in range(second) if table.select(key).row(i) == identity)
        named = ", ".join(f"{k}={v}" for k, v in zip(key, identity, strict=True) if v is not None)
        raise DataError(
            f"the same measurement as row {_row(table, first)} ({named})",
            source=source,
            row=_row(table, second),
            expected="each measurement once; a column that distinguishes them is missing",
        )


def _row(table: pl.DataFrame, i: int) -> int:
    """Return a row's number in the user's file, counted from 1."""
    return int(table[ROW][i]) if ROW in table.columns else i + 1


def observations(
    data: pl.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> pl.DataFrame:
    """Build a checked observation table from columns or rows made in code.

    Raises:
        DataError: as `read_table`.
    """
    table = data if isinstance(data, pl.DataFrame) else pl.DataFrame(data, infer_schema_length=None)
    return check_table(fill_compute(cast_columns(table, None)))


def run_ids(table: pl.DataFrame) -> NDArray[np.int64]:
    """Return (n,) the training run of each row, from 0 in order of appearance.

    Uses the column `run` where it is filled in; else model, family and seed together if there is a
    model, where every size is a separate run (`model` may name an architecture); else every row is
    a run.
    """
    identity: tuple[str, ...] = ("model", "family", "seed")
    key = [name for name in identity if name in table.columns]
    if "model" not in key:
        table, key = table.with_row_index("_row"), ["_row"]
    elif "params" in table.columns:
        size = pl.col("params").fill_null(pl.col("params").max().over(key))
        table, key = table.with_columns(_size=size), [*key, "_size"]
    columns = [pl.col(name) for name in key]
    if "run" in table.columns:
        no_run = pl.col("run").is_null()
        columns = [pl.col("run"), *(pl.when(no_run).then(column) for column in columns)]
    named = table.select(pl.struct(columns).alias("k"))
    ids = named.join(
        named.unique(maintain_order=True).with_row_index("i"), on="k", how="left", nulls_equal=True
    )
    return ids["i"].to_numpy().astype(np.int64)


def check_table_path(path: Path) -> None:
    """Whether a table can be written there.

    Raises:
        UsageError: the suffix is not a table's, or the folder does not exist.
    """
    if path.suffix not in WRITTEN:
        raise UsageError(f"cannot write {path.name}: expected one of {', '.join(WRITTEN)}")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: the folder {path.parent} does not exist")


def write_table(table: pl.DataFrame, path: str | Path) -> Path:
    """Check a table and write it, whole or not at all: .parquet, .csv, .tsv or .jsonl.

    Raises:
        DataError: the table breaks a rule; nothing is written.
        UsageError: the suffix is none of these, or the folder does not exist.
    """
    path = Path(path)
    check_table_path(path)
    table = check_table(cast_columns(table, None))
    writers: dict[str, Callable[[IO[bytes]], Any]] = {
        ".parquet": table.write_parquet,
        ".csv": table.write_csv,
        ".tsv": partial(table.write_csv, separator="\t"),
        ".jsonl": table.write_ndjson,
        ".ndjson": table.write_ndjson,
    }
    for series in table.iter_columns():
        refused = {pl.Object} if path.suffix == ".parquet" else {pl.Object, pl.Binary}
        nested = series.dtype.is_nested() and path.suffix in CELLS
        if series.dtype in refused or nested:
            raise DataError(f"holds {_name_of(series.dtype)}", source=str(path), column=series.name,
                            expected="values that this format can hold")  # fmt: skip
    with atomic_file(path) as fresh, fresh.open("wb") as f:
        try:
            writers[path.suffix](f)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            why = " ".join(str(error).split())[:120]
            raise DataError(f"cannot be written: {why}", source=str(path)) from error
    return path
