"""Scores of models of any family, from their other scores."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from augury.errors import DataError, UsageError
from augury.forecast.families import components, fit_observational
from tests.shared import DATA

RUAN = DATA / "obs-scaling"
BENCHMARKS = ["MMLU", "ARC-C", "HellaSwag", "Winograd", "TruthfulQA", "GSM8K", "XWinograd",
              "HumanEval"]  # fmt: skip
# Test error of Ruan et al.'s protocol with three components and with one (recomputed by others).
PUBLISHED = {
    "word_unscrambling_2_exact_match": (0.0137, 0.0097),
    "ipa_transliterate_2_exact_match": (0.612, 0.0097),  # with three it fails completely
    "parsinlu_qa_2_acc": (0.0133, 0.0221),
    "arithmetic_3ds_2_acc": (0.0014, 0.0192),
    "arithmetic_3da_2_acc": (0.0034, 0.0337),
    "arithmetic_2dm_2_acc": (0.0085, 0.0156),
    "arithmetic_2da_2_acc": (0.0000, 0.0260),
}
LIMIT = 84.0  # 1e21 FLOPs


@pytest.mark.slow
@pytest.mark.skipif(not RUAN.exists(), reason="the shared data are absent")
def test_published_errors_of_seven_tasks() -> None:
    base = pl.read_csv(RUAN / "base_llm_benchmark_eval.csv")
    known = pl.read_csv(RUAN / "base_llm_emergent_capability_eval.csv")
    known = known.join(base, on="Model").drop_nulls("FLOPs (1E21)")
    small = pl.col("FLOPs (1E21)") <= LIMIT
    plane = base.filter(small)
    assert components(plane, BENCHMARKS).explained[:3] == pytest.approx(
        [0.59, 0.26, 0.05], abs=6e-3
    )
    for task, published in PUBLISHED.items():
        for count, error in zip((3, 1), published, strict=True):
            fitted = fit_observational(known.filter(small), task, BENCHMARKS, count=count,
                                       plane=plane, resamples=2)  # fmt: skip
            ahead = fitted.predict(known.filter(~small).drop_nulls(task))
            found = float(((ahead["forecast"] - ahead[task]) ** 2).mean())  # type: ignore[arg-type]
            assert found == pytest.approx(error, abs=2e-4, rel=1e-3), (task, count)


def models(n: int = 60, seed: int = 0) -> pl.DataFrame:
    """Two skills, six benchmarks, a task of the first skill, and some missing scores."""
    rng = np.random.default_rng(seed)
    skill = rng.standard_normal((n, 2)) * [1.5, 0.6]
    loads = rng.uniform(0.3, 1.0, (6, 2))
    z = skill @ loads.T + 0.05 * rng.standard_normal((n, 6))
    table = {f"b{j}": 1 / (1 + np.exp(-z[:, j])) for j in range(6)}
    table["task"] = 0.1 + 0.9 / (1 + np.exp(-(z[:, 0] + z[:, 1]))) + 0.02 * rng.standard_normal(n)
    frame = pl.DataFrame(table)
    return frame.with_columns(b3=pl.when(pl.int_range(n) % 9 == 0).then(None).otherwise("b3"))


NAMES = [f"b{j}" for j in range(6)]


def test_a_task_is_forecast_for_models_that_were_never_run_on_it() -> None:
    table = models()
    fitted = fit_observational(table[:40], "task", NAMES, count=2)
    ahead = fitted.predict(table[40:])
    assert (ahead["forecast"] - ahead["task"]).abs().mean() < 0.03  # type: ignore[operator]
    held = (ahead["task"] >= ahead["low"]) & (ahead["task"] <= ahead["high"])
    assert held.mean() >= 0.7  # type: ignore[operator]
    assert fitted.components.explained[:2].sum() > 0.95
    assert fitted.to_dict()["models"] == 40


def test_what_cannot_be_fitted_is_said() -> None:
    table = models()
    with pytest.raises(UsageError, match="count must be 1 to 6, not 7"):
        fit_observational(table, "task", NAMES, count=7)
    with pytest.raises(DataError, match="'none'"):
        fit_observational(table, "none", NAMES)
    with pytest.raises(DataError, match="4 models cannot give the components of 6"):
        fit_observational(table[:4], "task", NAMES)
    with pytest.raises(DataError, match=r"'b0'.*same score"):
        fit_observational(table.with_columns(b0=pl.lit(0.5)), "task", NAMES)
    few = table.with_columns(task=pl.when(pl.int_range(60) < 3).then("task"))
    with pytest.raises(DataError, match="3 models have the task"):
        fit_observational(few, "task", NAMES)
