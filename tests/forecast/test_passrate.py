"""Forecasts of pass rates from tables of counts: what they read, report and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from augury import cli
from augury.errors import DataError, UsageError
from augury.forecast.passrate import forecast_pass_rate, growth, series
from tests.shared import DATA


def straight(models: int = 6, samples: int = 4000, **columns: object) -> pl.DataFrame:
    """Every instance on its own line: F_s = 2 + u_s - .3 log x."""
    rng = np.random.default_rng(0)
    x = np.geomspace(1e8, 1e10, models)
    shift = 0.3 * rng.standard_normal(40)
    p = np.exp(-np.exp(1.6 + shift[None] - 0.2 * np.log(x / 1e9)[:, None]))
    passes = rng.binomial(samples, p)
    m, s = np.indices(passes.shape)
    return pl.DataFrame(
        {
            "model": [f"m{i}" for i in m.ravel()],
            "params": x[m.ravel()],
            "loss": 2 * (x[m.ravel()] / 1e9) ** -0.1,
            "instance": [f"i{i}" for i in s.ravel()],
            "passes": passes.ravel().astype(float),
            "samples": float(samples),
            **columns,
        }
    )


def truth(x: float) -> float:
    shift = 0.3 * np.random.default_rng(0).standard_normal(40)
    return float(np.exp(-np.exp(1.6 + shift - 0.2 * np.log(x / 1e9))).mean())


def test_the_line_is_that_of_scipy() -> None:
    counts = straight()
    (found,) = forecast_pass_rate(counts, [{"params": 3e10}])
    means = counts.group_by("params").agg(rate=(pl.col("passes") / pl.col("samples")).mean())
    x, rate = means.sort("params")["params"].to_numpy(), means.sort("params")["rate"].to_numpy()
    line = stats.linregress(np.log(x), np.log(-np.log(rate)))
    expected = np.exp(-np.exp(line.intercept + line.slope * np.log(3e10)))
    assert found.methods["line"].value == pytest.approx(expected, rel=1e-9)


def test_all_ways_find_straight_growth() -> None:
    (found,) = forecast_pass_rate(straight(), [{"params": 3e10}])
    for name, answer in found.methods.items():
        low, high = answer.interval
        assert low <= truth(3e10) <= high, name
        assert answer.value == pytest.approx(truth(3e10), rel=0.35), name
    assert found.growth.kind in ("scaling-law", "sub-scaling")  # a mean of lines is a bit convex
    assert found.extrapolation == pytest.approx(np.log(3) / np.log(100))


def test_the_mean_of_models_is_surer_than_one_of_them() -> None:
    """Lines on log(-log p) and on the logit, with and without the noise of a model."""
    (found,) = forecast_pass_rate(straight(), [{"params": 3e10}])
    (low, high), (mean_low, mean_high) = found.leading.interval, found.mean_interval
    assert low < mean_low < found.leading.value < mean_high < high
    assert mean_low < truth(3e10) < mean_high
    # Little scatter: most of the width is uncertainty of the line.
    assert found.run_share is not None
    assert 0.01 < found.run_share < 0.25
    told = found.to_dict()
    assert told["mean_interval"] == [mean_low, mean_high]
    assert f"of the average, {found.run_share:.0%} of the squared width" in str(found)


def test_exact_probabilities_and_stopped_counts_serve_as_well() -> None:
    counts = straight()
    rng = np.random.default_rng(1)
    p = (counts["passes"] / counts["samples"]).clip(1e-6, 1)
    exact = counts.drop("passes", "samples").with_columns(logprob=p.log())
    waits = rng.geometric(p.to_numpy()[:, None], (len(p), 5)).sum(1)
    stopped = counts.with_columns(
        passes=pl.Series(np.where(waits <= 3000, 5.0, 1.0)),
        samples=pl.Series(np.minimum(waits, 3000.0)),
    )
    assert series(counts, ("params",)).stopped == np.inf
    assert series(stopped, ("params",)).stopped == 5
    read = series(stopped, ("params",))
    assert read.rate == pytest.approx(series(counts, ("params",)).rate, rel=0.3), "unbiased"
    (a,) = forecast_pass_rate(counts, [{"params": 3e10}])
    (b,) = forecast_pass_rate(exact, [{"params": 3e10}])
    for name in ("line", "pooled"):
        assert b.methods[name].value == pytest.approx(a.methods[name].value, rel=0.3)


def test_a_series_grows_as_its_loss_falls() -> None:
    counts = straight()
    (over_loss,) = forecast_pass_rate(counts, [{"loss": 2 * 30**-0.1}], scale=("loss",))
    (over_params,) = forecast_pass_rate(counts, [{"params": 3e10}])
    for name in ("line", "pooled"):
        value = over_loss.methods[name].value
        assert value == pytest.approx(over_params.methods[name].value, rel=0.1), name
    both = forecast_pass_rate(
        counts, [{"params": 3e10, "loss": 2 * 30**-0.1}], scale=("params", "loss")
    )
    assert both[0].growth.kind in ("unknown", "scaling-law", "sub-scaling", "accelerated")


def test_chance_is_a_floor() -> None:
    counts = straight().with_columns(
        passes=pl.col("passes") + 0.25 * (pl.col("samples") - pl.col("passes")), chance=0.25
    )
    (found,) = forecast_pass_rate(counts, [{"params": 3e10}])
    expected = 0.25 + 0.75 * truth(3e10)
    assert found.methods["pooled"].value == pytest.approx(expected, rel=0.1)
    (small,) = forecast_pass_rate(counts, [{"params": 1e6}])
    assert small.methods["pooled"].interval[0] >= 0.25


def test_the_likelihood_of_the_reference_speaks_for_those_that_never_pass() -> None:
    counts = straight(samples=60)
    x = np.unique(counts["params"].to_numpy())
    shift = 0.3 * np.random.default_rng(0).standard_normal(40)
    f = 1.6 + shift[None] - 0.2 * np.log(x / 1e9)[:, None]
    told = counts.with_columns(reference_logprob=pl.Series(-np.exp(f).ravel()))
    truth_f = f[0]  # the smallest model, where most instances never pass

    from augury.forecast.passrate.instances import fit_instances

    off = []
    for table in (counts, told):
        fitted = fit_instances(series(table, ("params",)))
        own = fitted.lines @ fitted.design[0]
        off.append(float(np.sqrt(np.mean((own - truth_f) ** 2))))
    assert off[1] < 0.6 * off[0], off


@pytest.mark.slow
def test_held_out_likelihood_prefers_the_form_that_made_the_data() -> None:
    rng = np.random.default_rng(5)
    z = np.linspace(-3, 3, 24)
    shapes = {
        "multi-step": np.logaddexp(0.4 - 0.5 * z, 0.8 - 0.1 * z),
        "multi-circuit": np.minimum(1.8 - 0.1 * z, 1.6 - 0.6 * z),
    }
    for name, f in shapes.items():
        p = np.exp(-np.exp(f))
        passes = rng.binomial(10**6, np.repeat(p[:, None], 4, 1))
        m, s = np.indices(passes.shape)
        counts = pl.DataFrame(
            {
                "model": [f"m{i}" for i in m.ravel()],
                "params": np.exp(z[m.ravel()]),
                "instance": [str(i) for i in s.ravel()],
                "passes": passes.ravel().astype(float),
                "samples": 1e6,
            }
        )
        found = growth(series(counts, ("params",)))
        assert max(found.held_out, key=lambda k: found.held_out[k]) == name, found.held_out
        assert found.kind == ("sub-scaling" if name == "multi-step" else "accelerated")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda t: t.drop("samples"), "column 'samples': the column is missing; expected counts"),
        (lambda t: t.drop("params"), "column 'params': the column is missing"),
        (
            lambda t: t.with_columns(passes=pl.lit(5000.0)),
            "instance 'i0' of model 'm0' has passes that its samples do not allow",
        ),
        (lambda t: pl.concat([t, t]), "an instance of a model is measured twice"),
        (
            lambda t: pl.concat([t.with_columns(task=pl.lit(x)) for x in "ab"]),
            "there are several tasks",
        ),
    ],
)
def test_bad_tables_are_named(change: object, line: str) -> None:
    with pytest.raises(DataError, match=line.replace("(", r"\(")):
        series(change(straight()), ("params",))  # type: ignore[operator]


def test_what_cannot_be_answered_is_said() -> None:
    few = straight().filter(pl.col("params") < 2e8)
    with pytest.raises(UsageError, match="a trend needs at least three models; there is 1"):
        forecast_pass_rate(few, [{"params": 1e9}])
    with pytest.raises(UsageError, match="has no params"):
        forecast_pass_rate(straight(), [{"tokens": 1e9}])
    flat = straight().with_columns(params=pl.lit(1e9))
    with pytest.raises(UsageError, match="all models have the same params"):
        forecast_pass_rate(flat, [{"params": 1e10}])
    nothing = straight().with_columns(passes=pl.lit(0.0))
    (found,) = forecast_pass_rate(nothing, [{"params": 3e10}])
    assert np.isnan(found.methods["line"].value)
    assert found.methods["pooled"].interval[1] < 0.02
    three = straight(3)
    (found,) = forecast_pass_rate(three, [{"params": 3e10}])
    assert found.growth.kind == "unknown"
    assert "too few models to backtest" in found.methods["pooled"].notes[0]


def test_the_command_keeps_its_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    straight().write_csv(tmp_path / "counts.csv")
    command = ["passrate", str(tmp_path / "counts.csv"), "--where", "params < 5e9"]
    monkeypatch.setattr("sys.argv", ["augury", *command, "--at", "params=1.13e10", "--json"])
    cli.main()
    found = json.loads(capsys.readouterr().out)
    assert set(found["growth"]) >= {"class", "curvature", "interval", "p"}
    for name in ("line", "instances", "pooled"):
        assert set(found[name]) == {"value", "interval", "level", "notes"}
        assert found[name]["interval"][0] < found[name]["value"] < found[name]["interval"][1]
    monkeypatch.setattr("sys.argv", ["augury", *command, "--at", "params=1.13e10"])
    cli.main()
    assert "growth: " in capsys.readouterr().out


@pytest.mark.parametrize("seed", [0, 1])
def test_one_exact_instance_is_forecast(seed: int) -> None:
    """The instances' part has nothing to pool and scores NaN, which must not affect the weights
    (seed 0); rounding leaves a covariance not quite positive (seed 1)."""
    rng = np.random.default_rng(seed)
    loss = np.sort(rng.uniform(2.2, 2.95, 22))[::-1]
    logprob = -np.exp(np.log(12) - 2.5 * (2.95 - loss) + 0.15 * rng.standard_normal(22))
    table = pl.DataFrame(
        {
            "model": [f"m{i}" for i in range(22)], "loss": loss, "task": "t", "instance": "a",
            "logprob": logprob,
        }
    )  # fmt: skip
    (found,) = forecast_pass_rate(table, [{"loss": 2.1}], scale=("loss",))
    pooled = found.methods["pooled"]
    assert 0 < pooled.interval[0] <= pooled.value <= pooled.interval[1] < 1
    assert found.to_dict()["pooled"]["value"] == pooled.value


CRASHED = DATA.parent / "reference" / "emergence"


@pytest.mark.slow
@pytest.mark.skipif(not CRASHED.exists(), reason="the shared references are absent")
def test_exact_probabilities_of_one_instance_are_forecast() -> None:
    """A table that once failed with "cannot convert float NaN to integer"."""
    table = pl.read_csv(CRASHED / "crash_0_loss.csv")
    least = float(table["loss"].min())  # type: ignore[arg-type]
    (found,) = forecast_pass_rate(table, [{"loss": 0.95 * least}], scale=("loss",))
    low, high = found.leading.interval
    assert 0 <= low <= found.leading.value <= high <= 1
    assert found.run_share is not None
