"""Effective size and density among reference families."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from augury.errors import DataError, UsageError
from augury.forecast.families import density_trend, effective_size

TASKS = {"quiz": (0.5, 21.5, 0.25), "sums": (0.8, 22.5, 0.0), "story": (0.4, 20.5, 0.5)}


def score(task: str, params: float, off: float = 0.0) -> float:
    """A logistic above chance in log parameters."""
    slope, middle, chance = TASKS[task]
    return chance + (1 - chance) / (1 + np.exp(-slope * (np.log(params) - middle) - off))


def table(noise: float = 0.0, seed: int = 0, denser: float = 3.0) -> pl.DataFrame:
    """A reference family of six sizes, and a model of 1e9 as good as one `denser` times larger."""
    rng = np.random.default_rng(seed)
    rows = [
        {"model": f"ref-{n:.0e}", "family": "ref", "params": n, "task": task,
         "value": score(task, n, noise * rng.standard_normal()), "chance": TASKS[task][2]}
        for n in np.geomspace(1e8, 3e10, 6)
        for task in TASKS
    ]  # fmt: skip
    rows += [
        {"model": "mine", "family": "other", "params": 1e9, "task": task,
         "value": score(task, denser * 1e9, noise * rng.standard_normal()),
         "chance": TASKS[task][2]}
        for task in TASKS
    ]  # fmt: skip
    return pl.DataFrame(rows)


def test_size_and_density_are_those_of_the_reference() -> None:
    found = effective_size(table(noise=0.01), "mine")
    assert found.value == pytest.approx(3e9, rel=0.05)
    assert found.density == pytest.approx(3.0, rel=0.05)
    assert found.interval[0] < 3e9 < found.interval[1]
    (reference,) = found.references
    assert reference.reference == "ref"
    assert reference.tasks["params"].to_list() == pytest.approx([3e9] * 3, rel=0.1)
    record = found.to_dict()
    assert record["effective_params"]["value"] == found.value
    assert record["references"][0]["reference"] == "ref"


def test_intervals_of_the_size_hold() -> None:
    held = []
    for seed in range(100):
        low, high = effective_size(table(noise=0.15, seed=seed), "mine").interval
        held.append(low <= 3e9 <= high)
    # Three tasks of independent noise: 90 % intervals, and the shared scatter of few points.
    assert 0.84 <= np.mean(held) <= 0.99


def test_references_that_disagree_widen_the_interval() -> None:
    one = table(noise=0.05)
    other = one.filter(pl.col("family") == "ref").with_columns(
        family=pl.lit("second"), model="second-" + pl.col("model"), params=pl.col("params") * 10
    )
    both = effective_size(pl.concat([one, other]), "mine")
    single = effective_size(one, "mine")
    assert {r.reference for r in both.references} == {"ref", "second"}
    assert both.interval[1] / both.interval[0] > 2 * single.interval[1] / single.interval[0]


def test_a_score_beyond_the_family_leaves_the_interval_open_and_says_so() -> None:
    perfect = table().with_columns(
        value=pl.when(pl.col("model") == "mine").then(1.0).otherwise("value")
    )
    found = effective_size(perfect, "mine")
    assert found.value > 3e10
    assert [note.code for note in found.notes] == ["far"]


def test_density_doubles_as_it_was_made_to() -> None:
    rows = [table(0.01)]
    for month in range(8):
        own = table(0.01, month, denser=0.5 * 2 ** (month / 2))
        rows.append(
            own.filter(pl.col("model") == "mine").with_columns(
                model=pl.lit(f"m{month}"), date=pl.lit(date(2023, 1 + month, 1))
            )
        )
    (found,) = density_trend(pl.concat(rows, how="diagonal"), "ref")
    assert found.doubling == pytest.approx(2.0, rel=0.15)
    assert found.interval[0] < 2.0 < found.interval[1]
    assert found.records.height >= 7


@pytest.mark.parametrize(
    ("change", "model", "reference", "error", "message"),
    [
        ({}, "none", None, UsageError, "no model 'none'"),
        ({}, "mine", "nobody", UsageError, "no family is called 'nobody'"),
        ({"value": -pl.col("value")}, "mine", "ref", UsageError, "cannot measure mine"),
        ({"family": None}, "mine", None, DataError, "family"),
    ],
)
def test_what_cannot_be_measured_is_said(
    change: dict[str, pl.Expr | None],
    model: str,
    reference: str | None,
    error: type[Exception],
    message: str,
) -> None:
    given = table()
    for name, value in change.items():
        given = given.drop(name) if value is None else given.with_columns(value.alias(name))
    with pytest.raises(error, match=message):
        effective_size(given, model, reference)
