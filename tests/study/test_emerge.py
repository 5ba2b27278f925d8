"""Studies that ask where a task emerges: the plan, and how the answer turns out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from augury.data import read_table
from augury.fitting import Status, fit
from augury.forecast.emergence import Truth, emergence_data, fit_emergence, simulate_study
from augury.laws import parse_law
from augury.study import Study, make_plan, read_study, run_study
from augury.study.results.forecast_records import EmergenceRecord
from augury.study.units.emergence import _reach, quantiles_of, score_emergence
from augury.study.units.rows import distinct_losses
from tests.study.helpers import inside

POINT = {"point": {"value": 1.9, "interval": [1.8, 2.0], "level": 0.9}}
FORECAST = {
    "task": None,
    "level": 0.9,
    "law": "relu",
    "weights": {"relu": 1.0},
    "status": "answered",
    "elbow": POINT,
    "above": POINT,
    "distance": 0.03,
    "quantiles": {"at": [0.1, 0.5, 0.9], "loss": [2.0, 1.9, 1.8]},
    "forecasts": [{"value": 1.9, "run_interval": [1.8, 2.0], "level": 0.9}],
}
ASKED = {"task": None, "metric": None}


def _models(scores: dict[float, float]) -> pl.DataFrame:
    """Few-shot scores by loss, with chance at a quarter."""
    rows = [
        {"model": f"m{i}", "loss": loss, "value": score, "chance": 0.25}
        for i, (loss, score) in enumerate(scores.items())
    ]
    return pl.DataFrame(rows)


@pytest.mark.parametrize(
    ("scores", "held", "truth"),
    [
        ({2.2: 0.25, 1.95: 0.26, 1.85: 0.40}, True, 1.9),  # emerged between 1.95 and 1.85
        ({2.2: 0.25, 2.1: 0.40}, False, 2.15),  # emerged sooner than forecast
        ({1.9: 0.25, 1.7: 0.26, 1.6: 0.40}, False, 1.65),  # emerged later
        ({2.2: 0.25, 1.9: 0.25}, True, None),  # not yet: the interval extends beyond the best
        ({2.2: 0.25, 1.5: 0.26}, False, None),  # not yet, far beyond the interval
    ],
)
def test_a_point_is_held_against_the_models_that_have_the_ability(
    scores: dict[float, float], held: bool, truth: float | None
) -> None:
    forecast = EmergenceRecord.model_validate(FORECAST)
    found = score_emergence(forecast, _models(scores), ASKED)
    (score,) = found.scores
    assert score.held is held
    assert score.truth == (None if truth is None else pytest.approx(truth))
    probabilities = [model.probability or 0.0 for model in found.models]
    assert all(0.1 <= p <= 0.9 for p in probabilities)
    assert probabilities == sorted(probabilities)


def test_a_forecast_that_says_nothing_neither_holds_nor_fails() -> None:
    said = [{"value": None, "run_interval": [None, 1.8], "level": 0.9}]
    silent = EmergenceRecord.model_validate(
        {**FORECAST, "forecasts": said, "quantiles": {"at": [0.5], "loss": []}}
    )
    (score,) = score_emergence(silent, _models({2.2: 0.25, 1.5: 0.4}), ASKED).scores
    assert score.held is None
    assert score.error is None


def test_draws_at_which_it_never_emerges_are_no_quantiles() -> None:
    """Twenty of a thousand: the best model of all has emerged with a probability of .98."""
    draws = np.append(np.random.default_rng(0).normal(-1.9, 0.1, 980), np.full(20, np.inf))
    kept = quantiles_of(draws)
    assert len(kept.at) == len(kept.loss)
    assert np.isfinite(kept.loss).all()
    forecast = EmergenceRecord.model_validate({**FORECAST, "quantiles": kept})
    (model,) = score_emergence(forecast, _models({0.1: 0.4}), ASKED).models
    assert model.probability == pytest.approx(0.98, abs=0.006)
    assert EmergenceRecord.model_validate_json(forecast.model_dump_json()) == forecast


@pytest.mark.slow
def test_a_study_of_tables_says_where_it_emerges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finetuned models have losses from 2.6 to 2.0; the few-shot elbow is at 1.9."""
    rng = np.random.default_rng(5)
    seen = simulate_study(Truth(), rng, losses=np.linspace(2.6, 1.95, 12))
    later = simulate_study(Truth(), rng, losses=np.linspace(1.94, 1.3, 8))
    seen.write_csv(tmp_path / "seen.csv")
    later.filter(pl.col("finetune_examples") == 0).write_csv(tmp_path / "later.csv")
    (tmp_path / "study.toml").write_text(
        'name = "elbow"\nquestion = "emergence"\n[[tables]]\npath = "seen.csv"\n'
        '[[tables]]\npath = "later.csv"\n[held_out]\nwhere = "loss < 1.945"\n'
    )
    inside(monkeypatch, tmp_path)
    assert run_study(tmp_path).complete
    (forecast,) = Study(tmp_path).forecasts()
    assert isinstance(forecast.record, EmergenceRecord)
    low, high = forecast.record.above.point.interval
    assert low is not None
    assert high is not None
    assert low < 1.9 - 0.03 / 0.8 < high
    row = Study(tmp_path).scoreboard().row(0, named=True)
    assert row["held"]
    assert 1.7 < row["truth"] < 1.94


LAB = """
name = "sweep"
question = "emergence"
[lab]
widths = [4, 6, 8, 10]
steps = 100
checkpoints = [50]
[[tasks]]
name = "rule"
[finetune]
amounts = [64, 128, 256]
{more}
[held_out]
widths = [10]
"""


def test_one_model_looks_for_a_learning_rate_and_the_others_wait_for_it(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(LAB.format(more=""))
    plan = make_plan(*read_study(tmp_path))
    tuned = plan.of("finetune")
    # Three widths, two checkpoints, three amounts; plus the search, on the least and the most.
    assert len(tuned) == 3 * 2 * 3 + 1
    (search,) = [u for u in tuned if not u.parameters["searched"]]
    assert search.parameters["amounts"] == [64, 256]
    assert "w6" in search.label
    for unit in tuned:
        if unit is not search:
            assert unit.needs[-1] == search.key
    (forecast,) = plan.of("forecast")
    assert {u.key for u in tuned} <= set(forecast.needs)
    assert not any("w10" in unit.label for unit in tuned)  # held out: never finetuned


def test_a_learning_rate_that_is_given_is_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(LAB.format(more="learning_rate = 0.01"))
    tuned = make_plan(*read_study(tmp_path)).of("finetune")
    assert len(tuned) == 3 * 2 * 3
    assert {u.parameters["width"] for u in tuned} == {6}


def test_another_amount_finetunes_that_amount_alone(tmp_path: Path) -> None:
    plans = []
    for amounts in ("[64, 256]", "[64, 128, 256]"):
        text = LAB.format(more="").replace("[64, 128, 256]", amounts)
        (tmp_path / "study.toml").write_text(text)
        plans.append(make_plan(*read_study(tmp_path)))
    new = [u for key, u in plans[1].units.items() if key not in plans[0].units]
    assert {tuple(u.parameters["amounts"]) for u in new if u.kind == "finetune"} == {(128,)}
    assert {u.kind for u in new} == {"finetune", "forecast", "score"}


BOTH = LAB.replace('question = "emergence"\n', "").replace(
    '[[tasks]]\nname = "rule"', '[[tasks]]\nname = "facts"\n[[tasks]]\nname = "rule"\n{asked}'
)


def test_every_task_can_have_its_question(tmp_path: Path) -> None:
    text = BOTH.format(asked='question = "emergence"', more="")
    (tmp_path / "study.toml").write_text(text)
    plan = make_plan(*read_study(tmp_path))
    assert {u.parameters["task"]["name"] for u in plan.of("finetune")} == {"rule"}
    rates, emerges = plan.of("forecast")
    assert (rates.parameters["question"], emerges.parameters["question"]) == (
        "pass-rate", "emergence",
    )  # fmt: skip
    # Only at its end: no law of sizes describes a model during training.
    (point,) = rates.parameters["points"]
    assert point["tokens"] == 100 * 64 * 32
    assert emerges.parameters["points"] == []
    # Both are on record before work on the truth begins.
    for key in plan.truth:
        assert {rates.key, emerges.key} <= set(plan.units[key].after)
    later = [u.label for key, u in plan.units.items() if key not in plan.before_truth]
    assert all("w10" in label or label.startswith("score") for label in later)
    assert len(later) == len(plan.truth) + 1 + 2  # measured; trained; and two scores


def test_a_question_of_its_own_leaves_the_units_of_another_task(tmp_path: Path) -> None:
    """A task's measurements and forecasts are kept when another task's question changes."""
    keys = []
    for text in (LAB.format(more=""), BOTH.format(asked='question = "emergence"', more="")):
        (tmp_path / "study.toml").write_text(text)
        keys.append(make_plan(*read_study(tmp_path)).units.keys())
    assert keys[0] <= keys[1]


def test_checkpoints_to_finetune_are_chosen(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(LAB.format(more="checkpoints = [100]"))
    plan = make_plan(*read_study(tmp_path))
    assert {u.parameters["model"]["step"] for u in plan.of("finetune")} == {100}
    assert {u.parameters["model"]["step"] for u in plan.of("measure")} == {50, 100}


# Widths, steps and task are those of the demo's test, to reuse its compiled functions.
SWEEP = """
name = "sweep"
question = "emergence"
[lab]
widths = [4, 6, 8, 10]
steps = 100
[[tasks]]
name = "sort-digits"
instances = 32
[finetune]
amounts = [8, 16]
subsets = 1
steps = 25
every = 25
instances = 32
[held_out]
widths = [10]
"""


@pytest.mark.slow
def test_a_ladder_is_finetuned_and_its_table_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models this small are at chance; the study says so and does not count that as a miss."""
    (tmp_path / "study.toml").write_text(SWEEP)
    inside(monkeypatch, tmp_path)
    outcome = run_study(tmp_path)
    assert outcome.complete, outcome
    table = read_table(tmp_path / "table.parquet", where="instance IS NULL")
    tuned = table.filter(pl.col("finetune_examples").is_not_null())
    assert sorted(tuned["finetune_examples"].to_list()) == [0, 0, 0, 8, 8, 8, 16, 16, 16]
    (forecast,) = Study(tmp_path).forecasts()
    assert forecast.record.status == "everything is at chance"
    (row,) = Study(tmp_path).scoreboard().to_dicts()
    assert (row["blind"], row["value"], row["held"]) == (True, None, None)
    engine = inside(monkeypatch, tmp_path)
    assert run_study(tmp_path).complete
    assert engine.begun == []


def test_a_model_that_was_measured_and_finetuned_has_one_loss() -> None:
    """The rows of a sweep do not give the pretraining's seed."""
    rows = pl.DataFrame(
        {
            "model": ["a", "a", "b", "b"],
            "params": [1e3, 1e3, 2e3, 2e3],
            "step": [50, 50, 50, 50],
            "loss": [2.5, 2.5, 2.4, 2.4],
            "seed": [None, 3, 3, None],
            "task": ["t"] * 4,
            "metric": ["pass"] * 4,
            "value": [0.1] * 4,
            "finetune_examples": [0, None, None, 0],
        }
    )
    found = distinct_losses(rows, parse_law("power"))
    assert found["loss"].to_list() == [2.5, 2.4]
    assert found["seed"].to_list() == [3, 3]


@pytest.mark.slow
def test_a_loss_law_at_its_bound_still_leads_to_parameters() -> None:
    """Losses that fall as a pure power have no floor; bootstrap draws respect the bound."""
    params = np.geomspace(1e3, 3e4, 6).repeat(2)
    rng = np.random.default_rng(0)
    losses = 4.3 * params**-0.076 * np.exp(0.004 * rng.standard_normal(12))
    found = fit(parse_law("power"), pl.DataFrame({"params": params, "loss": losses}))
    assert found.status is Status.AT_BOUND
    table = simulate_study(
        Truth(elbow=1.9, shift=0.3, slope=0.9), rng, losses=np.linspace(2.4, 1.95, 10)
    )
    emerged = fit_emergence(emergence_data(table), laws="relu")
    rows = pl.DataFrame(
        {
            "model": [f"m{n:.0f}" for n in params],
            "params": params,
            "tokens": 1e6,
            "step": 50,
            "seed": [0, 1] * 6,
            "loss": losses,
            "task": "t",
            "metric": "pass",
            "value": 0.1,
        }
    )
    (made,), notes = _reach(emerged, rows, {"loss_law": "power", "target": None, "level": 0.9})
    assert notes == []
    assert made.never is not None
    assert made.never < 0.05
    assert made.value is not None
    assert 1e4 < made.value < 1e6
