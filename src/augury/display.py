"""Results in a notebook: how a cell shows them, and their rows as a pandas table.

A result describes what to show (`Card`); this module makes HTML and pandas of it. The HTML is
plain: a heading, a table, notes, and for some results a figure. It sets no colours, so that it
works on light and dark themes, and loads and runs nothing. It does not know how results are fitted,
drawn or stored: the package passes it the functions that do (`draw_with`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar

from augury.errors import UsageError
from augury.notes import Note

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

# Nobody reads more rows than these in a notebook; `to_pandas()` has all of them.
MOST_ROWS = 40

# From a result to an HTML image, or None without a figure; and to an Altair chart.
Drawer = Callable[[Any], str | None]
Charter = Callable[[Any], Any]
# Writes a result to a path: a folder, or a figure.
Saver = Callable[[Any, "str | Path"], "Path"]
_drawer: list[Drawer] = []
_charter: list[Charter] = []
_saver: list[Saver] = []
# Maximum letters of a cell in plain text, and rows: `str()` of a result is read in a terminal.
MOST_LETTERS, MOST_LINES = 40, 40


def draw_with(drawer: Drawer, charter: Charter | None = None, saver: Saver | None = None) -> None:
    """Set the functions that draw and store results.

    Args:
        drawer: of notebook cells.
        charter: of `chart()`.
        saver: of `save()`.
    """
    _drawer[:] = [drawer]
    _charter[:] = [] if charter is None else [charter]
    _saver[:] = [] if saver is None else [saver]


@dataclass(frozen=True)
class Card:
    """What to show of a result.

    Attributes:
        heading: what it is and how it ended, in one line.
        table: what can be read at a glance.
        notes: what to know before trusting it, notes or sentences.
        rows: what `to_pandas` returns, if more than the table.
    """

    heading: str
    table: pl.DataFrame
    notes: tuple[Note | str, ...] = ()
    rows: pl.DataFrame | None = None


class Shown(ABC):
    """A result that a notebook shows as a table, and that can be converted to pandas."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Before a dataclass writes its own: the default one would print draws and tables.
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Shown.__repr__  # type: ignore[method-assign]

    @abstractmethod
    def _card(self) -> Card:
        """Return what to show."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._card().heading}>"

    def __str__(self) -> str:
        return text_of(self._card())

    def _repr_html_(self) -> str:
        return html_of(self._card(), _drawer[0](self) if _drawer else None)

    def chart(self) -> Any:
        """Return its figure on the page as an Altair chart, to change, combine or save.

        Raises:
            UsageError: it contains nothing that can be drawn.
        """
        if not _charter:
            raise UsageError("nothing draws charts here: import augury first")
        return _charter[0](self)

    def save(self, path: str | Path) -> Path:
        """Write it: to a folder, which `augury.load` reads, or as a figure.

        Args:
            path: a folder; or a file ending in .svg, .png, .pdf or .html.

        Returns:
            The path.

        Raises:
            UsageError: it cannot be stored, or it contains nothing that can be drawn.
        """
        if not _saver:
            raise UsageError("nothing stores results here: import augury first")
        return _saver[0](self, path)

    def to_pandas(self) -> Any:
        """Return its rows as a `pandas.DataFrame`; missing values are NaN or None.

        Raises:
            UsageError: pandas is not installed; Augury itself does not need it.
        """
        card = self._card()
        return to_pandas(card.table if card.rows is None else card.rows)


R = TypeVar("R", bound=Shown)


class Several(list[R], Shown):
    """A list of results, shown as one table."""

    def _card(self) -> Card:
        import polars as pl

        cards = [one._card() for one in self]
        if not cards:
            return Card("Nothing", pl.DataFrame())
        return Card(
            cards[0].heading,
            pl.concat([card.table for card in cards], how="diagonal_relaxed"),
            tuple(dict.fromkeys(_note_text(note) for card in cards for note in card.notes)),
        )

    def __str__(self) -> str:
        return "\n".join(map(str, self))


def to_pandas(table: pl.DataFrame) -> Any:
    """Convert a Polars table to pandas, without pyarrow.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise UsageError("to_pandas() needs pandas: pip install pandas") from error
    return pandas.DataFrame(table.to_dict(as_series=False))


def text_of(card: Card) -> str:
    """Format a card as plain text: its heading, its table, its notes."""
    lines = [card.heading]
    if not card.table.is_empty():
        rows = [[_plain(v) for v in row] for row in card.table.head(MOST_LINES).iter_rows()]
        cells = [[c.replace("_", " ") for c in card.table.columns], *rows]
        wide = [max(map(len, column)) for column in zip(*cells, strict=True)]
        right = [kind.is_numeric() for kind in card.table.dtypes]
        for row in cells:
            padded = (
                text.rjust(w) if r else text.ljust(w)
                for text, w, r in zip(row, wide, right, strict=True)
            )
            lines.append(f"  {'  '.join(padded)}".rstrip())
        more = card.table.height - MOST_LINES
        lines += [f"  and {more:,} more rows"] if more > 0 else []
    return "\n".join([*lines, *(f"  {_note_text(note)}" for note in card.notes)])


def html_of(card: Card, picture: str | None = None) -> str:
    """Format a card, and its figure as HTML, for a notebook's cell."""
    parts = [f"<p><b>{escape(card.heading)}</b></p>", _table(card.table), _list(card.notes)]
    if picture is not None:
        parts.append(picture)
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
    return escape(_format_value(value))


def _format_value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        whole = (
            value == int(value) if abs(value) < 1e15 else False
        )  # false for NaN and infinity too
        return f"{value:,.0f}" if whole and abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if type(value) is int else str(value)


def _plain(value: Any) -> str:
    """Format a value on one line, short enough for a column."""
    text = " ".join(_format_value(value).split())
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def _note_text(note: Note | str) -> str:
    return note if isinstance(note, str) else f"{note.severity}: {note.message}"


def _list(notes: Iterable[Note | str]) -> str:
    items = "".join(f"<li>{escape(_note_text(note))}</li>" for note in notes)
    return f"<ul>{items}</ul>" if items else ""
