"""Forecasts: values, intervals, distance, chains, backtests and the choice among laws."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from augury.errors import DataError, UsageError
from augury.fitting import Gaussian, fit
from augury.forecast import Chain, backtest, combine, compare, fit_chain, predict
from augury.forecast.ladder import PRIOR_CUTS, pooled_spread
from augury.forecast.score import crps
from augury.laws import Chinchilla, LogisticTask, PassRate, law, parse_law
from tests.fitting.test_fit import runs
from tests.laws.cases import TRUTH

SCORE = {"low": 0.25, "high": 0.95, "L0": 2.6, "k": 4.0}


def scored_runs(count: int, seed: int = 0) -> pl.DataFrame:
    """Ladders with losses and scores, both noisy."""
    table = runs(count, 4, 0.003, seed)
    rng = np.random.default_rng(seed + 100)
    score = LogisticTask()(SCORE, loss=table["loss"].to_numpy())
    noisy = score + 0.004 * rng.standard_normal(table.height)
    flops = 6 * table["params"] * table["tokens"]
    return table.with_columns(value=pl.Series(noisy), flops=flops)


@pytest.mark.slow
def test_a_forecast_knows_how_far_out_it_is() -> None:
    table = runs(40)
    fitted = fit("chinchilla", table)
    low, high = np.log(table["params"].min()), np.log(table["params"].max())
    inside, outside = np.exp((low + high) / 2), np.exp(high + 0.5 * (high - low))
    tokens = float(np.exp(np.log(table["tokens"].to_numpy()).mean()))
    near, far = predict(fitted, {"params": [inside, outside], "tokens": [tokens, tokens]})
    assert near.extrapolation == 0.0
    assert far.extrapolation == pytest.approx(0.5)
    for f in (near, far):
        assert f.mean_interval[0] < f.value < f.mean_interval[1]
    width = [f.mean_interval[1] - f.mean_interval[0] for f in (near, far)]
    runs_width = [f.run_interval[1] - f.run_interval[0] for f in (near, far)]
    assert width[1] > width[0]
    assert runs_width[0] > 1.2 * width[0]  # here the noise of a run matters
    assert runs_width[1] > 0.98 * width[1]  # there the law's noise from 1,000 draws hides it


def test_tokens_follow_from_flops() -> None:
    fitted = fit("chinchilla", runs(20))
    a = predict(fitted, {"params": 1e9, "tokens": 2e10})[0]
    b = predict(fitted, {"params": 1e9, "flops": 6 * 1e9 * 2e10})[0]
    assert a.value == pytest.approx(b.value, rel=1e-12)
    with pytest.raises(UsageError, match="'tokens' is missing"):
        predict(fitted, {"params": 1e9})
    with pytest.raises(DataError, match="column 'params'"):
        predict(fitted, {"params": -1.0, "tokens": 1.0})
    with pytest.raises(UsageError, match="cannot forecast with a str"):
        predict("fit", {"params": 1e9})


@pytest.mark.slow
def test_an_input_that_never_varied_is_infinitely_far() -> None:
    table = runs(20).with_columns(chance=pl.lit(0.1))
    rate = PassRate()(TRUTH["pass-rate"], params=table["params"].to_numpy(), chance=0.1)
    data = table.select("params", "chance").with_columns(value=pl.Series(rate))
    fitted = fit("pass-rate", data, likelihood=Gaussian("log"))
    assert predict(fitted, {"params": 1e9})[0].value == pytest.approx(
        PassRate()(TRUTH["pass-rate"], params=np.array([1e9]), chance=0.1).item(), rel=1e-6
    )
    one_size = fit("power", runs(20).with_columns(params=pl.lit(1e8)), uncertainty="none")
    assert predict(one_size, {"params": 2e8})[0].extrapolation == np.inf


@pytest.mark.parametrize("how", ["stepwise", "joint"])
@pytest.mark.slow
def test_a_chain_recovers_both_laws(how: str) -> None:
    table = scored_runs(40)
    chain = Chain(Chinchilla(), LogisticTask())
    fitted = fit_chain(chain, table, how=how, resamples=300)  # type: ignore[arg-type]
    assert fitted.status == "converged"
    n, d = float(table["params"].max()), float(table["tokens"].max())
    loss = Chinchilla()(TRUTH["chinchilla"], params=np.array([n]), tokens=np.array([d]))
    truth = LogisticTask()(SCORE, loss=loss).item()
    f = predict(fitted, {"params": n, "tokens": d})[0]
    assert f.value == pytest.approx(truth, abs=0.02)
    assert f.mean_interval[0] < f.value < f.mean_interval[1]
    # As one law, the chain is its two laws in sequence.
    both = {**fitted.loss.parameters} | {f"task_{k}": v for k, v in fitted.task.parameters.items()}
    assert chain(both, params=np.array([n]), tokens=np.array([d])).item() == pytest.approx(f.value)


@pytest.mark.slow
def test_a_chains_errors_are_those_of_one_resample() -> None:
    """Draws of both laws are paired: shuffling one changes no width if they were independent,
    but a run drawn twice pulls both laws together."""
    fitted = fit_chain("chinchilla+logistic-task", scored_runs(40), resamples=300)
    with pytest.raises(UsageError, match="takes a chain of two laws, not 'chinchilla'"):
        fit_chain("chinchilla", scored_runs(40))
    assert len(fitted.loss.draws) == len(fitted.task.draws)
    assert fitted.loss.uncertainty == fitted.task.uncertainty == "bootstrap"
    few = fit_chain(Chain(Chinchilla(), LogisticTask()), scored_runs(9), resamples=100)
    assert few.loss.uncertainty == "laplace"


def test_chains_are_read_from_text_and_checked() -> None:
    chain = parse_law("chinchilla+logistic-task:over=bpb")
    assert isinstance(chain, Chain)
    assert chain.link == "bpb"
    assert str(chain) == "chinchilla+logistic-task:over=bpb"
    assert not isinstance(parse_law("chinchilla"), Chain)
    with pytest.raises(UsageError, match="takes one input"):
        parse_law("chinchilla+kaplan")


@pytest.mark.slow
def test_backtests_find_the_law_that_made_the_data() -> None:
    table = runs(40, noise=0.002).with_columns(flops=6 * pl.col("params") * pl.col("tokens"))
    tested = backtest(["chinchilla", "compute", "kaplan"], table, holdout="params > 1e9")
    assert tested.summary["law"][0] == "chinchilla"
    best = tested.rows.filter(pl.col("law") == "chinchilla")
    assert best["error"].abs().max() < 0.05
    held = best["held"].mean()
    assert isinstance(held, float)
    assert held > 0.7
    assert (
        compare(["chinchilla", "compute"], table, holdout="params > 1e9")["law"][0] == "chinchilla"
    )


@pytest.mark.slow
def test_an_expanding_window_never_sees_what_it_forecasts() -> None:
    x = np.geomspace(1e7, 1e10, 10)
    table = pl.DataFrame({"params": x, "loss": 1.7 + 400 * x**-0.34})
    tested = backtest("power", table, likelihood="gaussian")
    cuts = tested.rows["cut"].unique().to_list()
    assert len(cuts) == 10 - 4
    # A forecast that saw the future would follow its change; this one must miss it.
    broken = table.with_columns(loss=pl.when(pl.col("params") > 3e9).then(9.0).otherwise("loss"))
    other = backtest("power", broken, likelihood="gaussian").rows
    early = other.filter(pl.col("cut") == tested.rows["cut"][0])
    first = tested.rows.filter(pl.col("cut") == tested.rows["cut"][0])
    assert np.allclose(early["value"], first["value"], rtol=1e-9)


def test_backtests_that_cannot_be_made_say_so() -> None:
    table = runs(6)
    with pytest.raises(UsageError, match="nothing is left to fit"):
        backtest("power", table, holdout="params > 0")
    with pytest.raises(UsageError, match="cannot hold out by"):
        backtest("power", table, holdout="parms > 0")
    with pytest.raises(DataError, match="too few runs"):
        backtest("chinchilla", runs(4), by="params")
    with pytest.raises(UsageError, match="no column 'age'"):
        backtest("power", table, by="age")


def test_crps_is_that_of_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((20_000, 3))
    y = np.array([-0.5, 0.0, 2.0])
    exact = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi)
    assert crps(draws, y) == pytest.approx(exact, abs=0.01)


def test_a_backtests_errors_are_pooled_with_the_resamples_variance() -> None:
    """Cuts count equally, however many forecasts they have; expected errors change nothing."""
    rng = np.random.default_rng(0)
    told = [rng.standard_normal(2000), rng.standard_normal(3000)]
    assert pooled_spread(told) == pytest.approx(1.0, abs=0.02)
    assert pooled_spread([np.full(3, 2.0), np.full(300, 0.0)]) == pytest.approx(
        np.sqrt((PRIOR_CUTS + 4.0) / (PRIOR_CUTS + 2))
    )
    assert pooled_spread([]) == 1.0


@pytest.mark.slow
def test_a_combination_prefers_what_backtests_well_and_widens_what_did_not_hold() -> None:
    x = np.geomspace(1e7, 1e10, 12)
    rng = np.random.default_rng(5)
    loss = (1.7 + 400 * x**-0.34) * np.exp(0.002 * rng.standard_normal(12))
    table = pl.DataFrame({"params": x, "tokens": 20 * x, "flops": 120 * x * x, "loss": loss})
    chosen = combine(["power", "compute"], table, how="choose")
    assert chosen.best == "power"
    weighed = combine(["power", "compute"], table, how="weigh")
    assert weighed.weights["power"] > 0.8
    assert sum(weighed.weights.values()) == pytest.approx(1.0)
    f = predict(weighed, {"params": 3e10, "tokens": 6e11})[0]
    assert f.run_interval[0] < f.value < f.run_interval[1]
    with pytest.raises(UsageError, match="no laws"):
        combine([], table)
    assert law("power").name == "power"


def test_a_held_out_count_is_forecast_with_its_counting_noise() -> None:
    """Rates from 40 samples scatter by .05 around a law that 5,000 samples below pin down."""
    rng = np.random.default_rng(5)
    n = np.concatenate([np.geomspace(1e8, 1e9, 20), np.geomspace(1.1e9, 2e9, 300)])
    samples = np.repeat([5000, 40], [20, 300])
    passes = rng.binomial(samples, PassRate()({"c": 900.0, "alpha": 0.35}, params=n))
    table = {"params": n, "passes": passes, "samples": samples}
    report = backtest("pass-rate", table, holdout="params > 1.05e9")
    assert report.rows.height == 300
    assert 0.86 <= report.summary["coverage"].item() <= 0.96
    assert report.rows["observed"].to_numpy() == pytest.approx(passes[20:] / 40)


@pytest.mark.slow
def test_a_chain_whose_laws_have_different_numbers_of_draws_forecasts() -> None:
    """Refits at a bound give one law fewer draws than the other."""
    table = runs(30)
    score = 0.25 + 0.7 / (1 + np.exp(4 * (table["loss"].to_numpy() - 2.6)))
    table = table.with_columns(value=score + 0.01 * np.random.default_rng(0).standard_normal(30))
    chain = Chain(Chinchilla(), LogisticTask())
    whole = fit_chain(chain, table, resamples=200)
    at = {"params": 3e10, "tokens": 1e12}
    few = replace(whole, task=replace(whole.task, draws=whole.task.draws[:130]))
    forecast = predict(few, at)[0]
    assert forecast.value == predict(whole, at)[0].value
    assert forecast.mean_interval[0] < forecast.value < forecast.mean_interval[1]
    none = replace(whole, task=replace(whole.task, draws=whole.task.draws[:0]))
    assert np.isnan(predict(none, at)[0].mean_interval).all()
