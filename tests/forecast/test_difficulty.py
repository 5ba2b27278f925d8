"""Splitting by difficulty shows what the whole hides, and invents nothing."""

import numpy as np
import polars as pl
import pytest

from augury.errors import DataError, UsageError
from augury.forecast.trends import by_difficulty, trends


def instances(easy_turn: float, seed: int = 0) -> pl.DataFrame:
    """Six runs, ten checkpoints, 120 instances: easy and hard halves turn in opposite ways."""
    rng = np.random.default_rng(seed)
    run, step, item = (i.ravel() for i in np.indices((6, 10, 120)))
    x = step / 9
    bend = easy_turn * (1 - np.abs(2 * x - 1))
    rate = np.where(item < 60, 0.6 + bend, 0.3 - bend)
    return pl.DataFrame(
        {
            "model": [f"m{r}" for r in run],
            "params": 1e8 * 2.0**run,
            "tokens": 1e9 * 2.0**step,
            "task": "quiz",
            "instance": [str(i) for i in item],
            "value": rng.binomial(1, rate).astype(float),
        }
    )


def test_opposite_halves_hide_each_other() -> None:
    table = instances(0.25)
    whole = table.group_by("model", "params", "tokens", "task").agg(pl.col("value").mean())
    (flat,) = [t for t in trends(whole).trends if t.axis == "tokens"]
    assert flat.shape == "flat"
    halves = {t.task: t for t in trends(by_difficulty(table, 2)).trends if t.axis == "tokens"}
    assert halves["quiz, easy"].shape == "inverted U"
    assert halves["quiz, hard"].shape == "U"


def test_luck_does_not_look_like_difficulty() -> None:
    """All instances are alike: groups sorted by other runs' luck have the same mean."""
    rng = np.random.default_rng(1)
    table = instances(0.0).with_columns(value=pl.Series(rng.binomial(1, 0.5, 7200).astype(float)))
    split = by_difficulty(table)
    means = split.group_by("task").agg(pl.col("value").mean())
    assert split["task"].n_unique() == 3
    # 2,400 coins per group: a standard error of .01. Sorted by own luck, they would differ by .1.
    assert means["value"].max() - means["value"].min() < 0.04  # type: ignore[operator]
    assert split["n"].sum() == 7200


def test_one_run_cannot_judge_itself() -> None:
    with pytest.raises(DataError, match="judged by other runs"):
        by_difficulty(instances(0.1).filter(model="m0"))
    with pytest.raises(UsageError, match="groups must be 2 or 3, not 5"):
        by_difficulty(instances(0.1), 5)
    with pytest.raises(DataError, match="column 'instance'"):
        by_difficulty(instances(0.1).drop("instance"))
