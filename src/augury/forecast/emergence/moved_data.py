"""Read a table of finetuned and few-shot scores for the moved curve."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.errors import DataError, UsageError
from augury.fitting import Fit, Status
from augury.forecast.emergence.loss_ladder import loss_law_of
from augury.forecast.emergence.moved_curve import (
    UNKNOWN_GAP,
    UNKNOWN_SPREAD,
    FloorPrior,
    MovedStudy,
)
from augury.forecast.emergence.observations import Scale, emergence_data

# Fewest checkpoints for fitting a loss law of five parameters to find the floor.
FEWEST = 8
# Smallest prior spread of ln(lowest loss - floor): from a loss law, and from the user.
LEAST_SPREAD, KNOWN_SPREAD = 0.4, 0.2


def moved_study(
    table: pl.DataFrame,
    scale: Scale = "loss",
    *,
    loss_law: Fit | None = None,
    floor: float | None = None,
    few_shot_examples: int | None = None,
    chance: float | None = None,
) -> MovedStudy:
    """Read a study of one task for the moved curve.

    Args:
        table: as for `emergence_data`. A column `family` distinguishes series of models; it is
            filled in every row or in none.
        scale: "loss" or "flops".
        loss_law: a fit whose floor E, with its draws, gives the lowest possible loss; by default
            Chinchilla's law on the few-shot rows, if the table has params and tokens.
        floor: the lowest possible loss in nats, if it is known.
        few_shot_examples, chance: as for `emergence_data`.

    Raises:
        DataError, UsageError: as `emergence_data`.
    """
    data = emergence_data(table, scale, few_shot_examples=few_shot_examples, chance=chance)
    if not (data.amount == 0).any():
        raise DataError(
            "there are no few-shot rows",
            column="finetune_examples",
            expected="rows with 0: the forecast is of the curve without finetuning",
        )
    outside = (data.y < 0) | (data.y > 1)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            "not a share",
            row=row + 1,
            column="value",
            value=float(data.y[row]),
            expected="a score between 0 and 1: the moved curve rises from chance to at most 1",
        )
    known = None
    if scale == "loss":
        lowest = float(data.place.min())
        if floor is not None and not 0 <= floor < lowest:
            raise UsageError(
                f"the floor must lie between 0 and the lowest loss, {lowest:.4g}, not {floor}"
            )
        known = floor_prior(loss_law or loss_law_of(table), lowest, floor)
    return MovedStudy(data, known, _families(table))


def _families(table: pl.DataFrame) -> NDArray[np.int64]:
    """(n,) index of each row's family; all 0 if no row names one."""
    if "family" not in table.columns or table["family"].null_count() == table.height:
        return np.zeros(table.height, np.int64)
    names = table["family"]
    if names.null_count():
        raise DataError(
            "no family",
            row=int(names.is_null().arg_max() or 0) + 1,
            column="family",
            expected="a name in every row, or in none: rows without one would count as one family",
        )
    index = np.unique(names.cast(pl.String).to_numpy(), return_inverse=True)[1]
    return index.astype(np.int64)


def floor_prior(loss_law: Fit | None, lowest: float, floor: float | None = None) -> FloorPrior:
    """Prior of the floor, as a gap below the lowest loss.

    A floor that the user knows (the entropy of the corpus, say) is trusted to a fifth of the gap.
    A fitted law's E adds to the general prior, but never more sharply than a factor of 1.5 in the
    gap: on three small ladders Chinchilla's E lay .1 to 1.5 nats below the entropy.
    """
    if floor is not None:
        return FloorPrior(float(np.log(lowest - floor)), KNOWN_SPREAD)
    mean, precision = float(np.log(UNKNOWN_GAP * lowest)), UNKNOWN_SPREAD**-2
    converged = loss_law is not None and loss_law.status is Status.CONVERGED
    if loss_law is not None and converged and "E" in loss_law.parameters and len(loss_law.draws):
        floors = loss_law.draws[:, list(loss_law.parameters).index("E")]
        gaps = np.log(np.clip(lowest - floors, 0.005 * lowest, lowest))
        spread = 1.4826 * float(np.median(np.abs(gaps - np.median(gaps))))
        own = max(spread, LEAST_SPREAD) ** -2
        mean = (mean * precision + float(np.median(gaps)) * own) / (precision + own)
        precision += own
    return FloorPrior(mean, precision**-0.5)
