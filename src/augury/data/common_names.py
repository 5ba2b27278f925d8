"""Common names of columns, guessed where a table lacks Augury's own."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import polars as pl

# What other tools call these columns, in lower case with underscores; single letters as they are.
# Ambiguous names are left out.
COMMON_NAMES: Mapping[str, tuple[str, ...]] = {
    "params": (
        *("N", "params", "n_params", "num_params", "parameters", "n_parameters"),
        *("num_parameters", "non_embedding_params", "model_size"),
    ),
    "tokens": ("D", "tokens", "n_tokens", "num_tokens", "train_tokens", "training_tokens"),
    "flops": ("C", "flops", "compute", "train_flops", "training_flops", "training_flop"),
    "value": ("value", "score", "accuracy", "acc"),
    "loss": ("loss", "val_loss", "final_loss", "eval_loss", "validation_loss", "final_val_loss"),
}
SYMBOLS = ("N", "D", "C")
# Words in these names that carry no meaning on their own.
GENERAL_WORDS = frozenset(("n", "num", "final", "val", "eval", "validation", "train"))
GENERAL_WORDS |= {"training", "model", "non", "embedding"}
PER = "per"
UNITS = {"m": "1e6", "million": "1e6", "millions": "1e6", "b": "1e9", "billion": "1e9"}
UNITS |= {"billions": "1e9", "t": "1e12", "trillion": "1e12", "trillions": "1e12"}
# Each follows from the other two: C = 6 N D.
SCALES = ("params", "tokens", "flops")
DERIVED = frozenset(SCALES)


def guess_all(there: Collection[str]) -> dict[str, str]:
    """Guess our column <- the file's, for all with exactly one common name in the file."""
    found: dict[str, str] = {}
    for ours in COMMON_NAMES:
        found |= guess_columns(there, [ours], found)
    return found


def guess_columns(
    there: Collection[str],
    needed: Iterable[str],
    mapped: Mapping[str, str],
    output: str | None = None,
) -> dict[str, str]:
    """Guess Augury's column <- the file's, for columns with exactly one common name in the file.

    Args:
        there: the columns of the file.
        needed: columns that are asked for. If one of them is still missing, nothing is guessed: the
            error then names the file's own columns.
        mapped: what is mapped already; no guess contradicts it.
        output: the column to predict, which scores can replace.
    """
    known = set(there) | set(mapped)

    def common(ours: str) -> list[str]:
        return [n for n in there if n not in mapped.values() and _is_common_name(n, ours)]

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


def likely_missed(there: Collection[str], wished: Iterable[str]) -> dict[str, str]:
    """Return options for columns that a table lacks and that another of its columns looks like."""
    if len(DERIVED & set(there)) >= 2:
        return {}
    others = [name for name in there if name not in COMMON_NAMES]
    found = {name: mapping_like(others, name) for name in wished if name not in there}
    return {name: options for name, options in found.items() if options is not None}


def mapping_like(there: Iterable[str], ours: str) -> str | None:
    """Return options for a missing column: --map "params=Params (M)" --scale params=1e6."""
    words = {w for name in COMMON_NAMES.get(ours, (ours,)) for w in plain_name(name).split("_")}
    words -= GENERAL_WORDS
    # "tokens_per_step" is another quantity.
    alike = {n: words & found for n in there if PER not in (found := _words_of(n))}
    best = max(alike, key=lambda name: len(alike[name]), default=None)
    if best is None or not alike[best]:
        return None
    units = {UNITS[w] for w in _words_of(best) if w in UNITS}
    scale = f" --scale {ours}={units.pop()}" if len(units) == 1 else ""
    return f'--map "{ours}={best}"{scale}'


def _words_of(name: str) -> set[str]:
    return {w if w in SYMBOLS else w.lower() for w in re.split(r"[\W_]+", name)}


def _is_common_name(name: str, ours: str) -> bool:
    """Return whether a column has one of our common names, or two: "N", "N (params)"."""
    names = COMMON_NAMES.get(ours, ())
    both = re.fullmatch(r"(.+?)\s*[(\[](.+)[)\]]", name.strip())
    # Anything else in brackets is a unit, which is not guessed.
    return all(plain_name(x) in names for x in (both.groups() if both else (name,)))


def plain_name(name: str) -> str:
    """Return a name in lower case with underscores: "# Model Size" as "model_size"; N stays N."""
    name = name.strip().removeprefix("#").strip()
    return name if len(name) == 1 else re.sub(r"[\s_-]+", "_", name).lower()


def column_names(path: Path) -> tuple[str, ...]:
    """Return the column names in the first line of a table file; () if they cannot be read."""
    if path.is_dir():
        return ()
    try:
        if path.suffix.lower() == ".parquet":
            return tuple(pl.read_parquet_schema(path))
        with path.open(encoding="utf-8-sig") as lines:
            first = next((x for x in lines if x.strip() and x[0] != "#"), "")
    except (OSError, ValueError, pl.exceptions.PolarsError):
        return ()  # reading it will report what is wrong
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        try:
            return tuple(json.loads(first))
        except (ValueError, TypeError):
            return ()
    rows = [next(csv.reader([first], delimiter=mark), []) for mark in ("\t", ",", ";")]
    return tuple(name.strip() for name in max(rows, key=len))
