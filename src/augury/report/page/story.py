"""What a page tells, as plain data: no fitting and no HTML happen here.

A story is an answer, the sections that back it, and where all of it came from. Sections are built
from results by the other modules of this room, or by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from augury.errors import UsageError
from augury.notes import Note

NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Figure:
    """A picture, in words too.

    Attributes:
        id: lower-case letters, digits and hyphens; unique on a page; names the files as well.
        title: what is seen, as a sentence or a heading.
        shows: how to read it.
        would_change: what observation or choice would make it look different.
        chart: an altair chart, `width="container"` or fixed, colours from `palette`.
        data: (rows) what is drawn, numbers and names, as the reader would want it in a CSV.
        alt: what somebody who cannot see it has to know; the finding, not the decoration.
    """

    id: str
    title: str
    shows: str
    would_change: str
    chart: Any
    data: pl.DataFrame
    alt: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.id):
            raise UsageError(
                f"figure id '{self.id}': expected lower-case letters, digits and hyphens"
            )
        for name in ("title", "shows", "would_change", "alt"):
            if not getattr(self, name).strip():
                raise UsageError(f"figure '{self.id}' has no text for '{name}'")
        nested = [c for c, kind in self.data.schema.items() if kind.is_nested()]
        if self.data.is_empty() or nested:
            raise UsageError(
                f"figure '{self.id}': its data must be rows of plain columns, not "
                + (f"lists in {', '.join(nested)}" if nested else "none")
            )


@dataclass(frozen=True)
class Table:
    """Numbers that are read, not seen: shown whole."""

    title: str
    data: pl.DataFrame


@dataclass(frozen=True)
class Section:
    """One part of the argument: paragraphs, figures, tables, and the notes on its numbers."""

    heading: str
    text: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Outlook:
    """One forecast as the page shows it, with the truth where it is known.

    Attributes:
        what: of which task, where: "rule at 105,280 parameters".
        value, interval, level: the forecast.
        extrapolation: in ranges of the data beyond it; 0 inside.
        truth: measured afterwards, by run; empty where nobody knows yet.
        made: when, or on what it rests ("from 6 smaller sizes").
        is_rate: a pass rate, to be said in per cent, or as 1 in so many.
    """

    what: str
    value: float
    interval: tuple[float, float]
    level: float
    extrapolation: float
    truth: tuple[float, ...] = ()
    made: str = ""
    is_rate: bool = False

    def say(self, x: float) -> str:
        """A value of this forecast in words."""
        return rate(x) if self.is_rate else number(x)

    @property
    def held(self) -> int | None:
        """How many of the true values lie inside the interval; None where there are none."""
        if not self.truth:
            return None
        return sum(self.interval[0] <= t <= self.interval[1] for t in self.truth)


@dataclass(frozen=True)
class Story:
    """A page.

    Attributes:
        title: the question, or the study's name.
        answer: sentences, the first of which answers it, with its interval.
        sections: in reading order.
        forecasts: all that were made, newest first.
        notes: on the answer itself.
        provenance: what is needed to get the same page again: versions, seeds, digests.
    """

    title: str
    answer: tuple[str, ...]
    sections: tuple[Section, ...] = ()
    forecasts: tuple[Outlook, ...] = ()
    notes: tuple[Note, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.answer:
            raise UsageError(f"the story '{self.title}' has no answer: say at least what is open")
        ids = [f.id for f in self.figures]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise UsageError(f"two figures are called '{twice[0]}'")

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in order."""
        return tuple(f for s in self.sections for f in s.figures)


def number(x: float) -> str:
    """Three digits, as a reader would write them: 0.0305, 1.2e-06, 105,280."""
    if x != x or abs(x) == float("inf"):
        return "unknown" if x != x else "infinity"
    if x == int(x) and 1000 <= abs(x) < 1e7:
        return f"{x:,.0f}"
    if x == 0 or 1e-3 <= abs(x) < 1e4:
        return f"{x:.3g}"
    return f"{x:.2g}"


def rate(x: float) -> str:
    """A pass rate: per cent where that reads well, else 1 in so many."""
    if not x > 0:
        return number(x)
    if x >= 0.001:
        return f"{100 * x:.3g} %" if x > 0.1 else f"{100 * x:.2g} %"
    return f"1 in {float(f'{1 / x:.2g}'):,.0f}"


def distance(ranges: float) -> str:
    """How far a forecast lies beyond the data, in words."""
    if ranges <= 0:
        return "inside the range of the data"
    if ranges == float("inf"):
        return "beyond data that never varied along this scale"
    return f"{ranges:.2g} times the range of the data (in logarithms) beyond it"


def warnings_first(notes: tuple[Note, ...]) -> tuple[Note, ...]:
    """Each note once, the serious ones first."""
    order = ("serious", "warning", "info")
    kept = {(n.code, n.message): n for n in notes}
    return tuple(sorted(kept.values(), key=lambda n: order.index(n.severity)))
