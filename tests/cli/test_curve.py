"""`augury curve`: the end of a run in progress, another decay, and whether it is on track."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import augury
from augury.cli import app
from augury.errors import DataError, UsageError
from augury.forecast.questions import forecast_run
from augury.laws import with_schedule
from augury.report.page.result import figures_of
from tests.shared import DATA

CURVES = DATA / "lr-schedules" / "curves.csv"
PEAK, LAST = 3e-4, 9000


@pytest.fixture(scope="module")
def run() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first half of a run by the momentum law, and its schedule: constant, then to 0."""
    schedule = pl.DataFrame({"step": [1, 500, 7000, LAST], "lr": [1e-6, PEAK, PEAK, 1e-7]})
    step = np.arange(600, LAST + 1, 100)
    whole = with_schedule(pl.DataFrame({"step": step}), schedule)
    loss = 2.4 + 0.5 * whole["lr_sum"] ** -0.5 - 0.45 * whole["lr_drop"]
    noise = 0.002 * np.random.default_rng(0).standard_normal(len(step))
    return whole.select("step").with_columns(loss=loss + noise), schedule


@pytest.mark.slow
def test_the_command_prints_what_scripts_read(
    run: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path
) -> None:
    whole, schedule = run
    whole.filter(pl.col("step") <= 5000).write_csv(tmp_path / "log.csv")
    schedule.write_csv(tmp_path / "plan.csv")
    asked = ["curve", str(tmp_path / "log.csv"), "--schedule", str(tmp_path / "plan.csv")]
    done = CliRunner().invoke(app, [*asked, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert set(said["final"]) == {"value", "interval", "level"}
    low, high = said["final"]["interval"]
    truth = float(whole["loss"][-1])
    assert low < truth < high
    assert said["law"] in said["weights"]
    assert said["on_track"] is None
    out = tmp_path / "answer"
    done = CliRunner().invoke(app, [*asked, "--target", "2.0", "--out", str(out)])
    assert "NOT on track" in done.stdout
    assert (out / "figures" / "run.svg").exists()
    again = augury.load(out)
    assert again.on_track is False
    assert again.probability_on_target < 0.05


@pytest.mark.slow
def test_another_decay_ends_elsewhere(run: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    whole, schedule = run
    log = whole.filter(pl.col("step") <= 5000)
    decayed = forecast_run(log, schedule)
    constant = forecast_run(log, schedule.with_columns(lr=pl.lit(PEAK)))
    assert decayed.forecast.value < constant.forecast.value - 0.03
    assert decayed.on_track is None
    assert forecast_run(log, at=9000.0, target=5.0).on_track is True
    (figure,) = figures_of(decayed)
    assert figure.data["shown"].unique().sort().to_list() == ["forecast", "logged"]


@pytest.mark.slow
def test_a_run_is_held_against_a_fit_to_others(run: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    log, rng = run[0].filter(pl.col("step") <= 5000), np.random.default_rng(1)
    params = np.geomspace(1e7, 1e9, 20)
    for level, good in ((2.0, False), (4.0, True)):
        loss = level + (params / 1e7) ** -0.5 + 0.002 * rng.standard_normal(20)
        others = augury.fit("power", pl.DataFrame({"params": params, "loss": loss}))
        found = forecast_run(log, at=9000.0, against=others, planned={"params": 1e8})
        assert found.on_track is good
        assert found.to_dict()["expected"]["value"] == pytest.approx(level + 10**-0.5, rel=0.01)


@pytest.mark.slow
def test_the_command_blends_the_run_with_a_fit(
    run: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path
) -> None:
    run[0].filter(pl.col("step") <= 5000).write_csv(tmp_path / "log.csv")
    params = np.geomspace(1e7, 1e9, 20)
    noise = 0.01 * np.random.default_rng(2).standard_normal(20)
    loss = (2.5 + (params / 1e7) ** -0.5) * np.exp(noise)
    others = augury.fit("power", pl.DataFrame({"params": params, "loss": loss}))
    augury.save(others, tmp_path / "fit")
    asked = ["curve", str(tmp_path / "log.csv"), "--at", "step=9000"]
    asked += ["--against", str(tmp_path / "fit"), "--planned", "params=1e8"]
    done = CliRunner().invoke(app, [*asked, "--target", "2.9", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert set(said["blended"]) == {"value", "interval", "level", "weights"}
    assert set(said["blended"]["weights"]) == {"own", "ladder"}
    assert sum(said["blended"]["weights"].values()) == pytest.approx(1.0)
    low, high = sorted([said["final"]["value"], said["expected"]["value"]])
    assert low <= said["blended"]["value"] <= high
    out = tmp_path / "answer"
    done = CliRunner().invoke(app, [*asked, "--out", str(out)])
    assert "blended of: the run itself" in done.stdout
    again = augury.load(out)
    assert again.blended.value == pytest.approx(said["blended"]["value"])
    (figure,) = figures_of(again)
    assert set(figure.data["shown"]) >= {"forecast", "from the run itself"}


def test_bad_input_is_named(run: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    log, schedule = run
    with pytest.raises(UsageError, match="the end of the run is unknown"):
        forecast_run(log)
    with pytest.raises(UsageError, match="must lie beyond 9000, where the log ends"):
        forecast_run(log, schedule)
    with pytest.raises(DataError, match="none of tokens, step"):
        forecast_run(log.rename({"step": "day"}), at=9.0)
    with pytest.raises(UsageError, match="needs the run's inputs"):
        forecast_run(log, at=1e5, planned={"params": 1.0})


@pytest.mark.slow
@pytest.mark.skipif(not CURVES.exists(), reason="the shared data are absent")
def test_half_a_public_run_forecasts_its_decay() -> None:
    """100M parameters, constant rate to step 12,000 of 24,000; the request is exponential decay."""
    curves = pl.read_csv(CURVES).filter(pl.col("params") == 1e8).sort("step")
    own = curves.filter(pl.col("curve") == "wsd_20000_24000")
    found = forecast_run(own.filter(pl.col("step") <= 12_000), own.select("step", "lr"))
    truth = float(own["loss"][-1])
    assert abs(found.forecast.value - truth) < 0.02
    assert found.forecast.interval[0] < truth < found.forecast.interval[1]
