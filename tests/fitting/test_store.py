"""Saving and loading: the loaded result equals the saved one, for every kind of result."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import augury
from augury.errors import DataError, UsageError
from augury.fitting.records import MOVED, Bulk, from_record, to_record
from augury.forecast import Chain, backtest, combine, fit_chain, predict
from augury.laws import Chinchilla, LogisticTask, PowerLaw
from tests.laws.cases import TRUTH, inputs

pytestmark = pytest.mark.slow


def equal(a: Any, b: Any) -> bool:
    """Field by field, array by array, table by table."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=True)
    if isinstance(a, pl.DataFrame):
        return a.equals(b)
    if type(a) is not type(b) and not isinstance(a, dict | float | int):
        return False
    if is_dataclass(a) and not isinstance(a, type):
        return all(equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, float):
        return a == b or (a != a and b != b)
    return bool(a == b)


POINTS = 30  # one compiled size for the whole table and any part of it


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    x = inputs(Chinchilla(), POINTS)
    loss = PowerLaw()(TRUTH["power"], params=x["params"])
    loss = loss * np.exp(0.003 * rng.standard_normal(POINTS))
    value = LogisticTask()(TRUTH["logistic-task"], loss=loss)
    return pl.DataFrame({**x, "loss": loss, "value": value + 0.005 * rng.standard_normal(POINTS)})


@pytest.fixture(scope="module")
def results(table: pl.DataFrame) -> dict[str, Any]:
    """One result of each kind from a table of losses and scores."""
    chain = Chain(PowerLaw(), LogisticTask())
    fitted = fit_chain(chain, table)
    at = {"params": [7e9, 7e10]}
    losses = table.drop("value")
    flops = 6 * pl.col("params") * pl.col("tokens")
    return {
        "fit": augury.fit("power", losses),
        "setting": augury.fit(
            "broken-power:breaks=1,over=flops", losses.with_columns(flops=flops),
            uncertainty="none", influence=False),
        "fit of a chain": augury.fit(chain, table, influence=False),
        "chain fit": fitted,
        "many fits": augury.fit_many(
            "power", losses.with_columns(task=pl.Series(["a", "b"] * (POINTS // 2))), by="task",
            pool=True,
        ),
        "forecasts": predict(fitted, at),
        "forecast": predict(fitted, at)[0],
        "backtest": backtest(["power", "constant"], losses, holdout="params > 1e9"),
        "combination": combine(["power", "constant"], losses),
    }  # fmt: skip


KINDS = (
    "fit", "setting", "fit of a chain", "chain fit", "many fits", "forecasts", "forecast",
    "backtest", "combination",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_loaded_is_what_was_saved(
    results: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    result = results[kind]
    folder = augury.save(result, tmp_path / "saved")
    again = augury.load(folder)
    assert type(again) is type(result)
    assert equal(result, again)
    assert {p.suffix for p in folder.iterdir()} <= {".json", ".parquet"}


def test_a_loaded_chain_forecasts_the_same(results: dict[str, Any], tmp_path: Path) -> None:
    fitted = results["chain fit"]
    again = augury.load(augury.save(fitted, tmp_path / "chain"))
    at = {"params": [7e9]}
    assert predict(again, at) == predict(fitted, at)


def test_a_folder_of_something_else_is_left_alone(results: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="nothing is written"):
        augury.save(results["backtest"], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(DataError, match="holds no saved result"):
        augury.load(tmp_path)


@pytest.mark.parametrize(
    "path",
    ["os:system", "augury.fitting.store:save", "builtins:eval", "augury.runtime.jobs:run_jobs",
     "augury.fitting.single:np", "augury.forecast.nothing:Fit"],
)  # fmt: skip
def test_a_record_names_classes_of_results_and_nothing_else(path: str, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    pl.DataFrame({"array": [], "x": []}).write_parquet(folder / "arrays.parquet")
    for result in ({"class": path, "fields": {}}, {"enum": path, "value": "x"}):
        record = {"format": 1, "version": "0", "result": result}
        (folder / "result.json").write_text(json.dumps(record))
        with pytest.raises(DataError, match="damaged"):
            augury.load(folder)


@pytest.mark.parametrize("old", MOVED)
def test_a_class_that_moved_is_found_by_its_old_path(old: str) -> None:
    moved = {"class": old, "fields": {}}
    with pytest.raises(TypeError, match="missing"):  # it is found, but lacks its fields
        from_record(moved, Bulk())


def test_a_later_format_is_refused(results: dict[str, Any], tmp_path: Path) -> None:
    folder = augury.save(results["backtest"], tmp_path / "saved")
    record = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(DataError, match="later version"):
        augury.load(folder)


def test_what_cannot_be_saved_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot save"):
        augury.save({"a": object()}, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_plain_values_come_back() -> None:
    bulk = Bulk()
    value = {"a": (1, 2.5, None, True, "x"), "b": [float("inf"), float("-inf")], (1, "k"): {}}
    assert from_record(json.loads(json.dumps(to_record(value, bulk))), bulk) == value
