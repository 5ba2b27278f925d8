"""Emergence laws: what is reported when the data cannot say."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from augury.errors import FitError, UsageError
from augury.forecast.emergence import (
    EmergenceFit,
    EmergenceStatus,
    Truth,
    emergence_data,
    emergence_point,
    fit_emergence,
    probability_emerged,
    simulate_study,
)
from tests.emergence_studies import LOSSES, study


def test_everything_at_chance() -> None:
    flat = emergence_data(study(Truth(elbow=1.0, shift=0.3)))
    found = fit_emergence(flat, laws="relu")
    assert found.status is EmergenceStatus.AT_CHANCE
    point = emergence_point(found)
    assert np.isnan(point.value)
    assert point.interval[1] == pytest.approx(LOSSES.min())
    assert "everything is at chance" in str(point)
    assert "clearly above 0.25" in str(point)
    assert point.to_dict()["point"]["value"] is None
    with pytest.raises(UsageError, match="nothing is known"):
        probability_emerged(found, 1.9)
    with pytest.raises(FitError, match="everything is at chance"):
        fit_emergence(flat, laws="relu", throw=True)


@pytest.mark.slow
def test_fewer_than_three_amounts() -> None:
    found = fit_emergence(emergence_data(study(amounts=(480, 7500))), laws="relu")
    assert found.status is EmergenceStatus.TOO_FEW_AMOUNTS
    note = next(n for n in found.notes if n.code == "few-amounts")
    assert "480, 7500" in note.message
    assert "at least three amounts" in note.message
    full = fit_emergence(emergence_data(study()), laws="relu")
    wide, narrow = (emergence_point(f).interval for f in (found, full))
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


def test_no_finetuned_model_past_its_elbow() -> None:
    """The best checkpoints barely leave chance: the point is the prior's, and this is said."""
    barely = study(losses=np.linspace(2.7, 2.19, 10), items=300)
    found = fit_emergence(emergence_data(barely), laws="relu")
    assert found.status in (
        EmergenceStatus.NOT_EMERGED,
        EmergenceStatus.AT_CHANCE,
        EmergenceStatus.VAGUE,
    )
    assert any(n.severity == "serious" for n in found.notes)


def test_low_data_limit_is_told(fitted: EmergenceFit) -> None:
    note = next(n for n in fitted.notes if n.code == "low-data")
    assert set(note.details) == {"1x", "3x", "10x"}
    assert note.details["1x"] < note.details["3x"] < note.details["10x"]
    # Fitting with another D_0 moves the point as the note says.
    other = fit_emergence(emergence_data(study(), low_data=50), laws="relu")
    assert emergence_point(other).value == pytest.approx(note.details["10x"], abs=0.06)


def test_a_drift_with_model_size_is_noted() -> None:
    drifting = Truth(elbow=1.9, shift=0.3, slope=0.9, by_size=0.04, run=3e-4)
    noted = fit_emergence(emergence_data(study(drifting, sizes=3)), laws="relu")
    assert any(n.code == "by-size" for n in noted.notes), noted.notes
    straight = fit_emergence(emergence_data(study(seed=4)), laws="relu")
    assert not any(n.code == "by-size" for n in straight.notes)


def test_few_shot_scores_that_contradict_the_law_are_told() -> None:
    """Finetuned curves say: not before 1.5 nats; few-shot scores rise from 2.1 on."""
    truth = Truth(elbow=1.5, shift=0.6, slope=0.8, chance=0.0)
    table = simulate_study(
        truth, np.random.default_rng(1), losses=np.linspace(2.4, 1.9, 10), items=2000
    )
    agrees = fit_emergence(emergence_data(table), laws="relu")
    assert agrees.status is not EmergenceStatus.CONTRADICTED
    few = pl.col("finetune_examples") == 0
    early = (2000 * 0.15 * (2.1 - pl.col("loss")).clip(0)).round()
    table = table.with_columns(passes=pl.when(few).then(early).otherwise(pl.col("passes")))
    found = fit_emergence(emergence_data(table), laws="relu")
    (note,) = [n for n in found.notes if n.code == "few-shot-misfit"]
    assert note.severity == "serious"
    assert note.details["score"] > note.details["expected"]
    assert found.status is EmergenceStatus.CONTRADICTED
    assert "contradict" in str(emergence_point(found))


def test_what_never_comes_is_told_so() -> None:
    """.9 above chance with a slope of .2 per nat: no loss is low enough."""
    truth = Truth(elbow=1.9, shift=0.3, slope=0.2, chance=0.0)
    table = simulate_study(truth, np.random.default_rng(2), losses=np.linspace(2.4, 1.92, 10))
    point = emergence_point(
        fit_emergence(emergence_data(table), laws="relu"), "above", distance=0.9
    )
    assert "never" in str(point)
    assert point.to_dict()["point"]["value"] is None


@pytest.mark.slow
def test_a_point_farther_off_than_the_checkpoints_span_is_not_answered() -> None:
    """Elbows that move one nat per amount, observed over half a nat."""
    truth = Truth(elbow=0.9, shift=1.4, slope=0.5, chance=0.0, subset=1e-3, checkpoint=1e-3)
    table = simulate_study(
        truth,
        np.random.default_rng(3),
        losses=np.linspace(2.4, 1.9, 12),
        amounts=(1800, 3600, 7500),
        items=20_000,
    )
    found = fit_emergence(emergence_data(table), laws="relu")
    assert found.status in (EmergenceStatus.FAR, EmergenceStatus.VAGUE)
    assert "beyond the best checkpoint" in " ".join(n.message for n in found.notes)
    assert found.status.remedy


def test_finetuned_scores_that_do_not_hang_on_the_loss_are_no_answer() -> None:
    """As when the lab sorts letters: an amount of examples teaches the same to any model."""
    table = study()
    amounts = sorted(table["finetune_examples"].unique())
    rates = {amount: 0.15 * k for k, amount in enumerate(amounts)}
    rng = np.random.default_rng(0)
    passes = [
        float(rng.binomial(int(n), rates[a]))
        for a, n in zip(table["finetune_examples"], table["samples"], strict=True)
    ]
    table = table.with_columns(passes=pl.Series(passes), chance=0.0)
    found = fit_emergence(emergence_data(table), laws="relu")
    assert found.status is EmergenceStatus.NO_ELBOW
    assert any(n.code == "no-elbow" for n in found.notes)
