"""Laws of loss in parameters, tokens and experts, checked against figures of their papers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from benchmarks.law_data import BASE, REPEATS, clark, gadre, muennighoff

import augury
from augury.errors import DataError, UsageError
from augury.fitting import Gaussian
from augury.fitting.optimise import objectives
from augury.fitting.problem import problem_of
from augury.laws import DataConstrained, OverTraining, Routed, mean_params, with_params_mean
from tests.shared import DATA

needs_data = pytest.mark.skipif(not DATA.exists(), reason="the shared data are absent")


def test_four_epochs_are_nearly_as_good_as_fresh_data() -> None:
    law = DataConstrained(base=(*BASE, BASE[-1]))
    # Small models, so that only the tokens' term repeats; the loss gives the worth.
    fresh, once = np.array([1e10]), {"params": 1e5, "unique_tokens": 1e10}
    for epochs, worth in ((4, 3.73), (16, 10.6), (1e4, 16.4)):
        loss = law(REPEATS, tokens=epochs * fresh, **once)
        tokens = worth * fresh
        equal = law(REPEATS, params=1e5, tokens=tokens, unique_tokens=tokens)
        assert loss == pytest.approx(equal, rel=1e-4)
    # Without repeats it is Chinchilla, and unseen distinct tokens change nothing.
    once = law(REPEATS, params=1e8, tokens=1e10, unique_tokens=1e10)
    more = law(REPEATS, params=1e8, tokens=1e10, unique_tokens=1e12)
    chinchilla = BASE[0] + BASE[1] * 1e8 ** -BASE[3] + BASE[2] * 1e10 ** -BASE[3]
    assert once == pytest.approx(chinchilla, rel=1e-9)
    assert more == pytest.approx(chinchilla, rel=1e-9)


@needs_data
@pytest.mark.slow
def test_muennighoff_the_published_objective_is_beaten_and_its_valley_seen() -> None:
    table, law = muennighoff(), DataConstrained(base=(*BASE, BASE[-1]))
    problem = problem_of(law, table)
    at = problem.space.internal(np.array([[REPEATS["R_D"], REPEATS["R_N"]]]))
    published = objectives(law, problem.likelihood, at, problem.points, problem.ones)[0]
    assert published == pytest.approx(0.01582594, abs=1e-8)
    fitted = augury.fit(law, table, influence=False, resamples=200)
    assert fitted.objective < published
    low, high = fitted.intervals["R_D"]
    assert low < 47 < high
    assert high > 10 * low


@pytest.mark.slow
@needs_data
def test_gadre_published_constants_and_errors() -> None:
    small, large = gadre()
    fitted = augury.fit(
        OverTraining(), small, likelihood=Gaussian("linear"), uncertainty="none", influence=False
    )
    p = fitted.parameters
    # Published as al N^b + be 6^(b/2) D^b, so that a = al 6^eta.
    assert p["a"] * 6 ** -p["eta"] == pytest.approx(166.211, rel=1e-4)
    assert p["b"] == pytest.approx(366.687, rel=1e-4)
    assert p["eta"] == pytest.approx(0.2728507 / 2, rel=1e-5)
    assert p["E"] == pytest.approx(1.8366484, rel=1e-5)
    value = fitted.law(p, params=large["params"], tokens=large["tokens"])
    off = 100 * np.abs(value / large["loss"].to_numpy() - 1)
    assert off == pytest.approx([0.7103, 0.7320], abs=1e-4)


@needs_data
@pytest.mark.slow
def test_clark_constants_of_rl_r_to_the_third_digit() -> None:
    table = clark("RL-R")
    assert table.height == 61
    fitted = augury.fit(Routed(), table, likelihood="log-gaussian", influence=False)
    p = fitted.parameters
    for name, published in {"a": -0.083, "b": -0.126, "c": 0.012, "d": 1.111}.items():
        assert p[name] == pytest.approx(published, abs=1.1e-3)
    assert p["E_start"] == pytest.approx(1.880, rel=0.02)
    low, high = fitted.intervals["E_max"]
    assert low < 470 < high


@pytest.mark.parametrize(
    ("law", "column", "bad", "expected"),
    [
        ("data-constrained", "unique_tokens", 0.0, "positive"),
        ("three-powers", "unique_tokens", -1.0, "positive"),
        ("over-training", "tokens", float("nan"), "positive"),
        ("routed", "experts", 0.0, "positive"),
        ("expert-power", "params_active", -5.0, "positive"),
        ("joint-experts", "experts", float("inf"), "positive"),
        ("average-params", "params_mean", 0.0, "positive"),
        ("parallel-streams", "streams", -1.0, "positive"),
        ("precision", "bits_weights", 0.0, "positive"),
        ("vocabulary", "vocabulary_params", -2.0, "positive"),
        ("distillation", "loss_teacher", 0.0, "positive"),
        ("learning-rate-bowl", "learning_rate", 0.0, "positive"),
    ],
)
def test_a_value_that_no_run_can_have_is_named(
    law: str, column: str, bad: float, expected: str
) -> None:
    parsed = augury.law(law)
    parameters, inputs = parsed.example(20)
    table = pl.DataFrame({**inputs, parsed.output: parsed(parameters, **inputs)})
    wrong = table.with_columns(
        pl.when(pl.int_range(20) == 3).then(bad).otherwise(column).alias(column)
    )
    with pytest.raises(DataError, match=f"row 4.*{column}.*{expected}"):
        augury.fit(law, wrong)


@needs_data
@pytest.mark.slow
def test_gadre_published_errors_of_average_error() -> None:
    small, large = gadre()
    middle = gadre(more=True)[0].filter(pl.col("params") > 1e9)
    fitted = augury.fit(
        OverTraining(), small, likelihood=Gaussian("linear"), uncertainty="none", influence=False
    )
    error = augury.fit(
        "exponential-error",
        pl.concat([small, middle]).drop("params", "tokens", "multiple"),
        likelihood=Gaussian("linear"),
        uncertainty="none",
        influence=False,
    )
    loss = fitted.law(fitted.parameters, params=large["params"], tokens=large["tokens"])
    value = error.law(error.parameters, loss=loss)
    off = 100 * np.abs(value / large["value"].to_numpy() - 1)
    assert off == pytest.approx([3.6365, 0.0464], abs=2e-3)


def test_average_params_are_those_of_the_schedule_summed_up() -> None:
    at = (np.arange(100_000) + 0.5) / 100_000
    for ramp, start, end, density in (("linear", 0.25, 0.75, 0.5), ("cubic", 0.1, 0.9, 0.2)):
        u = np.clip((at - start) / (end - start), 0.0, 1.0)
        sparsity = (1 - density) * (u if ramp == "linear" else 1 - (1 - u) ** 3)
        assert mean_params(1e9, density, start, end, ramp) == pytest.approx(
            1e9 * (1 - sparsity).mean(), rel=1e-6
        )
    table = pl.DataFrame(
        {"params": [1e9, 1e9], "density": [None, 0.5], "prune_start": [None, 0.25],
         "prune_end": [None, 0.75]}
    )  # fmt: skip
    assert with_params_mean(table)["params_mean"].to_list() == pytest.approx([1e9, 7.5e8])
    # Dense, it is Chinchilla.
    p = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
    assert augury.law("average-params")(p, params_mean=1e9, tokens=1e11) == pytest.approx(
        augury.law("chinchilla")(p, params=1e9, tokens=1e11)
    )
    with pytest.raises(DataError, match=r"row 2.*density"):
        with_params_mean(table.with_columns(density=pl.Series([None, 1.5])))
    with pytest.raises(DataError, match="'prune_end': the column is missing"):
        with_params_mean(table.drop("prune_end"))
    with pytest.raises(UsageError, match="no ramp is called 'steep'"):
        mean_params(1e9, 0.5, 0.1, 0.2, "steep")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not 'optimiser'"):
        augury.law("precision", parts="optimiser")


def test_settings_of_a_data_constrained_law() -> None:
    with pytest.raises(UsageError, match="1 or 2 exponents, not 3"):
        DataConstrained(exponents=3)
    with pytest.raises(UsageError, match="base=E;A;B;alpha;beta"):
        DataConstrained(base=(1.0, 2.0))
