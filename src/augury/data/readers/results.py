"""`read_results`: files of one kind become one observation table, or an error that names a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.data.read import SUFFIXES, read_table
from augury.data.readers.files import content, found, parsed
from augury.data.readers.models import Models, identities, who
from augury.data.readers.part import SCHEMA, Part, Said, guarded
from augury.data.schema import COLUMNS, KEY
from augury.data.table import checked, derived, typed, write_table
from augury.display import Card, Shown
from augury.errors import DataError, UsageError
from augury.runtime.atomic import atomic_file

# Module here, and the names in it of what says whether a file fits, and of what reads files
# (yielding a part or an error for each).
MODULES = {
    "lm-eval": ("lm_eval", "fits", "read"),
    "inspect": ("inspect_logs", "fits", "read"),
    "lighteval": ("lighteval", "fits", "read"),
    "humaneval": ("code", "fits_human_eval", "human_eval"),
    "evalplus": ("code", "fits_evalplus", "evalplus"),
    "bigcode": ("code", "fits_bigcode", "bigcode"),
    "loss": ("loss", "fits", "read"),
}
KINDS = (*MODULES, "table")
# What a part holds once per file: from the model, not from its rows.
IDENTITY = tuple(name for name in KEY if name not in SCHEMA)
Found = Iterator[Part | DataError]
SHOWN = 20  # lines of each list that are printed


@dataclass(frozen=True)
class Unresolved:
    """A model, or a file that names none, of which something is not known.

    Attributes:
        path: a file of it (the first).
        model: its name, if known.
        step: its checkpoint, if known.
        missing: which of model, params and step are not.
        files: how many files are like this.
    """

    path: Path
    model: str | None
    step: int | None
    missing: tuple[str, ...]
    files: int = 1

    def __str__(self) -> str:
        more = f" and {self.files - 1} more" if self.files > 1 else ""
        return f"{self.model or '?'}: {', '.join(self.missing)} not found ({self.path}{more})"


@dataclass(frozen=True)
class ReadResults(Shown):
    """What was read.

    Attributes:
        table: observation table; `file` says where each row is from. Rows with an `instance` are
            of single instances, the others are scores of whole tasks; `is_group` marks means over
            other tasks of the table.
        failures: one error for each file that could not be read (only with `keep_going`).
        unresolved: models of which parameters or step are not known.
        notes: what was left out, in words.
    """

    table: pl.DataFrame
    failures: tuple[DataError, ...] = field(default=())
    unresolved: tuple[Unresolved, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    def _card(self) -> Card:
        heading, *lost = str(self).splitlines()
        known = [c for c in self.table.columns if self.table[c].null_count() < self.table.height]
        return Card(heading, self.table.select(known), tuple(lost), self.table)

    def __str__(self) -> str:
        """How much was read, then what was not, in lines."""
        names = ("file", "model", "task", "metric")
        counts = [f"{self.table[c].n_unique():,} {c}s" for c in names if c in self.table.columns]
        lines = [f"{self.table.height:,} rows" + (f" ({', '.join(counts)})" if counts else "")]
        for what, items in (
            ("could not be read", self.failures),
            ("left unresolved", self.unresolved),
            ("left out", self.notes),
        ):
            if items:
                lines += [f"{len(items)} {what}:", *(f"  {item}" for item in items[:SHOWN])]
            if len(items) > SHOWN:
                lines.append(f"  ... and {len(items) - SHOWN} more (all with --json)")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """All but the table itself, for JSON."""
        return {
            "rows": self.table.height,
            "columns": self.table.columns,
            "failures": [str(f) for f in self.failures],
            "unresolved": [
                {**vars(u), "path": str(u.path), "missing": list(u.missing)}
                for u in self.unresolved
            ],
            "notes": list(self.notes),
        }


def write_results(found: ReadResults, path: str | Path) -> Path:
    """Write the table, whole or not at all: .parquet, .csv, .tsv or .jsonl.

    Raises:
        UsageError: the suffix is none of these, or the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.suffix != ".parquet":
        return write_table(found.table, path)
    # As `write_table`, without looking again at what was checked while it was read.
    with atomic_file(path) as fresh, fresh.open("wb") as f:
        found.table.write_parquet(f)
    return path


def read_results(
    kind: str,
    paths: str | Path | Sequence[str | Path],
    *,
    models: str | Path | None = None,
    keep_going: bool = False,
) -> ReadResults:
    """Read result files of another tool into one table.

    Model, family, step and size are taken from `models`, from the file's own words, and from the
    names of file and folders, in this order. Scores that are null or NaN are null in the table.

    Args:
        kind: one of `KINDS`.
        paths: files, or folders that are searched recursively for files of this kind.
        models: a table with the columns model and any of step, params, tokens, loss, family,
            tokens_per_step and others; a row without a step is for all checkpoints of its model.
        keep_going: read on after a file that is wrong, and list it in `failures`.

    Returns:
        `ReadResults`: the observation table, and lists of what could not be told or read.

    Raises:
        DataError: a file is wrong, two files hold the same measurement, or nothing could be read.
        UsageError: the kind is unknown, or `models` is given for tables.
    """
    if kind not in KINDS:
        raise UsageError(f"cannot read '{kind}': expected one of {', '.join(KINDS)}")
    if kind == "table" and models is not None:
        raise UsageError("a table says itself what its models are: `models` is for other kinds")
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    table_of_models = Models(None if models is None else Path(models))
    if kind == "table":
        fits: Callable[[Path], bool] = lambda p: p.suffix.lower() in SUFFIXES  # noqa: E731
        read: Callable[[list[Path]], Found] = _tables
    else:
        name, fitting, reading = MODULES[kind]
        module = import_module(f"augury.data.readers.{name}")
        fits, read = getattr(module, fitting), getattr(module, reading)
    parts: list[Part] = []
    failures: list[DataError] = []
    for item in read(found([Path(p) for p in given], fits)):
        if isinstance(item, Part):
            parts.append(item)
        elif keep_going:
            failures.append(item)
        else:
            raise item
    known = [who(part.said, part.path, table_of_models) for part in parts]
    twice = _overlaps(parts, [w.columns for w in known])
    if twice and not keep_going:
        raise next(iter(twice.values()))
    failures.extend(twice.values())
    kept = [i for i in range(len(parts)) if i not in twice]
    if not kept:
        raise DataError(
            "nothing could be read" + (f": {failures[0]}" if failures else ""),
            source=str(given[0]),
            expected=f"files of kind {kind}",
        )
    missing: dict[tuple[Any, ...], Unresolved] = {}
    for i in kept:
        columns = known[i].columns
        lost = tuple(c for c in known[i].missing if c not in parts[i].rows.columns)
        if lost:
            model, step = columns.get("model"), columns.get("step")
            key = (model or parts[i].path, step, lost)
            before = missing.get(key)
            count = 1 if before is None else before.files + 1
            first = parts[i].path if before is None else before.path
            missing[key] = Unresolved(first, model, step, lost, count)
    table = _table([parts[i] for i in kept], [known[i].columns for i in kept])
    notes = tuple(dict.fromkeys(n for i in kept for n in parts[i].notes))
    return ReadResults(table, tuple(failures), tuple(missing.values()), notes)


def _table(parts: list[Part], known: list[dict[str, Any]]) -> pl.DataFrame:
    rows = _concat([p.rows for p in parts])
    for name in dict.fromkeys(n for p in parts for n in p.numbers):
        column = [_column(p, name) for p in parts]
        rows = rows.with_columns(pl.Series(name, np.concatenate(column), nan_to_null=True))
    which = np.repeat(np.arange(len(parts), dtype=np.uint32), [p.rows.height for p in parts])
    files = pl.DataFrame({"file": [str(p.path) for p in parts]})
    said = pl.concat([identities(known), files], how="horizontal")
    said = said.drop([c for c in said.columns if c in rows.columns])
    table = pl.concat([said[which], rows], how="horizontal")
    if {"tokens_per_step", "step"} <= set(table.columns):
        seen = pl.col("tokens_per_step") * pl.col("step")
        given = [pl.col("tokens")] if "tokens" in table.columns else []
        table = table.with_columns(tokens=pl.coalesce(*given, seen)).drop("tokens_per_step")
    table = derived(typed(table, None))
    empty = [s.name for s in table.iter_columns() if s.null_count() == len(s) and s.name != "value"]
    order_of = {c.name: i for i, c in enumerate(COLUMNS)}
    names = sorted(set(table.columns) - set(empty), key=lambda c: order_of.get(c, len(order_of)))
    # Identity was looked at file by file: this is for what values may be.
    checked(table.select(c for c in names if c not in ("model", "run")))
    return table.select(names)


def _column(part: Part, name: str) -> NDArray[np.float64]:
    if name in part.numbers:
        return part.numbers[name]
    if name in part.rows.columns:
        return part.rows[name].cast(pl.Float64).to_numpy()
    return np.full(part.rows.height, np.nan)


def _concat(frames: list[pl.DataFrame]) -> pl.DataFrame:
    if all(f.columns == frames[0].columns for f in frames):
        return pl.concat(frames)
    return pl.concat(frames, how="diagonal_relaxed")


def _overlaps(parts: list[Part], known: list[dict[str, Any]]) -> dict[int, DataError]:
    """Parts that hold a measurement which an earlier part holds already, each with its error."""
    same_model: dict[tuple[Any, ...], list[int]] = {}
    for i, (part, columns) in enumerate(zip(parts, known, strict=True)):
        if "model" in columns or "model" in part.rows.columns:
            single = "instance" in part.rows.columns
            identity = (*map(columns.get, IDENTITY), single)
            same_model.setdefault(identity, []).append(i)
    holders: dict[tuple[Any, ...], list[int]] = {}
    for identity, together in same_model.items():
        if len(together) > 1:
            for i in together:
                for task in parts[i].tasks:
                    holders.setdefault((*identity, task), []).append(i)
    twice: dict[int, DataError] = {}
    for (*_, task), together in holders.items():
        if len(together) < 2:
            continue
        seen: list[tuple[int, pl.DataFrame]] = []
        for i in together:
            own = parts[i].rows.filter(task=task) if task else parts[i].rows
            for j, before in seen:
                on = [k for k in KEY if k in own.columns and k in before.columns]
                same = own.join(before, on=on, how="semi", nulls_equal=True)
                if same.height:
                    metric = same["metric"][0] if "metric" in same.columns else "loss"
                    twice[i] = DataError(
                        f"the same measurement as in {parts[j].path} ({task or ''} {metric})",
                        source=str(parts[i].path),
                        expected="every measurement once; leave one of the files out, or say in"
                        " models.csv or the folders' names what tells them apart",
                    )
                    break
            if i in twice:
                continue
            seen.append((i, own))
    return twice


def _tables(paths: list[Path]) -> Found:
    return (guarded(path, _one_table) for path in paths)


def _one_table(path: Path) -> Part:
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for line, raw in enumerate(content(path).split(b"\n"), 1):
            if raw.strip():
                parsed(raw, str(path), line)  # a key twice in a line would go unseen
    return Part(path, Said(), read_table(path), ("",))
