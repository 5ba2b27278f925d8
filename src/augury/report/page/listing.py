"""Long, searchable lists of scores: rows in groups, each with a sparkline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Size of a row's picture in pixels, and the margin of its lines.
WIDE, HIGH, ROOM = 120, 30, 3
# Number of runs drawn per row, from the smallest to the largest, and points per run: more are not
# visible in 120 pixels.
MOST_LINES, MOST_POINTS = 4, 24
# Maximum rows of a page: nobody scrolls through more, and the page has to stay small.
MOST_LISTED = 1000


@dataclass(frozen=True)
class Spark:
    """The sparkline of a row.

    Attributes:
        lines: SVG points of each line, from the smallest run to the largest.
        mark: position of an event, in pixels from the left; None if there is none.
    """

    lines: tuple[str, ...]
    mark: int | None = None


@dataclass(frozen=True)
class ListRow:
    """One score: its name, its text, and its sparkline."""

    name: str
    cells: tuple[str, ...]
    spark: Spark | None = None


@dataclass(frozen=True)
class ListGroup:
    """Rows under one heading; `folded` if few readers need them."""

    heading: str
    rows: tuple[ListRow, ...]
    folded: bool = False


@dataclass(frozen=True)
class Listing:
    """A list that can be searched.

    Attributes:
        title: what it lists.
        columns: headings of the cells after the name, which comes first under the heading `name`.
        groups: in reading order; empty ones are left out.
        name: heading of the names.
    """

    title: str
    columns: tuple[str, ...]
    groups: tuple[ListGroup, ...]
    name: str = "task"

    @property
    def count(self) -> int:
        """Number of rows."""
        return sum(len(g.rows) for g in self.groups)

    def without_pictures(self) -> Listing:
        """Return the list without sparklines, for a page that is too large."""
        return Listing(
            self.title,
            self.columns,
            tuple(
                ListGroup(g.heading, tuple(ListRow(r.name, r.cells) for r in g.rows), g.folded)
                for g in self.groups
            ),
            self.name,
        )


def sparkline(
    lines: Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]],
    *,
    log: bool = True,
    reverse: bool = False,
    mark: float | None = None,
) -> Spark | None:
    """Draw a row from the (x, y) of its runs; None if there is nothing to draw.

    Args:
        lines: (n,) positions and (n,) scores of each run, from the smallest to the largest.
        log: use a logarithmic axis.
        reverse: smaller is further, as for losses.
        mark: a position to mark.
    """
    own = [_ordered(x, y, log) for x, y in lines]
    own = [(x, y) for x, y in own if len(x) > 1]
    if not own:
        return None
    if len(own) > MOST_LINES:
        own = [own[round(i * (len(own) - 1) / (MOST_LINES - 1))] for i in range(MOST_LINES)]
    left, right = _ends(x for x, _ in own)
    low, high = _ends(y for _, y in own)
    if right <= left:
        return None

    def across(x: NDArray[np.float64]) -> NDArray[np.int64]:
        share = (x - left) / (right - left)
        at = ROOM + (WIDE - 2 * ROOM) * (1 - share if reverse else share)
        return np.round(at).astype(np.int64)

    drawn = []
    for x, y in own:
        kept = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int))
        share = (y[kept] - low) / ((high - low) or 1.0)
        down = np.round(HIGH - ROOM - (HIGH - 2 * ROOM) * share).astype(np.int64)
        drawn.append(" ".join(f"{a},{b}" for a, b in zip(across(x[kept]), down, strict=True)))
    place = None
    if mark is not None and (not log or mark > 0):
        at = np.log(mark) if log else mark
        if left <= at <= right:
            place = int(across(np.array([at]))[0])
    return Spark(tuple(drawn), place)


def _ordered(
    x: NDArray[np.float64], y: NDArray[np.float64], log: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    good = np.isfinite(x) & np.isfinite(y) & ((x > 0) | (not log))
    x, y = x[good], y[good]
    order = np.argsort(x, kind="stable")
    return (np.log(x[order]) if log else x[order]), y[order]


def _ends(parts: Iterable[NDArray[np.float64]]) -> tuple[float, float]:
    every = np.concatenate(list(parts))
    return float(every.min()), float(every.max())
