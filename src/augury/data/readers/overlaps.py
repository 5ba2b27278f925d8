"""One measurement in two files: found row by row, so that nothing else in them is lost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from augury.data.readers.models import STAMP
from augury.data.readers.part import SCHEMA, Part
from augury.data.schema import KEY
from augury.errors import DataError

# What a part holds once per file: about the model, not its rows. Where its name is known, its size
# does not make it another model.
IDENTITY = tuple(name for name in KEY if name not in SCHEMA and name != "params")
_AT = "__at__"


@dataclass(frozen=True)
class Overlap:
    """Rows of a part that an earlier part already has.

    Attributes:
        part: index of the part.
        rows: (n,) their positions in it.
        error: which measurement, and what to do.
    """

    part: int
    rows: list[int]
    error: DataError


def find_overlaps(
    parts: Sequence[Part], known: Sequence[Mapping[str, Any]], *, newest: bool = False
) -> list[Overlap]:
    """Find measurements in more than one file, with the positions of all but the first.

    Args:
        parts: what was read.
        known: what is known about each part's model.
        newest: whether the file of the latest date counts as the first, not the first in order.
    """
    same_model: dict[tuple[Any, ...], list[int]] = {}
    for i, (part, columns) in enumerate(zip(parts, known, strict=True)):
        if part.rows.height and ("model" in columns or "model" in part.rows.columns):
            single = "instance" in part.rows.columns
            same_model.setdefault((*map(columns.get, IDENTITY), single), []).append(i)
    holders: dict[tuple[Any, ...], list[int]] = {}
    for identity, together in same_model.items():
        if len(together) > 1:
            for i in together:
                for task in parts[i].tasks:
                    holders.setdefault((*identity, task), []).append(i)
    lost: dict[int, Overlap] = {}
    for (*_, task), together in holders.items():
        if len(together) < 2:
            continue
        if newest:
            together = sorted(together, key=lambda i: date_of(parts[i]), reverse=True)
        seen: list[tuple[int, pl.DataFrame]] = []
        for i in together:
            own = parts[i].rows.with_row_index(_AT)
            own = own.filter(task=task) if task else own
            for j, before in seen:
                on = [k for k in KEY if k in own.columns and k in before.columns]
                same = own.join(before, on=on, how="semi", nulls_equal=True)
                if same.height:
                    own = own.join(same.select(_AT), on=_AT, how="anti")
                    error = _error(parts[i], parts[j], task, same)
                    rows = same[_AT].to_list()
                    there = lost.get(i)
                    lost[i] = (
                        Overlap(i, rows, error)
                        if there is None
                        else replace(there, rows=[*there.rows, *rows])
                    )
            seen.append((i, own))
    return [lost[i] for i in sorted(lost)]


def date_of(part: Part) -> float:
    """Return when a file's evaluation was done, by its contents, its name or its own date."""
    date = part.info.settings.get("date")
    if isinstance(date, int | float):
        return float(date)
    stamp = STAMP.search(part.path.name)
    if stamp is not None:
        digits = [int(x) for x in re.findall(r"\d+", stamp.group())]
        return _seconds(digits)
    try:
        return part.path.stat().st_mtime
    except OSError:
        return 0.0


def _seconds(digits: list[int]) -> float:
    from datetime import UTC, datetime

    year, month, day, hour, minute, second = digits[:6]
    fraction = float(f"0.{digits[6]}") if len(digits) > 6 else 0.0
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp() + fraction
    except ValueError:
        return 0.0


def _error(part: Part, first: Part, task: str, same: pl.DataFrame) -> DataError:
    metric = same["metric"][0] if "metric" in same.columns else "loss"
    differing = settings_that_differ(part, first)
    remedy = (
        f"--variant {differing[0]} keeps both (they differ in {', '.join(differing)}), "
        "--newest the later one"
        if differing
        else "--newest keeps the later one, --variant file both"
    )
    return DataError(
        f"the same measurement as in {first.path} ({task or ''} {metric})",
        source=str(part.path),
        expected=f"each measurement once; {remedy}",
    )


def settings_that_differ(a: Part, b: Part) -> list[str]:
    """Return the names of settings that two files both give, with different values."""
    names = [n for n in a.info.settings if a.info.settings[n] != b.info.settings.get(n)]
    if a.path.parent != b.path.parent:
        names.append("folder")
    return names


def setting_of(part: Part, name: str) -> str | None:
    """Look up a setting by name, as `--variant` names it."""
    if name == "file":
        return part.path.name
    if name == "folder":
        return Path(part.path).parent.name
    value = part.info.settings.get(name)
    return None if value is None else str(value)
