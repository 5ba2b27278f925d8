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
    there: Collection[str],
    needed: Iterable[str],
    mapped: Mapping[str, str],
    output: str | None = None,
) -> dict[str, str]:
    """Our column <- theirs, for columns that go by exactly one common name in the file.

    Args:
        there: the columns of the file.
        needed: columns that the command asks for. Where one of them stays missing nothing is
            guessed: the complaint then names the file's own columns.
        mapped: what `--map` says; nothing is guessed against it.
        output: the column to predict, which scores can stand in for.
    """
    known = set(there) | set(mapped)

    def common(ours: str) -> list[str]:
        return [n for n in COMMON_NAMES.get(ours, ()) if n in there and n not in mapped.values()]

    def guess(wanted: Iterable[str]) -> dict[str, str]:
        return {
            ours: common(ours)[0]
            for ours in COMMON_NAMES
            if ours in wanted and ours not in known and len(common(ours)) == 1
            if not (ours in DERIVED and len(DERIVED & known) >= 2)
        }

    def missing(found: Iterable[str]) -> set[str]:
        have = known | set(found)
        have |= DERIVED if len(DERIVED & have) >= 2 else set()
        return set(needed) & set(COMMON_NAMES) - have

    needed = set(needed)
    wanted = needed | ({output} if output is not None else set())
    found = guess(wanted)
    if missing(found):
        found = guess(wanted | DERIVED)
    return {} if missing(found) else found


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
