"""Tables of docs/ are made from their records."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
from benchmarks import choices, demo_seeds, intrinsic, pruning
from benchmarks.law_figures import FIGURES, PAGE, RECORD, page_of


def test_the_table_is_made_from_the_record() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert set(record) <= set(FIGURES)
    text = PAGE.read_text(encoding="utf-8")
    assert page_of(text, record) == text, "run `python -m benchmarks.law_figures`"
    for name, ours in record.items():
        assert f"| {ours} | `python -m benchmarks.law_figures --run {name}` |" in text


def test_pruned_models_are_as_good_as_dense_ones_of_their_average_size() -> None:
    """By interpolation between the dense runs of the record, without a law."""
    runs = pl.DataFrame(json.loads(pruning.RECORD.read_text())["runs"])
    dense = runs.filter(pl.col("density") == 1).sort("params")
    cut = runs.filter(pl.col("density") < 1)

    def off(column: str) -> float:
        at = np.interp(np.log(cut[column]), np.log(dense["params"]), np.log(dense["loss"]))
        return float(np.mean(np.log(cut["loss"].to_numpy()) - at))

    assert abs(off("params_mean")) < 0.01
    assert off("left") < -0.015
    assert off("params") > 0.02


def test_few_dimensions_do_for_every_size() -> None:
    """The table of docs/laws.md matches the record: d_90 hardly moves over a sevenfold size."""
    found = json.loads(intrinsic.RECORD.read_text())["found"]["sort-letters, logprob"]
    text = PAGE.read_text(encoding="utf-8")
    for row in found["models"]:
        cells = [row["params"], row["dimension"]]
        assert (
            f"| {cells[0]:,.0f} | {cells[1]:,.0f} | {row['low']:,.0f} to {row['high']:,.0f} |"
            in text
        )
    low, high = found["exponent"]["interval"]
    assert low < 0 < high < 0.5


def test_the_table_of_choices_is_the_record() -> None:
    record = json.loads(choices.RECORD.read_text(encoding="utf-8"))
    assert choices.table_of(record) in PAGE.read_text(encoding="utf-8")


def test_the_table_of_the_demo_over_seeds_is_the_record() -> None:
    rows = json.loads(demo_seeds.RECORD.read_text(encoding="utf-8"))
    text = demo_seeds.PAGE.read_text(encoding="utf-8")
    assert demo_seeds.page_of(text, rows) == text, "run `python -m benchmarks.demo_seeds`"
