"""Training logs: losses by step, from W&B exports (CSV, JSON lines) and TensorBoard event files.

Every column, key or tag with "loss" in its name is a loss; its name becomes `loss_set`. Loss
scales, perplexities, and spreads or counts of losses are not losses; they are left out and listed.
A chart exported from W&B has one column "RUN - KEY" per run (with __MIN and __MAX beside it, which
are left out); a run's own history has `_step` and one column per key. A count of tokens seen
("tokens", "total_tokens", "tokens_seen" ...) gives `tokens`, as does a tag "LOSS vs tokens" of
Megatron, whose steps are tokens. If a step was logged twice, as after a restart, the later line
counts. A loss that is NaN, or infinite after a run diverged, is missing.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from augury.data.metrics import why_not_a_score
from augury.data.numbers import MISSING
from augury.data.readers.files import lines_of, read_content, shorten
from augury.data.readers.part import ForeignFileError, LeftOut, ModelInfo, Part
from augury.data.readers.reader import Reader
from augury.data.readers.tensorboard import Scalar, read_scalars
from augury.data.table_text import decode_utf8, read_delimited
from augury.errors import DataError

STEPS = ("_step", "step", "global_step", "trainer/global_step", "train/global_step", "iteration")
TOKENS = ("tokens", "total_tokens", "tokens_seen", "num_tokens", "num_input_tokens_seen",
          "consumed_tokens", "tokens_total")  # fmt: skip
BESIDE = ("__MIN", "__MAX")
VERSUS = re.compile(r"\s+vs\.?\s+(?P<axis>tokens|samples)$", re.IGNORECASE)
LOSS_SCALE = re.compile(r"loss[-_ ]?scal(e|er|ing)$", re.IGNORECASE)
PERPLEXITY = re.compile(r"(^|[^a-z])(ppl|perplexity)([^a-z]|$)", re.IGNORECASE)
# One step's losses and tokens, by run (None: the file's only one)
Logged = tuple[str | None, str, int, float | None, float | None]


@dataclass
class OddFields:
    """What was left out of a file: each kind once, with its first value and how often."""

    path: Path
    found: dict[tuple[str, str], tuple[str | None, int]] = field(default_factory=dict)

    def leave(self, key: str, value: Any, why: str) -> None:
        first, count = self.found.get((key, why), (shorten(value), 0))
        self.found[key, why] = (first, count + 1)

    def listed(self) -> tuple[LeftOut, ...]:
        return tuple(
            LeftOut(self.path, key + (f" ({count} times)" if count > 1 else ""), first, why)
            for (key, why), (first, count) in self.found.items()
        )


def fits(path: Path) -> bool:
    """Return whether a file in a folder may be a training log."""
    return path.suffix in (".csv", ".tsv", ".jsonl", ".ndjson") or "tfevents" in path.name


def read(path: Path) -> Sequence[Part]:
    """Read the parts of a file, one per run.

    Raises:
        DataError: the file holds no loss.
    """
    source = str(path)
    odd = OddFields(path)
    torn: list[LeftOut] = []
    notes: list[str] = []
    if "tfevents" in path.name:
        logged = _events(path, source, odd, torn)
    elif path.suffix in (".csv", ".tsv"):
        logged = _table(path, source, odd, notes, torn)
    else:
        logged = _lines(path, odd, torn)
    runs: dict[str | None, dict[tuple[str, int], tuple[float | None, float | None]]] = {}
    for run, name, step, loss, tokens in logged:
        if loss is not None and math.isfinite(loss) and loss <= 0:
            odd.leave(name, loss, "a loss that is not positive")
            continue
        runs.setdefault(run, {})[name, step] = (loss, tokens)
    parts = []
    left_out = (*odd.listed(), *torn)
    for run, steps in runs.items():
        rows = [
            {"step": step, "tokens": tokens, "loss": loss, "loss_set": name}
            for (name, step), (loss, tokens) in steps.items()
            if loss is not None and math.isfinite(loss)
        ]
        lost = len(steps) - len(rows)
        lost_note = (f"{path.name}: {lost} losses are NaN, infinite or missing",) if lost else ()
        kinds = {"step": pl.Int64, "tokens": pl.Float64, "loss": pl.Float64, "loss_set": pl.String}
        if rows:
            frame = pl.DataFrame(rows, kinds)
            parts.append(Part(path, ModelInfo(run), frame, ("",), notes=(*lost_note, *notes),
                              left_out=left_out))  # fmt: skip
            left_out = ()
    if not parts:
        kind = DataError if logged or left_out else ForeignFileError
        raise kind(
            "no losses",
            source=source,
            value=str(left_out[0]) if left_out else None,
            expected="a column, key or tag with 'loss' in its name",
        )
    return parts


READER = Reader("loss", fits, read, "training losses of W&B and TensorBoard")


def _is_loss(name: str) -> bool:
    return "loss" in name.lower() and not name.endswith(BESIDE) and _why_no_loss(name) is None


def _why_no_loss(name: str) -> str | None:
    """Return why something with "loss" in its name is not a loss."""
    last = name.rsplit("/", 1)[-1]
    if LOSS_SCALE.search(last):
        return "a loss scale is not a loss"
    if PERPLEXITY.search(last):
        return "a perplexity is not a loss"
    if VERSUS.search(last):
        return "the same loss against another axis"
    return why_not_a_score(last)


def _list_others(names: Sequence[str], odd: OddFields) -> None:
    """List names that contain "loss" but are not losses."""
    for name in names:
        if "loss" in name.lower() and not name.endswith(BESIDE):
            why = _why_no_loss(name)
            if why is not None:
                odd.leave(name, None, why)


def _is_tokens(name: str) -> bool:
    return name.lower().replace("_step", "").rsplit("/", 1)[-1].strip() in TOKENS


def _events(path: Path, source: str, odd: OddFields, torn: list[LeftOut]) -> list[Logged]:
    found, cut = read_scalars(read_content(path), source)
    if cut is not None:
        torn.append(LeftOut(path, f"record {cut}", None, "the last record is cut off"))
    tags: dict[str, list[Scalar]] = {}
    for scalar in found:
        tags.setdefault(scalar.tag, []).append(scalar)
    _list_others([*tags], odd)
    tokens = {s.step: s.value for s in found if _is_tokens(s.tag)}
    seen = {tag: tokens or _tokens_beside(tag, tags) for tag in tags if _is_loss(tag)}
    return [
        (None, s.tag, s.step, s.value, _known(seen[s.tag].get(s.step)))
        for s in found
        if s.tag in seen
    ]


def _tokens_beside(tag: str, tags: dict[str, list[Scalar]]) -> dict[int, float]:
    """Return step -> tokens of a loss that is also logged against tokens, if the same."""
    for other, scalars in tags.items():
        versus = VERSUS.search(other)
        if versus is None or versus["axis"].lower() != "tokens":
            continue
        own = tags[tag]
        if other[: versus.start()] == tag and [s.value for s in own] == [s.value for s in scalars]:
            return {a.step: float(b.step) for a, b in zip(own, scalars, strict=True)}
    return {}


def _table(
    path: Path, source: str, odd: OddFields, notes: list[str], torn: list[LeftOut]
) -> list[Logged]:
    whole = _without_torn_end(decode_utf8(read_content(path), source), path, torn)
    text, again = _named_apart(whole, path.suffix == ".tsv")
    notes += [
        f"{path.name}: several runs are called '{name}': distinguished by position"
        for name in again
    ]
    table = read_delimited(text, "\t" if path.suffix == ".tsv" else ",", source)
    losses = [c for c in table.columns if _is_loss(c)]
    _list_others(table.columns, odd)
    if not losses:
        return []
    step_name = _step_of(table.columns, source)
    counts = next((c for c in table.columns if _is_tokens(c)), None)
    logged: list[Logged] = []
    for i, row in enumerate(table.iter_rows(named=True), 1):
        step = _step(row[step_name])
        if step is None:
            odd.leave(f"row {i}, column '{step_name}'", row[step_name], "is not a step")
            continue
        tokens = _known(None if counts is None else _cell(row[counts], odd, counts))
        for name in losses:
            # "RUN - train/loss"; a run's own name may hold " - " too.
            run, dash, key = name.rpartition(" - ")
            loss = _cell(row[name], odd, name)
            if (
                loss is not None or not dash
            ):  # in a chart, a run has no value at another run's steps
                logged.append((run if dash else None, key, step, loss, tokens))
    return logged


def _without_torn_end(text: str, path: Path, torn: list[LeftOut]) -> str:
    """Drop a last line with fewer cells than the header and no end, as from a killed run."""
    kept, newline, last = text.rpartition("\n")
    tabs = path.suffix == ".tsv"
    names, cells = (_cells(line, tabs) for line in (text.partition("\n")[0], last))
    if not newline or not last.strip() or len(cells) >= len(names):
        return text
    where = f"line {kept.count(newline) + 2}"
    torn.append(LeftOut(path, where, last[:40], "the last line is cut off"))
    return kept + newline


def _cells(line: str, tabs: bool) -> list[str]:
    """Split a line; a carriage return inside it, of which csv makes an error, is left out."""
    return next(csv.reader([line.replace("\r", "")], delimiter="\t" if tabs else ","), [])


def _named_apart(text: str, tabs: bool) -> tuple[str, list[str]]:
    """Rename "RUN - KEY" in the header to "RUN #2 - KEY" where a run occurs twice."""
    head, newline, rest = text.partition("\n")
    names = _cells(head, tabs)
    if len(set(names)) == len(names):
        return text, []
    seen: Counter[str] = Counter()
    apart = []
    for name in names:
        seen[name] += 1
        run, dash, key = name.rpartition(" - ")
        apart.append(f"{run} #{seen[name]} - {key}" if dash and seen[name] > 1 else name)
    again = dict.fromkeys(n.rpartition(" - ")[0] for n in names if seen[n] > 1 and " - " in n)
    into = io.StringIO()
    csv.writer(into, delimiter="\t" if tabs else ",", lineterminator="").writerow(apart)
    return into.getvalue() + newline + rest, [*again]


def _lines(path: Path, odd: OddFields, torn: list[LeftOut]) -> list[Logged]:
    logged: list[Logged] = []
    for line, row in lines_of(path, read_content(path), torn):
        if not isinstance(row, dict):
            odd.leave(f"line {line}", row, "is not an object")
            continue
        losses = [name for name in row if _is_loss(name)]
        _list_others([*row], odd)
        if not losses:
            continue
        step_name = _step_of(list(row), str(path), line)
        step = _step(row[step_name])
        if step is None:
            odd.leave(f"line {line}: '{step_name}'", row[step_name], "is not a step")
            continue
        counts = next((c for c in row if _is_tokens(c)), None)
        tokens = _known(None if counts is None else _cell(row[counts], odd, counts))
        logged += [(None, n, step, _cell(row[n], odd, n), tokens) for n in losses]
    return logged


def _step_of(names: list[str], source: str, row: int | None = None) -> str:
    by_lower = {n.lower(): n for n in names}
    for name in STEPS:
        if name in by_lower:
            return by_lower[name]
    raise DataError("no column of steps", source=source, row=row,
                    value=shorten(names[:8]), expected=f"one of {', '.join(STEPS)}")  # fmt: skip


def _step(value: Any) -> int | None:
    made = _as_number(value)
    return int(made) if made is not None and 0 <= made <= 2**53 and made == int(made) else None


def _cell(value: Any, odd: OddFields, name: str) -> float | None:
    """Parse a number; W&B writes NaN and Infinity as text. Anything else is left out."""
    if value is None or (isinstance(value, str) and value.strip() in MISSING):
        return None
    made = _as_number(value)
    if made is None:
        odd.leave(name, value, "is not a number")
        return None
    return None if math.isnan(made) else made


def _as_number(value: Any) -> float | None:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            made = float(value)
        except (ValueError, OverflowError):
            return None
        # "1e999" is not infinite, but a number too large for a float.
        if not math.isinf(made) or "inf" in str(value).lower():
            return made
    return None


def _known(tokens: float | None) -> float | None:
    return tokens if tokens is not None and math.isfinite(tokens) and tokens >= 0 else None
