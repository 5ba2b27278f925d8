"""A table on standard input, as a file for the readers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from augury.errors import DataError
from augury.runtime.disk import naming_path

STANDARD_INPUT = Path("-")


@contextmanager
def table_file(path: Path) -> Iterator[Path]:
    """Return the path of a table: itself, or a file with the contents of standard input."""
    if path != STANDARD_INPUT:
        yield path
        return
    data = sys.stdin.buffer.read()
    suffix = ".csv"
    if data[:4] == b"PAR1":
        suffix = ".parquet"
    elif data.lstrip()[:1] == b"{":
        suffix = ".jsonl"
    with TemporaryDirectory(prefix="augury-") as folder:
        file = Path(folder) / f"stdin{suffix}"
        with naming_path(file):
            file.write_bytes(data)
        try:
            yield file
        except DataError as error:
            raise DataError(
                error.problem,
                source="standard input",
                row=error.row,
                column=error.column,
                value=error.value,
                expected=error.expected,
            ) from error
