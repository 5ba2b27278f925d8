"""A run under way: against the law it was made of, and on the curves of Luo et al. 2025."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from augury.errors import DataError, UsageError
from augury.forecast.questions import forecast_run
from augury.laws import with_schedule
from augury.notes import Outcome
from tests.shared import DATA

CURVES = DATA / "lr-schedules" / "curves.csv"
needs_curves = pytest.mark.skipif(not CURVES.exists(), reason="the shared data are absent")


def cosine_run(seed: int = 0) -> pl.DataFrame:
    """A run of 8,000 steps under a cosine, whose loss follows the momentum law."""
    step = np.arange(50, 8001, 50)
    lr = 3e-4 * np.where(step < 500, step / 500, 0.55 + 0.45 * np.cos(np.pi * (step - 500) / 7500))
    run = with_schedule(pl.DataFrame({"step": step, "lr": lr}))
    noise = 1 + 0.001 * np.random.default_rng(seed).normal(size=len(step))
    loss = 2.7 + 0.6 * pl.col("lr_sum") ** -0.45 - 0.4 * pl.col("lr_drop")
    return run.with_columns(loss=loss * pl.Series(noise)).select("step", "lr", "loss")


def test_the_end_of_a_cosine_from_its_first_half() -> None:
    run = cosine_run()
    found = forecast_run(run.filter(pl.col("step") <= 4000), run.select("step", "lr"))
    truth = float(run["loss"][-10:].mean())  # type: ignore[arg-type]
    assert found.final.value == pytest.approx(truth, rel=0.01)
    assert found.final.interval[0] < truth < found.final.interval[1]
    assert (found.law, found.step, found.end, found.on_track) == ("momentum", 8000, 4000, None)
    assert isinstance(found, Outcome)
    assert "will end at" in " ".join(found.chart().to_dict()["title"]["text"])
    on = forecast_run(run.filter(pl.col("step") <= 4000), run.select("step", "lr"),
                      expected=(truth, truth - 0.1, truth + 0.1))  # fmt: skip
    off = forecast_run(run.filter(pl.col("step") <= 4000), run.select("step", "lr"),
                       expected=(truth - 0.3, truth - 0.35, truth - 0.25))  # fmt: skip
    assert (on.on_track, off.on_track) == (True, False)


def test_another_decay_ends_elsewhere() -> None:
    """The same log under a sudden drop at the end: what the law it was made of says of that."""
    run = cosine_run()
    log = run.filter(pl.col("step") <= 4000)
    rate = float(log["lr"][-1])
    drop = pl.DataFrame({"step": [4050, 7000, 7001, 8000], "lr": [rate, rate, rate / 9, rate / 9]})
    whole = pl.concat([log.select("step", "lr"), drop])
    last = with_schedule(pl.DataFrame({"step": [8000]}), whole)
    truth = last.select(2.7 + 0.6 * pl.col("lr_sum") ** -0.45 - 0.4 * pl.col("lr_drop")).item()
    found = forecast_run(log, drop)
    assert found.final.value == pytest.approx(truth, rel=0.01)
    assert found.final.value != forecast_run(log, run.select("step", "lr")).final.value


def test_a_decay_that_the_log_has_not_seen_is_not_forecast() -> None:
    run = cosine_run().with_columns(lr=pl.lit(3e-4))
    drop = pl.DataFrame({"step": [8050, 9000], "lr": [3e-4, 3e-5]})
    found = forecast_run(run, drop)
    assert not found.usable
    assert "decay-unseen" in [n.code for n in found.notes]
    assert np.isnan(found.final.interval[0])


@pytest.mark.slow
@needs_curves
def test_public_runs_end_where_they_are_forecast_to() -> None:
    """Cosine and constant rates from their half, two-stage ones from .8: 20 of 21 held."""
    curves = pl.read_csv(CURVES).filter(~pl.col("curve").str.contains("wsd_|wsdld"))
    held = []
    for (name, _), run in curves.group_by("curve", "params", maintain_order=True):
        part = 0.8 if "wsd" in str(name) else 0.5
        log = run.filter(pl.col("step") <= part * pl.col("step").max())
        found = forecast_run(log.select("step", "lr", "loss"), run.select("step", "lr"))
        truth = float(run.sort("step")["loss"][-10:].mean())  # type: ignore[arg-type]
        held.append(found.final.interval[0] <= truth <= found.final.interval[1])
        assert found.final.value == pytest.approx(truth, rel=0.02)
    assert len(held) == 21
    assert sum(held) >= 17


def test_what_is_asked_wrongly_is_said() -> None:
    run = cosine_run()
    with pytest.raises(DataError, match="column 'loss'"):
        forecast_run(run.drop("loss"))
    with pytest.raises(UsageError, match="neither says where the run ends"):
        forecast_run(run)
    with pytest.raises(UsageError, match="which the log has reached"):
        forecast_run(run, run.select("step", "lr"))
    with pytest.raises(DataError, match="column 'lr'"):
        forecast_run(run.head(50), run.select("step"))
    plain = forecast_run(run.drop("lr").head(80), step=8000)
    assert "no-schedule" in [n.code for n in plain.notes]
