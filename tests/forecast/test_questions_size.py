"""Effective sizes, compared with the true curve and with SciPy's fit of a real family."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.optimize import curve_fit

from augury.data import read_table
from augury.errors import DataError, UsageError
from augury.forecast.questions import measure_size
from augury.notes import Outcome
from tests.shared import DATA

BASES = DATA / "u-shape" / "base_models_with_release_dates.csv"
needs_bases = pytest.mark.skipif(not BASES.exists(), reason="the shared data are absent")
TASKS = {"mmlu": (40.0, 0.17, 0.25), "gsm": (2000.0, 0.33, 0.0), "arc": (15.0, 0.14, 0.25),
         "code": (900.0, 0.3, 0.0)}  # fmt: skip


def score(task: str, size: float) -> float:
    c, alpha, chance = TASKS[task]
    return float(chance + (1 - chance) * np.exp(-c * size**-alpha))


def zoo(density: float, noise: float, seed: int) -> pl.DataFrame:
    """A family of five sizes, and a 3B model that scores like one `density` times as large."""
    rng = np.random.default_rng(seed)
    rows = []
    for task, (_, _, chance) in TASKS.items():
        rows += [
            (f"ref-{n:g}", "ref", n, task, score(task, n) + noise * rng.normal(), chance)
            for n in (1e9, 3e9, 7e9, 2e10, 7e10)
        ]
        own = score(task, density * 3e9) + noise * rng.normal()
        rows.append(("new", "other", 3e9, task, own, chance))
    names = ["model", "family", "params", "task", "value", "chance"]
    return pl.DataFrame(rows, schema=names, orient="row")


@pytest.mark.slow
def test_the_size_is_the_curves_own() -> None:
    found = measure_size(zoo(4.0, 0.0, 0), reference="ref", model="new")
    assert found.effective_params.value == pytest.approx(1.2e10, rel=1e-3)
    assert found.density == pytest.approx(4.0, rel=1e-3)
    assert [r["family"] for r in found.references] == ["ref"]
    assert isinstance(found, Outcome)
    assert "density 4" in " ".join(found.chart().to_dict()["title"]["text"])


def test_a_table_with_a_column_per_task_says_the_same() -> None:
    table = zoo(4.0, 0.0, 0)
    wide = table.drop("chance").pivot(on="task", index=["model", "family", "params"])
    found = measure_size(wide, reference="ref", model="new", scores=list(TASKS),
                           chance={"mmlu": 0.25, "arc": 0.25})  # fmt: skip
    long = measure_size(table, reference="ref", model="new")
    assert found.effective_params.value == pytest.approx(long.effective_params.value)


def test_a_score_that_no_size_has_is_left_out() -> None:
    table = zoo(4.0, 0.0, 0).with_columns(
        value=pl.when((pl.col("model") == "new") & (pl.col("task") == "gsm"))
        .then(1.0).otherwise("value")
    )  # fmt: skip
    found = measure_size(table, reference="ref", model="new")
    assert found.effective_params.value == pytest.approx(1.2e10, rel=1e-3)
    assert "undefined-size" in [n.code for n in found.notes]


@needs_bases
def test_mistral_by_llama_2_is_scipys() -> None:
    columns = {"model": "Model", "family": "Model Family", "params": "Model Size (B)"}
    table = read_table(BASES, columns=columns, scale={"params": 1e9})
    name = "mistralai/Mistral-7B-v0.1"
    found = measure_size(table, reference="Llama-2", model=name, scores=["MMLU"],
                           chance={"MMLU": 0.25})  # fmt: skip
    family = table.filter(pl.col("family") == "Llama-2")
    n, y = family["params"].to_numpy(), family["MMLU"].to_numpy()

    def curve(log_n: np.ndarray, log_c: float, alpha: float) -> np.ndarray:
        return 0.25 + 0.75 * np.exp(-np.exp(log_c - alpha * log_n))

    (log_c, alpha), _ = curve_fit(curve, np.log(n), y, p0=(6.0, 0.25))
    q = (table.filter(pl.col("model") == name)["MMLU"][0] - 0.25) / 0.75
    size = np.exp((log_c - np.log(-np.log(q))) / alpha)
    assert found.effective_params.value == pytest.approx(size, rel=1e-3)


def share_held(n: int, seed: int) -> float:
    """How often the 90 % interval over four tasks holds: scores with noise of half a point."""
    held = 0
    for k in range(seed, seed + n):
        found = measure_size(zoo(4.0, 0.005, k), reference="ref", model="new")
        low, high = found.effective_params.interval
        held += bool(low <= 1.2e10 <= high)
    return held / n


@pytest.mark.claims
def test_the_interval_holds_as_often_as_it_says() -> None:
    assert 0.83 <= share_held(200, 1000) <= 0.96


def test_what_is_asked_wrongly_is_said() -> None:
    table = zoo(4.0, 0.0, 0)
    with pytest.raises(UsageError, match="no family is called 'x'"):
        measure_size(table, reference="x", model="new")
    with pytest.raises(UsageError, match="no model is called 'y'"):
        measure_size(table, reference="ref", model="y")
    with pytest.raises(DataError, match="has 1 sizes"):
        measure_size(table, reference="other", model="ref-1e+09")
    with pytest.raises(DataError, match="column 'task'"):
        measure_size(table.drop("task"), reference="ref", model="new")
    twice = pl.concat([table, table.filter(pl.col("model") == "new")])
    with pytest.raises(DataError, match="two scores for one task"):
        measure_size(twice, reference="ref", model="new")
