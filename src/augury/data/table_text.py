"""Text as a table: CSV and TSV with every cell as written, and JSON lines."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from typing import Any

import polars as pl

from augury.data.numbers import MISSING, with_decimal_points
from augury.data.schema import column_of
from augury.errors import DataError


def decode_table(data: bytes, source: str) -> str:
    """Decode the text of a table, UTF-8 or UTF-16.

    Raises:
        DataError: it is neither; it names the line.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # spreadsheets save "Unicode text" this way
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            pass
    return decode_utf8(data, source)


def decode_utf8(data: bytes, source: str, line: int = 1) -> str:
    """Decode UTF-8 text whose first line has this number.

    Raises:
        DataError: it names the line that is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"line {line + data[: error.start].count(10)} is not UTF-8",
            source=source,
            value=data[error.start : error.start + 1],
            expected="UTF-8 text",
        ) from error


def read_delimited(text: str, separator: str, source: str) -> pl.DataFrame:
    """Parse a table of text; cells stay as written, except numbers outside the schema's columns.

    Raises:
        DataError: the header repeats a name, or a row has more or fewer cells than the header.
    """
    text = _without_preamble(text)
    first = text.splitlines()[:1]
    header = next(csv.reader(first, delimiter=separator), [])
    decimal_comma = False
    if len(header) == 1 and separator == ",":
        for other in (";", "\t"):
            columns = next(csv.reader(first, delimiter=other), [])
            if len(columns) > 1:
                header, separator, decimal_comma = columns, other, other == ";"
                break
    header = [name.strip() for name in header]
    for name in header:
        if header.count(name) > 1:
            raise DataError(
                "duplicate column in the header",
                source=source,
                column=name,
                expected="unique names",
            )
    try:
        # Every cell as text, so that an error can name it; `cast_columns` makes the numbers.
        table = pl.read_csv(
            text.encode(),
            separator=separator,
            infer_schema=False,
        )
    except (
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
        UnicodeEncodeError,
    ) as error:
        _check_widths(text, separator, header, source)
        raise DataError(first_line(error), source=source, expected="a table") from error
    if table.width > 1 and table.to_series(-1).has_nulls():  # as in a row that ends too soon
        _check_widths(text, separator, header, source)
    if len(header) == table.width:
        table.columns = header
    if decimal_comma:
        table = pl.DataFrame([with_decimal_points(s, source) for s in table.iter_columns()])
    strangers = [s.name for s in table.iter_columns() if column_of(s.name) is None]
    return table.with_columns(_guessed(table[name]) for name in strangers)


def _without_preamble(text: str) -> str:
    """Drop blank lines and comments before the header."""
    while text and (text[0] == "#" or not text.partition("\n")[0].strip()):
        _, newline, rest = text.partition("\n")
        if not newline:
            return text
        text = rest
    return text


def _check_widths(text: str, separator: str, header: list[str], source: str) -> None:
    """Check that every row has one cell per name in the header; blank lines are skipped.

    A row with too few cells was cut off, perhaps within a number.

    Raises:
        DataError: it names the first row with more or fewer.
    """
    named = max((i for i, name in enumerate(header, 1) if name), default=0)
    for number, row in enumerate(_csv_rows(text, separator)):
        blank = len(row) < 2 and not "".join(row).strip()
        if not blank and not named <= len(row) <= len(header):
            raise DataError(
                f"has {len(row)} cell{'' if len(row) == 1 else 's'}",
                source=source,
                row=number,
                expected=f"{len(header)}, as in the header",
            )


def _csv_rows(text: str, separator: str) -> Iterator[list[str]]:
    """Yield rows up to the first that no CSV can contain."""
    try:
        yield from csv.reader(text.split("\n"), delimiter=separator)
    except csv.Error:
        return


def _guessed(series: pl.Series) -> pl.Series:
    """Convert an unknown text column to numbers if every filled cell is one."""
    values = series.str.strip_chars()
    values = values.set(values.is_in(MISSING), None)
    numbers = values.cast(pl.Float64, strict=False)
    if numbers.null_count() == values.null_count() and numbers.null_count() < len(numbers):
        return numbers
    return series


def read_json_lines(text: str, source: str) -> pl.DataFrame:
    """Parse a table with one object per line; a key that a line lacks is missing there.

    Raises:
        DataError: it names the line that is not an object.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), 1):  # U+2028 does not end a line
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # also integers of more than 4,300 digits
            raise DataError(
                f"line {number} is not JSON: {first_line(error)}",
                source=source,
                expected="one JSON object per line",
            ) from error
        if not isinstance(row, dict):
            raise DataError(
                f"line {number} is not an object",
                source=source,
                value=line[:40],
                expected="one JSON object per line",
            )
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    try:
        return pl.DataFrame([_json_column(name, [row.get(name) for row in rows]) for name in names])
    except UnicodeEncodeError as error:  # JSON can contain "\\ud800", which is not valid text
        raise DataError(
            "text contains an unpaired surrogate",
            source=source,
            value=ascii(error.object)[:60],
            expected="whole characters",
        ) from error


def _json_column(name: str, cells: list[Any]) -> pl.Series:
    kinds = {type(c) for c in cells if c is not None}
    if kinds and kinds <= {int, float}:
        return pl.Series(name, [None if c is None else _float(c) for c in cells], pl.Float64)
    if kinds == {bool}:
        return pl.Series(name, cells, pl.Boolean)
    texts = [c if c is None or isinstance(c, str) else json.dumps(c) for c in cells]
    return pl.Series(name, texts, pl.String)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def first_line(error: BaseException) -> str:
    """Return a library's error message as part of one line."""
    return " ".join(str(error).split("\n")[0].split())[:200]
