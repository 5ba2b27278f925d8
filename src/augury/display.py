"""Results in a notebook: what a cell shows of them, and their rows as a pandas table.

A result says what there is to show (`Card`); this module makes HTML and pandas of it. The HTML is
plain: a heading, a table, notes, and for some results a picture. It has no colours of its own, so
that it is read on light and dark themes alike, loads nothing and runs nothing.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar

from augury.errors import AuguryError, UsageError

if TYPE_CHECKING:
    import polars as pl

    from augury.fitting.result import Note
    from augury.report.page import Figure

# More rows than these are not read in a notebook; `to_pandas()` has all of them.
MOST_ROWS = 40
# Bytes: a picture of thousands of marks is larger than its pixels, and a notebook keeps all of it.
MOST_SVG = 100_000


@dataclass(frozen=True)
class Card:
    """What there is to show of a result.

    Attributes:
        heading: what it is and how it ended, in a line.
        table: what is read at a glance.
        notes: what to know before believing it, notes or sentences.
        rows: what `to_pandas` gives, where that is more than the table.
    """

    heading: str
    table: pl.DataFrame
    notes: tuple[Note | str, ...] = ()
    rows: pl.DataFrame | None = None


class Shown(ABC):
    """A result that a notebook shows as a table, and that pandas can take."""

    @abstractmethod
    def _card(self) -> Card:
        """What there is to show."""

    def _repr_html_(self) -> str:
        return html_of(self._card(), _figure(self))

    def to_pandas(self) -> Any:
        """The rows behind it as a `pandas.DataFrame`; missing values are NaN or None.

        Raises:
            UsageError: pandas is not installed; Augury itself does without.
        """
        card = self._card()
        return to_pandas(card.table if card.rows is None else card.rows)


R = TypeVar("R", bound=Shown)


class Several(list[R], Shown):
    """A list of results that is shown as one table."""

    def _card(self) -> Card:
        import polars as pl

        cards = [one._card() for one in self]
        if not cards:
            return Card("Nothing", pl.DataFrame())
        return Card(
            cards[0].heading,
            pl.concat([card.table for card in cards], how="diagonal_relaxed"),
            tuple(dict.fromkeys(_said(note) for card in cards for note in card.notes)),
        )

    def __str__(self) -> str:
        return "\n".join(map(str, self))


def to_pandas(table: pl.DataFrame) -> Any:
    """A Polars table as a pandas one, without pyarrow.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise UsageError("to_pandas() needs pandas: pip install pandas") from error
    return pandas.DataFrame(table.to_dict(as_series=False))


def html_of(card: Card, figure: Figure | None = None) -> str:
    """A card as HTML for a notebook's cell."""
    parts = [f"<p><b>{escape(card.heading)}</b></p>", _table(card.table), _list(card.notes)]
    if figure is not None:
        parts.append(_picture(figure))
    return f"<div>{''.join(parts)}</div>"


def _table(data: pl.DataFrame) -> str:
    if data.is_empty():
        return ""
    head = "".join(f'<th scope="col">{escape(c.replace("_", " "))}</th>' for c in data.columns)
    rows = data.head(MOST_ROWS).iter_rows()
    body = "".join(f"<tr>{''.join(f'<td>{_text(v)}</td>' for v in row)}</tr>" for row in rows)
    more = data.height - MOST_ROWS
    rest = f"<p>and {more:,} more rows: to_pandas() has all of them</p>" if more > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        whole = value == int(value) if abs(value) < 1e15 else False  # also NaN and infinity: no
        return f"{value:,.0f}" if whole and abs(value) >= 1000 else f"{value:.4g}"
    return escape(f"{value:,}" if type(value) is int else str(value))


def _said(note: Note | str) -> str:
    return note if isinstance(note, str) else f"{note.severity}: {note.message}"


def _list(notes: Iterable[Note | str]) -> str:
    items = "".join(f"<li>{escape(_said(note))}</li>" for note in notes)
    return f"<ul>{items}</ul>" if items else ""


def _picture(figure: Figure) -> str:
    """As an image: what is drawn inline shares its ids with all other cells."""
    import vl_convert

    from augury.report.page.write import svg_of

    svg = svg_of(figure)
    kind, drawn = "svg+xml", svg.encode()
    if len(drawn) > MOST_SVG:
        kind, drawn = "png", vl_convert.svg_to_png(svg, scale=2)
    return (
        f'<img alt="{escape(figure.alt)}" style="max-width: 640px; width: 100%" '
        f'src="data:image/{kind};base64,{base64.b64encode(drawn).decode()}">'
    )


def _figure(result: Shown) -> Figure | None:
    """The page's figure of a result, for those that have one.

    Asked for here, so that results need not know how they are drawn.
    """
    from augury.report.page.result import section_of

    try:
        section = section_of(result)
    except AuguryError:  # nothing that could be drawn: the table says what there is
        return None
    return section.figures[0] if section is not None else None
