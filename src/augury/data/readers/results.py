"""`read_results`: files of one kind become one observation table, or an error that names a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.data.metrics import higher_is_better
from augury.data.readers.files import find_files
from augury.data.readers.models import Models, ResolvedModel, identity_frame, resolve_model
from augury.data.readers.overlaps import Overlap, find_overlaps, setting_of
from augury.data.readers.part import ForeignFileError, LeftOut, Part
from augury.data.readers.reader import Reader, find_reader
from augury.data.readers.workers import read_files
from augury.data.schema import COLUMNS
from augury.data.table import (
    cast_columns,
    check_table,
    check_table_path,
    fill_compute,
    write_table,
)
from augury.display import Card, Shown
from augury.errors import DataError, UsageError
from augury.runtime.atomic import atomic_file

SHOWN = 20  # lines of each list that are printed


@dataclass(frozen=True)
class Unresolved:
    """A model, or a file that names none, about which something is unknown.

    Attributes:
        path: a file of it (the first).
        model: its name, if known.
        step: its checkpoint, if known.
        missing: which of model, params and step are unknown.
        files: number of files like this.
        why: why, if the name contains something like it.
    """

    path: Path
    model: str | None
    step: int | None
    missing: tuple[str, ...]
    files: int = 1
    why: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = f" and {self.files - 1} more" if self.files > 1 else ""
        why = f": {'; '.join(self.why)}" if self.why else ""
        return f"{self.model or '?'}: {', '.join(self.missing)} not found{why} ({self.path}{more})"


@dataclass(frozen=True)
class ReadResults(Shown):
    """The result of reading files.

    Attributes:
        table: observation table; `file` gives the source of each row. Rows with an `instance` are
            of single instances, the others are scores of whole tasks; `is_group` marks means over
            other tasks of the table.
        failures: one error per file that could not be read (only with `keep_going`).
        unresolved: models whose parameters or step are unknown.
        notes: remarks on the files, in words.
        left_out: what is in the files but not in the table: file, key, value, and why.
    """

    table: pl.DataFrame
    failures: tuple[DataError, ...] = field(default=())
    unresolved: tuple[Unresolved, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    left_out: tuple[LeftOut, ...] = field(default=())

    def _card(self) -> Card:
        heading, *lost = str(self).splitlines()
        known = [c for c in self.table.columns if self.table[c].null_count() < self.table.height]
        return Card(heading, self.table.select(known), tuple(lost), self.table)

    def __str__(self) -> str:
        """List how much was read, then what was not."""
        names = ("file", "model", "task", "metric")
        counts = [f"{self.table[c].n_unique():,} {c}s" for c in names if c in self.table.columns]
        lines = [f"{self.table.height:,} rows" + (f" ({', '.join(counts)})" if counts else "")]
        for what, items in (
            ("could not be read", self.failures),
            ("left unresolved", self.unresolved),
            ("left out", self.left_out),
            ("to know", self.notes),
        ):
            if items:
                lines += [f"{len(items)} {what}:", *(f"  {item}" for item in items[:SHOWN])]
            if len(items) > SHOWN:
                lines.append(f"  ... and {len(items) - SHOWN} more (all with --json)")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the table, for JSON."""
        return {
            "rows": self.table.height,
            "columns": self.table.columns,
            "failures": [str(f) for f in self.failures],
            "unresolved": [
                {**vars(u), "path": str(u.path), "missing": list(u.missing), "why": list(u.why)}
                for u in self.unresolved
            ],
            "notes": list(self.notes),
            "left_out": [{**vars(x), "path": str(x.path)} for x in self.left_out],
        }


def write_results(found: ReadResults, path: str | Path) -> Path:
    """Write the table, whole or not at all: .parquet, .csv, .tsv or .jsonl.

    Raises:
        UsageError: the suffix is none of these, or the folder does not exist.
    """
    path = Path(path)
    check_table_path(path)
    if path.suffix != ".parquet":
        return write_table(found.table, path)
    # As `write_table`, without repeating the checks made while reading.
    with atomic_file(path) as fresh, fresh.open("wb") as f:
        found.table.write_parquet(f)
    return path


def read_results(
    kind: str | Reader,
    paths: str | Path | Sequence[str | Path],
    *,
    models: str | Path | None = None,
    keep_going: bool = False,
    newest: bool = False,
    variant: Sequence[str] = (),
) -> ReadResults:
    """Read result files of another tool into one table.

    Model, family, step and size are taken from `models`, the file's contents, and the names of file
    and folders, in this order. Scores that are null or NaN are null in the table. A field that
    cannot be read is left out and listed in `left_out`; the rest of its file is read.

    Args:
        kind: one of `kinds()`, or a reader of your own.
        paths: files, or folders that are searched recursively for files of this kind.
        models: a table with the columns model and any of step, params, tokens, loss, family,
            tokens_per_step and others; a row without a step applies to all checkpoints of its
            model.
        keep_going: continue after a file with an error, and list it in `failures`. Of measurements
            that two files share, the first is kept.
        newest: of measurements that two files share, keep the latest.
        variant: settings that distinguish two evaluations that look the same, such as "date",
            "lm_eval_version", "batch_size", "folder" or "file"; they go into the column `variant`.

    Returns:
        `ReadResults`: the observation table, and lists of what could not be resolved or read.

    Raises:
        DataError: a file is wrong, two files hold the same measurement, or nothing could be read.
        UsageError: the kind is unknown, or `models` is given for tables.

    Examples:
        >>> read = augury.read("lm-eval", "results")
        >>> read.table.select("task", "metric", "value").rows()
        [('piqa', 'acc', 0.68)]
    """
    reader = find_reader(kind) if isinstance(kind, str) else kind
    if reader.kind == "table" and models is not None:
        raise UsageError("a table names its own models: `models` is for other kinds")
    given = [Path(p) for p in ([paths] if isinstance(paths, str | Path) else paths)]
    table_of_models = Models(None if models is None else Path(models))
    parts, failures, left_out = _read_all(reader, given, keep_going)
    parts = [_with_variant(part, variant) for part in parts]
    known = [resolve_model(part.info, part.path, table_of_models) for part in parts]
    notes = [
        *(f"{models}: no file belongs to '{name}'" for name in table_of_models.unused),
        *_agree_on_sizes(parts, known),
    ]
    overlaps = find_overlaps(parts, [w.columns for w in known], newest=newest)
    if overlaps and not (keep_going or newest):
        raise overlaps[0].error
    if not newest:
        failures.extend(o.error for o in overlaps)
    left_out += [_overlapping(parts, o) for o in overlaps]
    for overlap in overlaps:
        parts[overlap.part] = _without(parts[overlap.part], overlap.rows)
    left_out += [x for part in parts for x in part.left_out]
    kept = [i for i, part in enumerate(parts) if part.rows.height]
    if not kept:
        raise DataError(
            "nothing could be read" + "".join(f": {x}" for x in [*failures, *left_out][:1]),
            source=str(given[0]),
            expected=f"files of kind {reader.kind}",
        )
    parts, known = [parts[i] for i in kept], [known[i] for i in kept]
    table = _table(parts, [w.columns for w in known])
    notes += [n for part in parts for n in part.notes]
    return ReadResults(
        table,
        tuple(failures),
        _unresolved(parts, known),
        tuple(dict.fromkeys(notes)),
        tuple(left_out),
    )


def _read_all(
    reader: Reader, given: list[Path], keep_going: bool
) -> tuple[list[Part], list[DataError], list[LeftOut]]:
    files = find_files(given, reader.matches)
    named = {path for path in given if path.is_file()}
    parts: list[Part] = []
    failures: list[DataError] = []
    foreign: list[tuple[Path, ForeignFileError]] = []
    for path, made in read_files(reader, files):
        if isinstance(made, list):
            parts += made
        elif isinstance(made, ForeignFileError) and path not in named:
            foreign.append((path, made))
        elif keep_going:
            failures.append(made)
        else:
            raise made
    if foreign and not parts and not failures:
        raise foreign[0][1]
    return parts, failures, [LeftOut(p, "the file", None, e.problem) for p, e in foreign]


def _with_variant(part: Part, names: Sequence[str]) -> Part:
    """Return the part with these settings in its column `variant`."""
    if not names:
        return part
    told = {name: setting_of(part, name) for name in names}
    before = part.info.columns.get("variant")
    texts = [*([before] if before else []), *(f"{k}={v}" for k, v in told.items() if v is not None)]
    columns = part.info.columns | ({"variant": ";".join(texts)} if texts else {})
    return replace(part, info=replace(part.info, columns=columns))


def _agree_on_sizes(parts: list[Part], known: list[ResolvedModel]) -> list[str]:
    """Give every model one size: one that a tool counted replaces one read from a name.

    Returns:
        Notes on models that were counted differently.
    """
    counted: dict[str, set[float]] = {}
    for told in known:
        if told.columns.get("params_kind") == "total":
            counted.setdefault(told.columns.get("model", ""), set()).add(told.columns["params"])
    for i, told in enumerate(known):
        sizes = counted.get(told.columns.get("model", ""), set())
        if len(sizes) == 1 and told.columns.get("params_kind") == "nominal":
            columns = told.columns | {"params": next(iter(sizes)), "params_kind": "total"}
            known[i] = replace(told, columns=columns)
    return [
        f"{model}: its files count {', '.join(f'{s:.6g}' for s in sorted(sizes))} parameters"
        for model, sizes in counted.items()
        if len(sizes) > 1
    ]


def _overlapping(parts: list[Part], overlap: Overlap) -> LeftOut:
    part = parts[overlap.part]
    count = len(overlap.rows)
    return LeftOut(
        part.path, f"{count} score{'s' if count > 1 else ''}", None, overlap.error.problem
    )


def _without(part: Part, rows: list[int]) -> Part:
    keep = np.ones(part.rows.height, bool)
    keep[rows] = False
    return replace(
        part,
        rows=part.rows.filter(pl.Series(keep)),
        numbers={name: values[keep] for name, values in part.numbers.items()},
    )


def _unresolved(parts: list[Part], known: list[ResolvedModel]) -> tuple[Unresolved, ...]:
    missing: dict[tuple[Any, ...], Unresolved] = {}
    for part, told in zip(parts, known, strict=True):
        lost = tuple(c for c in told.missing if c not in part.rows.columns)
        if lost:
            model, step = told.columns.get("model"), told.columns.get("step")
            key = (model or part.path, step, lost)
            before = missing.get(key)
            missing[key] = (
                Unresolved(part.path, model, step, lost, why=told.why)
                if before is None
                else replace(before, files=before.files + 1)
            )
    return tuple(missing.values())


def _table(parts: list[Part], known: list[dict[str, Any]]) -> pl.DataFrame:
    rows = _stack(parts)
    for name in dict.fromkeys(n for p in parts for n in p.numbers):
        column = [_column(p, name) for p in parts]
        rows = rows.with_columns(pl.Series(name, np.concatenate(column), nan_to_null=True))
    which = np.repeat(np.arange(len(parts), dtype=np.uint32), [p.rows.height for p in parts])
    files = pl.DataFrame({"file": [str(p.path) for p in parts]})
    about = pl.concat([identity_frame(known), files], how="horizontal")
    about = about.drop([c for c in about.columns if c in rows.columns])
    table = pl.concat([about[which], rows], how="horizontal")
    if {"tokens_per_step", "step"} <= set(table.columns):
        seen = pl.col("tokens_per_step") * pl.col("step")
        given = [pl.col("tokens")] if "tokens" in table.columns else []
        table = table.with_columns(tokens=pl.coalesce(*given, seen)).drop("tokens_per_step")
    table = _with_directions(fill_compute(cast_columns(table, None)))
    empty = [s.name for s in table.iter_columns() if s.null_count() == len(s) and s.name != "value"]
    order_of = {c.name: i for i, c in enumerate(COLUMNS)}
    names = sorted(set(table.columns) - set(empty), key=lambda c: order_of.get(c, len(order_of)))
    # Identity was checked file by file: this checks the values.
    check_table(table.select(c for c in names if c not in ("model", "run")))
    return table.select(names)


def _with_directions(table: pl.DataFrame) -> pl.DataFrame:
    """Add the direction of known metrics where the files do not give it."""
    if "metric" not in table.columns:
        return table
    known = {m: higher_is_better(m) for m in table["metric"].unique().drop_nulls()}
    told = pl.col("metric").replace_strict(known, default=None, return_dtype=pl.Boolean)
    given = [pl.col("higher_is_better")] if "higher_is_better" in table.columns else []
    return table.with_columns(higher_is_better=pl.coalesce(*given, told))


def _column(part: Part, name: str) -> NDArray[np.float64]:
    if name in part.numbers:
        return part.numbers[name]
    if name in part.rows.columns:
        return part.rows[name].cast(pl.Float64).to_numpy()
    return np.full(part.rows.height, np.nan)


def _stack(parts: list[Part]) -> pl.DataFrame:
    """Stack the rows of all parts; consecutive parts that share rows are copied at once."""
    frames: list[pl.DataFrame] = []
    i = 0
    while i < len(parts):
        rows, j = parts[i].rows, i + 1
        while j < len(parts) and parts[j].rows is rows:
            j += 1
        if j - i > 1:
            rows = rows[np.tile(np.arange(rows.height, dtype=np.uint32), j - i)]
        frames.append(rows)
        i = j
    if all(f.schema == frames[0].schema for f in frames):
        return pl.concat(frames)
    return pl.concat(frames, how="diagonal_relaxed")
