"""The content of a page as plain data: no fitting and no HTML happen here.

A story is an answer, the sections behind it, and its sources. Sections are built from results by
the other modules of this package, or by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from augury.errors import UsageError
from augury.notes import Note
from augury.report.page.listing import Listing
from augury.report.page.words import IntervalText, interval_text, rate_interval

NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Figure:
    """A figure with a description in words.

    Attributes:
        id: lower-case letters, digits and hyphens; unique on a page; also names the files.
        title: what is shown, as a sentence or a heading.
        shows: how to read it.
        would_change: which observation or choice would make it look different.
        chart: an altair chart, `width="container"` or fixed, colours from `palette`.
        data: rows of the numbers and names drawn, as a reader wants them in a CSV.
        alt: what a reader who cannot see it has to know; the finding, not the decoration.
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
    """Numbers to read rather than plot, shown completely."""

    title: str
    data: pl.DataFrame


@dataclass(frozen=True)
class Section:
    """One part of the argument: paragraphs, figures, tables, a list, and notes on its numbers."""

    heading: str
    text: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[Note, ...] = ()
    listing: Listing | None = None


@dataclass(frozen=True)
class Outlook:
    """One forecast as the page shows it, with the truth if known.

    Attributes:
        what: task and point: "rule at 105,280 parameters".
        value, interval, level: the forecast.
        extrapolation: distance beyond the data, in units of their range; 0 inside.
        truth: values measured afterwards, by run; empty if not yet known.
        made: when, or from what ("from 6 smaller sizes").
        is_rate: whether it is a pass rate, shown in per cent.
        is_loss: whether it is a loss at which an ability emerges.
        others: forecasts by other methods, folded on the page.
        run_share: share of the squared width of `interval` that is spread between runs; None if
            unknown.
    """

    what: str
    value: float
    interval: tuple[float, float]
    level: float
    extrapolation: float
    truth: tuple[float, ...] = ()
    made: str = ""
    is_rate: bool = False
    is_loss: bool = False
    others: tuple[Outlook, ...] = ()
    run_share: float | None = None

    @property
    def said(self) -> IntervalText:
        """Value and interval in words, in one unit."""
        say = rate_interval if self.is_rate else interval_text
        return say(self.value, *self.interval)

    def say(self, x: float) -> str:
        """Format a true value in words, in the unit of the forecast."""
        say = rate_interval if self.is_rate else interval_text
        return say(x, *self.interval).value

    @property
    def held(self) -> int | None:
        """Number of true values inside the interval; None if there are none."""
        if not self.truth:
            return None
        return sum(self.interval[0] <= t <= self.interval[1] for t in self.truth)


@dataclass(frozen=True)
class StoryVerdict:
    """The answer to one question: one decisive sentence, and sentences that support it.

    Attributes:
        lead: the answer with its interval; or that none is useful, and what would help.
        details: the distance, the data it is based on, the results.
        useful: whether the interval is narrow enough to decide anything.
        about: its subject, shown before the details if there are several answers.
    """

    lead: str
    details: tuple[str, ...] = ()
    useful: bool = True
    about: str = ""


@dataclass(frozen=True)
class Story:
    """A page.

    Attributes:
        title: the question, or the study's name.
        verdicts: the answers, one per question; a tuple of sentences is one answer.
        sections: in reading order.
        forecasts: all forecasts, newest first.
        notes: notes on the answer itself.
        provenance: what is needed to reproduce the page: versions, seeds, digests.
        hero: the figure on the first screen; by default the sections' first figure is moved there.
        beside: more figures on the first screen, if there are several kinds of forecasts.
    """

    title: str
    verdicts: tuple[StoryVerdict, ...] | tuple[str, ...]
    sections: tuple[Section, ...] = ()
    forecasts: tuple[Outlook, ...] = ()
    notes: tuple[Note, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    hero: Figure | None = None
    beside: tuple[Figure, ...] = ()

    def __post_init__(self) -> None:
        given = self.verdicts
        sentences = tuple(v for v in given if isinstance(v, str))
        if sentences:
            object.__setattr__(self, "verdicts", (StoryVerdict(sentences[0], sentences[1:]),))
        if not self.verdicts:
            raise UsageError(
                f"the story '{self.title}' has no answer: state at least the open question"
            )
        if self.hero is None:
            self._lift()
        ids = [f.id for f in self.figures]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise UsageError(f"two figures are called '{twice[0]}'")

    def _lift(self) -> None:
        """Move the first figure of the sections to the first screen."""
        at = next((i for i, s in enumerate(self.sections) if s.figures), None)
        if at is None:
            return
        own = self.sections[at]
        first, *rest = own.figures
        kept = replace(own, figures=tuple(rest))
        object.__setattr__(self, "hero", first)
        object.__setattr__(self, "sections", (*self.sections[:at], kept, *self.sections[at + 1 :]))

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in order."""
        first = () if self.hero is None else (self.hero,)
        return (*first, *self.beside, *(f for s in self.sections for f in s.figures))

    @property
    def answer(self) -> tuple[str, ...]:
        """The answers as sentences."""
        return tuple(
            text
            for v in self.verdicts
            if isinstance(v, StoryVerdict)
            for text in (v.lead, *v.details)
        )


def warnings_first(notes: tuple[Note, ...]) -> tuple[Note, ...]:
    """Return each note once, the serious ones first."""
    order = ("serious", "warning", "info")
    kept = {(n.code, n.message): n for n in notes}
    return tuple(sorted(kept.values(), key=lambda n: order.index(n.severity)))
