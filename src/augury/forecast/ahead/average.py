"""Which simple forecasts are averaged for which kind of question.

Means of quantiles. The parts were chosen on the development half of benchmarks/scorecard, by skill
against the straight line among averages whose intervals hold; docs/compare.md has the figures of
both halves.

- A loss: lines through the later part of the ladder, in log(loss - E) for floors E of 0 and .4 of
  the lowest loss seen, over the ladder's scale; and, at half the weight, a floor plus a power of
  each scale (`powers`), through all points and through the later ones.
- A score: lines in points and in logits, through all points and through the later part, over the
  same two, and, at a weight of one fifth, the last value. No line forecasts less than 0 or more
  than 1: an average of lines far beyond 1 would be an interval of width zero.

Tried on that half and left out: weights by how each part forecast the ladder's own past (.195
against .187 for losses), the last value and lines through all points for losses, and only late
lines for scores (.16 against .19).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from augury.fitting.space import Floats
from augury.forecast.ahead.line import Ladder, LineForecast, Walk, last_value, line_ahead
from augury.forecast.ahead.powers import powers_ahead
from augury.forecast.links import LOG, LOGIT, SCORE, Link, log_above

Kind = Literal["loss", "score"]

# Shares of the lowest loss seen that are tried as a floor.
FLOORS = (0.0, 0.4)
# Weights of a local line fall by a factor e over these shares of the range.
LATE, LATER = 0.5, 0.25
# Weight of the last value for scores.
LAST = 0.2
# Losses drift in proportion to their change, by a share of .45; scores by a point (6 hundredths of
# a logit) per e-fold, whatever their slope, as many leave chance only later. Models scatter around
# their trend by about 1 % of the loss, or .8 points.
LOSS_WALK = Walk(share=0.45, step=0.0, spread=1.0, noise=0.01, worth=2.0)
SCORE_WALK = Walk(share=0.0, step=0.01, spread=0.5, noise=0.008, worth=4.0)
LOGIT_WALK = Walk(share=0.0, step=0.06, spread=0.5, noise=0.048, worth=4.0)


@dataclass(frozen=True)
class Averaged:
    """Quantiles of the average at m points.

    Attributes:
        run, mean: (K, m) quantiles of one new model, and of the mean of many like it.
    """

    run: Floats
    mean: Floats


def average_ahead(kind: Kind, single: Ladder, plane: Ladder | None, levels: Floats) -> Averaged:
    """Average the simple forecasts of one ladder.

    Args:
        kind: of question.
        single, plane: the ladder over its scale alone, and over parameters and tokens, if both vary
            and there are enough points.
        levels: (K,) of the quantiles, increasing, symmetric.
    """
    wide = plane if plane is not None else single
    if kind == "loss":
        lowest = float(single.y.min())
        links = [LOG if share == 0 else log_above(share * lowest) for share in FLOORS]
        found = [
            (link, line_ahead(single, link, LOSS_WALK, near))
            for link in links
            for near in (LATE, LATER)
        ]
        powers = [(LOG, powers_ahead(wide, LOSS_WALK, near)) for near in (None, LATE)]
        return mean_of_quantiles([*found, *powers, *powers], LOG, levels)
    found = [
        (link, line_ahead(ladder, link, walk, near))
        for link, walk in ((SCORE, SCORE_WALK), (LOGIT, LOGIT_WALK))
        for near in (None, LATE)
        for ladder in (single, wide)
    ]
    return mean_of_quantiles(found, SCORE, levels, last_value(single, SCORE, levels))


def mean_of_quantiles(
    found: Sequence[tuple[Link, LineForecast]],
    scale: Link,
    levels: Floats,
    last: Floats | None = None,
) -> Averaged:
    """Average lines, and if given the (K, m) last value at the weight `LAST`."""
    run = _mean(found, scale, lambda f: f.quantiles(levels))
    mean = _mean(found, scale, lambda f: f.quantiles(levels, new_run=False))
    if last is not None:
        run, mean = ((1 - LAST) * q + LAST * last for q in (run, mean))
    return Averaged(scale.back(run), scale.back(mean))


def _mean(
    found: Sequence[tuple[Link, LineForecast]],
    scale: Link,
    of: Callable[[LineForecast], Floats],
) -> Floats:
    """Return the mean of the quantiles of all parts, on one scale."""
    return np.asarray(np.mean([scale.to(link.back(of(part))) for link, part in found], axis=0))
