"""The lab's six worlds as measured: checks of what the documents say about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmarks.worlds import MEASURED, crossings

from augury.forecast.emergence import EmergenceStatus, emergence_data
from augury.forecast.emergence.thin import too_thin


@pytest.fixture(scope="module")
def worlds() -> pl.DataFrame:
    assert Path(MEASURED).exists()
    return pl.read_parquet(MEASURED)


@pytest.mark.parametrize("seed", range(3))
def test_finetuned_scores_that_hang_on_the_amount_alone_are_refused(
    worlds: pl.DataFrame, seed: int
) -> None:
    """Finetuning teaches letters instead of revealing them: visible without fitting a law."""
    own = worlds.filter(world=f"sort-letters-{seed}", part="sweep")
    assert own.height == 544
    status, notes = too_thin(emergence_data(own))
    assert status is EmergenceStatus.NO_ELBOW
    assert "no-elbow" in {note.code for note in notes}


@pytest.mark.parametrize("seed", range(3))
def test_few_shot_scores_hang_on_the_loss_and_finetuned_ones_do_not(
    worlds: pl.DataFrame, seed: int
) -> None:
    """Share of the variance of log scores that the loss explains beyond amount and size."""
    own = worlds.filter(world=f"sort-digits-{seed}", part="sweep")
    few, tuned = own.filter(finetune_examples=0), own.filter(pl.col("finetune_examples") > 0)
    assert explained(few, few["loss"]) > 0.75
    taught = [tuned["finetune_examples"] == a for a in tuned["finetune_examples"].unique()]
    size = tuned["params"].log()
    gain = explained(tuned, *taught, size, tuned["loss"]) - explained(tuned, *taught, size)
    assert gain < 0.01


def test_the_truth_is_where_the_documents_say(worlds: pl.DataFrame) -> None:
    ranges = {
        "sort-digits-0": (1.95, 2.05),
        "sort-digits-2": (1.85, 2.06),
        "sort-letters-0": (1.31, 1.34),
        "sort-letters-2": (1.37, 1.41),
    }
    for world, (low, high) in ranges.items():
        own = worlds.filter(pl.col("finetune_examples").fill_null(0) == 0, world=world)
        found = [c["loss"] for c in crossings(own)]
        assert min(found) == pytest.approx(low, abs=0.006)
        assert max(found) == pytest.approx(high, abs=0.006)


def explained(table: pl.DataFrame, *columns: pl.Series) -> float:
    """R-squared of log scores."""
    y = np.log(table["value"].to_numpy())
    x = np.stack([np.ones(len(y)), *(c.cast(pl.Float64).to_numpy() for c in columns)], 1)
    left = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return float(1 - (left**2).sum() / ((y - y.mean()) ** 2).sum())
