"""The intrinsic dimension of finetuning, estimated from curves with a known dimension."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from augury.errors import DataError, UsageError
from augury.forecast.intrinsic import measure_intrinsic_dimension

DIMENSIONS = (4, 16, 64, 256, 1024)


def sweep(exponent: float, noise: float = 0.0, seeds: int = 3, seed: int = 0) -> pl.DataFrame:
    """Gains linear in log dimensions that reach 90 % at 2 params^exponent."""
    rng = np.random.default_rng(seed)
    rows = []
    for params in (1e3, 3e3, 1e4, 3e4):
        run = {"run": f"w{params:g}", "params": params}
        d_90 = 2 * params**exponent
        rows.append({**run, "finetune_examples": 0, "logprob": -20.0, "seed": None})
        for draw in range(seeds):
            own = d_90 * np.exp(noise * rng.standard_normal())
            tuned = {**run, "finetune_examples": 500, "seed": draw}
            rows.append({**tuned, "logprob": -10.0, "trained_params": None})
            for d in DIMENSIONS:
                share = np.maximum(0.9 + 0.1 * np.log(d / own), 0)
                rows.append({**tuned, "logprob": -20 + 10 * share, "trained_params": float(d)})
    return pl.DataFrame(rows, infer_schema_length=None)


def test_known_dimensions_come_back() -> None:
    found = measure_intrinsic_dimension(sweep(0.5))
    np.testing.assert_allclose(found.table["dimension"], 2 * found.table["params"] ** 0.5)
    assert found.exponent is not None
    assert found.exponent.value == pytest.approx(0.5)
    assert found.predict(1e5).value == pytest.approx(2 * 1e5**0.5)
    np.testing.assert_allclose(found.table["gain"], 10.0)
    assert str(found) == "d_90 grows as params^0.5 [0.5, 0.5]"


@pytest.mark.slow
def test_the_intervals_hold_what_they_say() -> None:
    """Over 150 sweeps, 90 % intervals cover the exponent and dimensions of known and new models."""
    held = np.zeros(3)
    for seed in range(150):
        found = measure_intrinsic_dimension(sweep(0.5, noise=0.3, seed=seed))
        assert found.exponent is not None
        low, high = found.exponent.interval
        first = found.table.row(0, named=True)
        fresh = 2 * 1e5**0.5 * np.exp(0.3 / 3**0.5 * np.random.default_rng(seed + 999).normal())
        ahead = found.predict(1e5).interval
        held += [low < 0.5 < high, first["low"] < 2 * 1e3**0.5 < first["high"],
                 ahead[0] < fresh < ahead[1]]  # fmt: skip
    assert (np.abs(held / 150 - 0.9) < 3 * np.sqrt(0.09 / 150)).all(), held / 150


def test_a_share_that_no_subspace_has_is_not_guessed() -> None:
    too_wide = (pl.col("params") == 3e4) & (pl.col("trained_params") > 64)
    table = sweep(0.5).filter(~too_wide.fill_null(False))
    found = measure_intrinsic_dimension(table)
    last = found.table.row(-1, named=True)
    assert last["dimension"] is None
    assert last["reached"] == 0
    few = measure_intrinsic_dimension(table.filter(pl.col("params") != 1e3))
    assert few.exponent is None
    with pytest.raises(UsageError, match="needs 3 models"):
        few.predict(1e5)


def test_bad_tables_and_calls() -> None:
    table = sweep(0.5)
    with pytest.raises(DataError, match="has no column 'trained_params'"):
        measure_intrinsic_dimension(table.drop("trained_params"))
    with pytest.raises(DataError, match="rows with trained_params, and rows without"):
        measure_intrinsic_dimension(table.filter(pl.col("trained_params").is_null()))
    with pytest.raises(UsageError, match="share must be between 0 and 1, not 90"):
        measure_intrinsic_dimension(table, share=90)
    twice = pl.concat(
        [table, table.with_columns(finetune_examples=pl.col("finetune_examples") * 2)]
    )
    with pytest.raises(DataError, match="several values of finetune_examples: 500, 1000"):
        measure_intrinsic_dimension(twice)
    worse = table.with_columns(logprob=-pl.col("logprob"))
    with pytest.raises(DataError, match="gained nothing of logprob"):
        measure_intrinsic_dimension(worse)
