"""Numbers as people write them in tables: 70M, 1.4B, 70,000,000, 45 %, 3,77.

Ambiguous numbers are refused: "3,771" is 3.771 or 3,771, and only a column of large amounts settles
it.
"""

from __future__ import annotations

import re

import polars as pl

from augury.data.schema import AMOUNTS, SHARE, SHARES, Column
from augury.errors import DataError

# Words that mean a missing value in files where every cell is text.
MISSING = ("", "NA", "N/A", "na", "n/a", "null", "NULL", "None", "none", "-")
SUFFIX = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_SPACES = re.compile(r"(?<=\d)[ _'\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_SHORT = re.compile(
    r"(?P<number>[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)\s*(?P<suffix>[kmbgt])", re.IGNORECASE
)
_PERCENT = re.compile(r"(?P<number>[+-]?(\d+\.?\d*|\.\d+))\s*%")
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
# In files with decimal commas: 3,77 and 1.234,5 and 70.000.000
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+")
_DOTS = re.compile(r"[+-]?\d{1,3}(\.\d{3}){2,}")
_ONE_DOT = re.compile(r"[+-]?\d{1,3}\.\d{3}")


def read_cell(text: str, column: Column) -> float | None:
    """Parse the number in a cell; return None if it is not clearly one.

    Args:
        text: the cell, stripped of blanks.
        column: of the schema; its kind decides what is ambiguous.
    """
    plain = _SPACES.sub("", text)
    if _PLAIN.fullmatch(plain):
        return float(plain)
    if column.name in AMOUNTS:
        short = _SHORT.fullmatch(plain.replace(",", "") if _grouped_head(plain) else plain)
        if short is not None:
            return float(short["number"]) * SUFFIX[short["suffix"].lower()]
    if column.name in SHARES or column.name.startswith(SHARE):
        percent = _PERCENT.fullmatch(plain)
        if percent is not None:
            return float(percent["number"]) / 100
    if _GROUPED.fullmatch(plain) and (column.name in AMOUNTS or plain.count(",") > 1):
        return float(plain.replace(",", ""))
    return None


def _grouped_head(text: str) -> bool:
    return _GROUPED.fullmatch(text.rstrip("kKmMbBgGtT ")) is not None


def with_decimal_points(series: pl.Series, source: str) -> pl.Series:
    """Convert a text column with decimal commas to decimal points.

    Raises:
        DataError: "70.000" in a column with decimal commas: seventy, or seventy thousand.
    """
    cells = series.str.strip_chars()
    filled = cells.filter(cells.is_not_null() & ~cells.is_in(MISSING))
    commas = filled.filter(filled.str.contains(",", literal=True))
    dots = filled.filter(filled.str.contains(".", literal=True))
    several = [c for c in dots if _DOTS.fullmatch(c)]
    if not (len(commas) or several):
        return series
    if not all(_DECIMAL_COMMA.fullmatch(c) for c in commas):
        return series  # words that contain commas
    for row, cell in enumerate(cells, 1):
        if cell is not None and _ONE_DOT.fullmatch(cell):
            raise DataError("a point is the decimal point or separates thousands", source=source,
                            row=row, column=series.name, value=cell,
                            expected="one number format per file")  # fmt: skip
    return cells.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
