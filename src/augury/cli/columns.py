"""Common names of columns, guessed where ours are missing, and a table on standard input."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from augury.errors import DataError

STANDARD_INPUT = Path("-")
# What others call our columns. A name that could mean two things is not here.
COMMON_NAMES: Mapping[str, tuple[str, ...]] = {
    "params": ("N", "n_params", "num_params", "parameters", "n_parameters"),
    "tokens": ("D", "n_tokens", "num_tokens", "train_tokens", "training_tokens"),
    "flops": ("C", "compute", "train_flops", "training_flops"),
    "loss": ("val_loss", "final_loss", "eval_loss", "validation_loss"),
}
# Each follows from the two others: C = 6 N D.
DERIVED = frozenset({"params", "tokens", "flops"})


def guess_columns(
    there: Collection[str], needed: Iterable[str], mapped: Mapping[str, str]
) -> dict[str, str]:
    """Our column <- theirs, for needed columns that go by exactly one common name.

    Args:
        there: the columns of the file.
        needed: columns that the command asks for.
        mapped: what `--map` says; nothing is guessed against it.
    """
    known = set(there) | set(mapped)
    wanted = set(needed)
    if wanted & DERIVED - known and len(DERIVED & known) < 2:
        wanted |= DERIVED
    found = {}
    for ours, names in COMMON_NAMES.items():
        theirs = [n for n in names if n in there and n not in mapped.values()]
        derived = ours in DERIVED and len(DERIVED & known) >= 2
        if ours in wanted and ours not in known and not derived and len(theirs) == 1:
            found[ours] = theirs[0]
    return found


def column_names(path: Path) -> tuple[str, ...]:
    """The columns of a table file by its first line; () where that does not tell."""
    if path.is_dir():
        return ()
    import polars as pl

    try:
        if path.suffix.lower() == ".parquet":
            return tuple(pl.read_parquet_schema(path))
        with path.open(encoding="utf-8-sig") as lines:
            first = next((line for line in lines if line.strip()), "")
    except (OSError, ValueError, pl.exceptions.PolarsError):
        return ()  # reading it will say what is wrong
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        try:
            return tuple(json.loads(first))
        except (ValueError, TypeError):
            return ()
    rows = [next(csv.reader([first], delimiter=mark), []) for mark in ("\t", ",", ";")]
    return tuple(name.strip() for name in max(rows, key=len))


@contextmanager
def table_file(path: Path) -> Iterator[Path]:
    """The path of a table: itself, or a file that holds what came on standard input."""
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
