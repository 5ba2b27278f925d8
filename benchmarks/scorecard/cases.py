"""Forecasting problems: observed part, targets, and how a ladder is cut into problems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["loss", "task score", "pass rate", "trend ahead", "one curve"]
Scale = Literal["log", "points"]

# How far beyond the largest observed scale targets lie.
NEAREST, FARTHEST = 1.5, 30.0
# Most cuts per ladder and targets per cut: more from one ladder add little.
MOST_CUTS, MOST_TARGETS = 3, 8
FEWEST_SEEN = 5


@dataclass(frozen=True)
class Case:
    """One problem.

    Attributes:
        kind, corpus: kind of question, and source of the data.
        ladder: the series of the corpus; problems of one ladder are resampled together.
        cut: the largest observed scale.
        scale: unit of errors: logs, or points of a score.
        axis: column along which the ladder grows.
        past, future: observed rows and targets, with `y` and the scales.
        group: problems whose histories a forecaster may learn from jointly; "" for none.
        family: for a trend, all tasks of the run: task, params, tokens, y.
    """

    kind: Kind
    corpus: str
    ladder: str
    cut: float
    scale: Scale
    axis: str
    past: pl.DataFrame
    future: pl.DataFrame
    group: str = ""
    family: pl.DataFrame | None = None

    @property
    def key(self) -> str:
        return f"{self.kind}|{self.corpus}|{self.ladder}|{self.cut:.6g}"

    @property
    def truth(self) -> Floats:
        return self.future["y"].to_numpy().astype(float)

    @property
    def x(self) -> Floats:
        return self.past[self.axis].to_numpy().astype(float)

    @property
    def y(self) -> Floats:
        return self.past["y"].to_numpy().astype(float)

    @property
    def at(self) -> Floats:
        return self.future[self.axis].to_numpy().astype(float)


def windows(
    kind: Kind,
    corpus: str,
    ladder: str,
    table: pl.DataFrame,
    *,
    scale: Scale,
    axis: str = "flops",
    group: str = "",
    family: pl.DataFrame | None = None,
    cuts: int = MOST_CUTS,
    targets: int = MOST_TARGETS,
    positive: bool = True,
) -> Iterator[Case]:
    """Expanding windows of a ladder: below a scale, 1.5 to 30 times beyond it.

    Args:
        table: `y` and the scales, one row per model; rows without either are left out.
        positive: leave out rows whose `y` is not above 0 and has no log.
    """
    table = table.drop_nulls([axis, "y"]).filter(pl.col("y").is_finite()).sort(axis)
    if positive and scale == "log":
        table = table.filter(pl.col("y") > 0)
    places = table[axis].unique().sort().to_numpy().astype(float)
    if len(places) <= FEWEST_SEEN:
        return
    last = len(places) - 1
    first = 2 * last // 3 if cuts == 1 else last // 3
    for k in sorted({round(k) for k in np.linspace(max(FEWEST_SEEN, first), last, cuts)}):
        cut = float(places[k - 1])
        past = table.filter(pl.col(axis) <= cut)
        ahead = pl.col(axis).is_between(NEAREST * cut, FARTHEST * cut)
        future = table.filter(ahead)
        if past.height < FEWEST_SEEN or future.is_empty() or past["y"].n_unique() < 2:
            continue
        keep = np.unique(np.linspace(0, future.height - 1, min(targets, future.height)).round())
        yield Case(
            kind,
            corpus,
            ladder,
            cut,
            scale,
            axis,
            past,
            future[keep.astype(int).tolist()],
            group,
            family,
        )
