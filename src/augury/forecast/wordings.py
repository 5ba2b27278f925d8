"""Wordings of one benchmark (column `prompt`): they move levels, not ranks.

On the scale of an analysis, the score of model i asked in wording w is

    v = model_i + wording_w + rest

so all models share a wording's level, and a trend has one slope. Each model counts once, with the
mean of its scores over the wordings; a score that is missing is filled in from the two effects. The
wordings measured are a sample of those that could have been used: their mean has a standard error,
with Student's t of as many degrees of freedom as there are wordings beyond the first. That spread
is added to intervals here and nowhere else.

One wording tells nothing of the others. Nothing is added then, and a note says so: no data at hand
hold one benchmark in several wordings over a ladder, from which a prior could be taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from augury.data.schema import KEY
from augury.fitting.space import Floats
from augury.forecast.links import Link
from augury.forecast.prediction import known, squared_share
from augury.notes import Note

Ints = NDArray[np.int64]
PROMPT = "prompt"
# What distinguishes the scores of one wording.
UNIT = (*(name for name in KEY if name != PROMPT), "flops", "loss")


@dataclass(frozen=True)
class Wordings:
    """What a table tells about the wordings of one task.

    Attributes:
        count: wordings W.
        spread: standard deviation of their levels, on the scale of the analysis; NaN if unknown.
        rest: of single scores around model and wording, on that scale; 0 if unknown.
        freedom: degrees of freedom of `spread`.
    """

    count: int
    spread: float
    rest: float = 0.0
    freedom: int = 0

    @property
    def counted(self) -> bool:
        """Whether there is a spread to count."""
        return self.freedom > 0

    def widen(self, q: Floats, levels: Floats, link: Link, *, new: bool = False) -> Floats:
        """Return (K, m) quantiles with the wordings counted.

        Args:
            q: (K, m) quantiles for the wordings measured.
            levels: (K,) their levels, increasing, symmetric, with the median.
            link: the scale of the analysis; it increases.
            new: for one new wording, instead of the mean over all wordings.
        """
        if not self.counted:
            return q
        deviation = self.spread / np.sqrt(self.count)
        if new:  # what the wordings measured averaged out, a single one has in full
            share = 1 / self.count
            deviation = np.sqrt(self.spread**2 * (1 + share) + self.rest**2 * (1 - share))
        v = link.to(q)
        middle = v[len(levels) // 2]
        stray = scipy.stats.t.ppf(levels, self.freedom)[:, None] * deviation
        return link.back(middle + np.copysign(np.hypot(v - middle, stray), stray))


@dataclass(frozen=True)
class WordingForecast:
    """What a forecast says about wordings.

    Attributes:
        count: wordings measured.
        interval: for one new model asked in one new wording; None if there is only one wording.
        share: share of the squared width of the interval for the mean over wordings that comes from
            how few they are: more wordings would remove it.
    """

    count: int
    interval: tuple[float, float] | None
    share: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        ends = self.interval and [known(x) for x in self.interval]
        return {"count": self.count, "interval": ends, "share": self.share}

    def __str__(self) -> str:
        if self.interval is None or self.share is None:
            return f"from {self.count} wording{'s' * (self.count > 1)}, whose spread is unknown"
        low, high = self.interval
        return (
            f"mean over wordings, of which {self.count} were measured ({self.share:.0%} of the "
            f"squared width); one new wording [{low:.4g}, {high:.4g}]"
        )


def over_wordings(
    table: pl.DataFrame, output: str, link: Link
) -> tuple[pl.DataFrame, Wordings | None]:
    """Average the wordings of one task: one row per model (and checkpoint).

    Args:
        table: rows of one task, without missing outputs.
        output: the column of the scores.
        link: the scale of the analysis.

    Returns:
        The rows, without `prompt`: the output and other measured numbers averaged, the rest as in
        the first wording. And what is known about the wordings; None if the table tells of none.
    """
    words = wordings_in(table)
    if not words:
        return table, None
    if len(words) == 1:
        return table.drop(PROMPT), Wordings(1, np.nan)
    unit, word = units(table.drop(output)), _places(table[PROMPT], words)
    y = table[output].cast(pl.Float64).to_numpy()
    model, level, found = additive(link.to(y), unit, word, np.ones(len(y)))
    if not found.counted:  # every model has its own wording: nothing separates the two
        return table.drop(PROMPT), found
    filled = link.back(model[:, None] + level)
    filled[unit, word] = y
    rows = table.drop(PROMPT)
    measured = [n for n, kind in rows.schema.items() if kind.is_float() and n not in UNIT]
    merged = (
        rows.group_by(pl.Series("_unit", unit), maintain_order=True)
        .agg(pl.exclude(measured).first(), pl.col(measured).mean())
        .drop("_unit")
    )  # units are counted in order of appearance
    return merged.select(rows.columns).with_columns(pl.Series(output, filled.mean(1))), found


def over_wordings_of_tasks(
    table: pl.DataFrame, output: str, link: Link
) -> tuple[pl.DataFrame, dict[str, Wordings | None]]:
    """Do the same for every task of a table; also return what is known, by task."""
    if not wordings_in(table):
        return table, {}
    found = {
        str(task): over_wordings(own, output, link)
        for (task,), own in table.group_by("task", maintain_order=True)
    }
    rows = [own.drop(PROMPT, strict=False) for own, _ in found.values()]
    return pl.concat(rows), {task: words for task, (_, words) in found.items()}


def wordings_in(table: pl.DataFrame) -> list[str | None]:
    """Return the wordings a table tells of, in order; none if it tells none.

    A row without one has a wording without a name. Prompts that differ from instance to instance
    are the texts of the instances, not wordings of the benchmark.
    """
    if PROMPT not in table.columns or not table[PROMPT].count():
        return []
    words: list[str | None] = table[PROMPT].unique(maintain_order=True).to_list()
    if len(words) > 1 and "instance" in table.columns and table["instance"].count():
        asked = table.drop_nulls("instance").group_by("instance").agg(pl.col(PROMPT).n_unique())
        if (asked[PROMPT] == 1).all():
            return []
    return words


def units(table: pl.DataFrame) -> Ints:
    """Return (n,) what was measured in each row, in order: rows of one unit differ in the wording.

    Rows that nothing but their order distinguishes are different runs.
    """
    key = [name for name in UNIT if name in table.columns]
    copy = pl.int_range(pl.len()).over([*key, PROMPT])
    place: dict[Any, int] = {}
    rows = table.select(*key, copy.alias("_copy")).iter_rows()
    return np.array([place.setdefault(row, len(place)) for row in rows], np.int64)


def additive(v: Floats, unit: Ints, word: Ints, weight: Floats) -> tuple[Floats, Floats, Wordings]:
    """Split scores into units and wordings by least squares.

    Args:
        v: (n,) scores.
        unit, word: (n,) which unit and which wording, each from 0.
        weight: (n,) of the scores.

    Returns:
        (M,) the units' levels, at the mean over wordings; (W,) the wordings' levels, with mean 0;
        and their spread.
    """
    m, w = int(unit.max()) + 1, int(word.max()) + 1
    total = np.zeros((m, w))
    np.add.at(total, (unit, word), weight)
    share = total / total.sum(1, keepdims=True)
    gram = np.diag(total.sum(0)) - total.T @ share
    mean = np.bincount(unit, weight * v, m) / total.sum(1)
    side = np.bincount(word, weight * (v - mean[unit]), w)
    rank = int(np.linalg.matrix_rank(gram, hermitian=True))
    level = np.asarray(np.linalg.pinv(gram, hermitian=True) @ side, float)
    level -= level.mean()
    model = mean - share @ level
    free = len(v) - m - rank
    off = v - model[unit] - level[word]
    rest = float(weight @ off**2 / weight.mean() / free) if free > 0 else 0.0
    spread = float(level @ level / rank) if rank else np.nan
    return model, level, Wordings(w, np.sqrt(spread), np.sqrt(rest), rank)


def wording_forecasts(
    words: Wordings | None, q: Floats, levels: Floats, link: Link
) -> list[WordingForecast | None]:
    """Say what (m,) forecasts know about wordings; arguments as in `Wordings.widen`."""
    if words is None:
        return [None] * q.shape[1]
    if not words.counted:
        return [WordingForecast(words.count, None, None)] * q.shape[1]
    mean, new = (words.widen(q, levels, link, new=one) for one in (False, True))
    before, after = (x[-1] - x[0] for x in (q, mean))
    return [
        WordingForecast(words.count, (float(low), float(high)), squared_share(rest, whole))
        for low, high, rest, whole in zip(new[0], new[-1], before, after, strict=True)
    ]


def notes_of(words: Wordings | None) -> tuple[Note, ...]:
    """Return what to know about the wordings behind an interval."""
    if words is None or words.counted:
        return ()
    if words.count == 1:
        said = (
            "the benchmark was asked in one wording: the interval does not include the spread "
            "between wordings"
        )
        return (Note("one-wording", "info", said, {"wordings": 1}),)
    said = (
        f"no model was asked in more than one of the {words.count} wordings: their spread counts "
        "as spread between models"
    )
    return (Note("wordings-apart", "warning", said, {"wordings": words.count}),)


def notes_on_tasks(words: Mapping[str, Wordings | None]) -> tuple[Note, ...]:
    """Return the same for many tasks, each kind of note once."""
    return tuple({n.code: n for own in words.values() for n in notes_of(own)}.values())


def _places(column: pl.Series, words: list[str | None]) -> Ints:
    place = {word: i for i, word in enumerate(words)}
    return np.array([place[word] for word in column], np.int64)
