"""The user's own observation tables: CSV, TSV, Parquet and JSON lines, put together."""

from __future__ import annotations

from pathlib import Path

from augury.data.read import SUFFIXES, read_table, repeated_rows
from augury.data.readers.files import parse_json, read_content
from augury.data.readers.part import ModelInfo, Part
from augury.data.readers.reader import Reader


def fits(path: Path) -> bool:
    """Return whether a file in a folder may be a table."""
    return path.suffix.lower() in SUFFIXES


def read(path: Path) -> Part:
    """Read the rows of a table, which names its own models.

    Raises:
        DataError: as `read_table`.
    """
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for line, raw in enumerate(read_content(path).split(b"\n"), 1):
            if raw.strip():
                parse_json(raw, str(path), line)  # a duplicate key in a line would go unnoticed
    table = read_table(path)
    again = repeated_rows(table)
    return Part(
        path, ModelInfo(), table, ("",), notes=() if again is None else (f"{path}: {again}",)
    )


READER = Reader("table", fits, read, "observation tables: CSV, TSV, Parquet, JSON lines")
