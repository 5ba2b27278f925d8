"""Training logs: losses by step, from W&B exports (CSV, JSON lines) and TensorBoard event files.

Every column, key or tag with "loss" in its name is a loss; its name becomes `loss_set`. A chart
exported from W&B has a column "RUN - KEY" a run (with __MIN and __MAX beside it, which are left
out); a run's own history has `_step` and a column a key. A count of tokens seen ("tokens",
"total_tokens", "tokens_seen" ...) gives `tokens`. Where a step was logged twice, as after a
restart, the later line holds. A loss that is NaN, or infinite after a run diverged, is missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from augury.data.read import _delimited
from augury.data.readers.files import content, decoded, mapping, parsed, short
from augury.data.readers.part import Part, Said, guarded
from augury.data.readers.tensorboard import scalars
from augury.data.table import MISSING
from augury.errors import DataError

STEPS = ("_step", "step", "global_step", "trainer/global_step", "train/global_step", "iteration")
TOKENS = ("tokens", "total_tokens", "tokens_seen", "num_tokens", "num_input_tokens_seen",
          "consumed_tokens", "tokens_total")  # fmt: skip
BESIDE = ("__MIN", "__MAX")
# One step's losses and tokens, by run (None: the file's only one)
Logged = tuple[str | None, str, int, float | None, float | None]


def fits(path: Path) -> bool:
    """Whether a file in a folder may be one of these."""
    return path.suffix in (".csv", ".tsv", ".jsonl", ".ndjson") or "tfevents" in path.name


def read(paths: list[Path]) -> Iterator[Part | DataError]:
    """Parts of each file, one a run, or what is wrong with it."""
    for path in paths:
        parts = guarded(path, _parts)
        if isinstance(parts, DataError):
            yield parts
        else:
            yield from parts


def _parts(path: Path) -> list[Part]:
    source = str(path)
    if "tfevents" in path.name:
        logged = _events(path, source)
    elif path.suffix in (".csv", ".tsv"):
        logged = _table(path, source)
    else:
        logged = _lines(path, source)
    runs: dict[str | None, dict[tuple[str, int], tuple[float | None, float | None]]] = {}
    for run, name, step, loss, tokens in logged:
        if loss is not None and math.isfinite(loss) and loss <= 0:
            raise DataError(f"step {step}: the loss '{name}' is not positive", source=source,
                            value=loss, expected="a positive loss")  # fmt: skip
        runs.setdefault(run, {})[name, step] = (loss, tokens)
    parts = []
    for run, steps in runs.items():
        rows = [
            {"step": step, "tokens": tokens, "loss": loss, "loss_set": name}
            for (name, step), (loss, tokens) in steps.items()
            if loss is not None and math.isfinite(loss)
        ]
        lost = len(steps) - len(rows)
        notes = (f"{path.name}: {lost} losses are NaN, infinite or missing",) if lost else ()
        kinds = {"step": pl.Int64, "tokens": pl.Float64, "loss": pl.Float64, "loss_set": pl.String}
        if rows:
            parts.append(Part(path, Said(run), pl.DataFrame(rows, kinds), ("",), notes=notes))
    if not parts:
        raise DataError("there are no losses", source=source,
                        expected="a column, key or tag with 'loss' in its name")  # fmt: skip
    return parts


def _is_loss(name: str) -> bool:
    return "loss" in name.lower() and not name.endswith(BESIDE)


def _is_tokens(name: str) -> bool:
    return name.lower().replace("_step", "").rsplit("/", 1)[-1].strip() in TOKENS


def _events(path: Path, source: str) -> list[Logged]:
    found = scalars(content(path), source)
    tokens = {s.step: s.value for s in found if _is_tokens(s.tag)}
    return [(None, s.tag, s.step, s.value, _known(tokens.get(s.step))) for s in found
            if _is_loss(s.tag)]  # fmt: skip


def _table(path: Path, source: str) -> list[Logged]:
    table = _delimited(
        decoded(content(path), source), "\t" if path.suffix == ".tsv" else ",", source
    )
    step_name = _step_of(table.columns, source)
    losses = [c for c in table.columns if _is_loss(c)]
    counts = next((c for c in table.columns if _is_tokens(c)), None)
    logged: list[Logged] = []
    for i, row in enumerate(table.iter_rows(named=True), 1):
        step = _step(row[step_name], source, i)
        tokens = _known(None if counts is None else _cell(row[counts], source, i, counts))
        for name in losses:
            # "RUN - train/loss"; a run's own name may hold " - " too.
            run, dash, key = name.rpartition(" - ")
            loss = _cell(row[name], source, i, name)
            if loss is not None or not dash:  # in a chart, a run has no value at another's steps
                logged.append((run if dash else None, key, step, loss, tokens))
    return logged


def _lines(path: Path, source: str) -> list[Logged]:
    logged: list[Logged] = []
    for line, raw in enumerate(content(path).split(b"\n"), 1):
        if not raw.strip():
            continue
        row = mapping(parsed(raw, source, line), source, f"line {line}")
        losses = [name for name in row if _is_loss(name)]
        if not losses:
            continue
        step = _step(row[_step_of(list(row), source, line)], source, line)
        counts = next((c for c in row if _is_tokens(c)), None)
        tokens = _known(None if counts is None else _cell(row[counts], source, line, counts))
        logged += [(None, n, step, _cell(row[n], source, line, n), tokens) for n in losses]
    return logged


def _step_of(names: list[str], source: str, row: int | None = None) -> str:
    by_lower = {n.lower(): n for n in names}
    for name in STEPS:
        if name in by_lower:
            return by_lower[name]
    raise DataError("there is no column of steps", source=source, row=row,
                    value=short(names[:8]), expected=f"one of {', '.join(STEPS)}")  # fmt: skip


def _step(value: Any, source: str, row: int) -> int:
    made = _cell(value, source, row, "step")
    if made is None or not 0 <= made <= 2**53 or made != int(made):
        raise DataError("not a step", source=source, row=row, value=short(value),
                        expected="a whole number of at least 0")  # fmt: skip
    return int(made)


def _cell(value: Any, source: str, row: int, name: str) -> float | None:
    """A number; W&B writes NaN and Infinity as text."""
    if value is None or (isinstance(value, str) and value.strip() in MISSING):
        return None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            made = float(value)
        except (ValueError, OverflowError):
            pass
        else:
            said = "inf" in str(value).lower()
            if math.isfinite(made) or math.isnan(made) or said:
                return None if math.isnan(made) else made
    raise DataError("not a number", source=source, row=row, column=name, value=short(value),
                    expected="a number")  # fmt: skip


def _known(tokens: float | None) -> float | None:
    return tokens if tokens is not None and math.isfinite(tokens) and tokens >= 0 else None
