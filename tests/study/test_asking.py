"""Study file keys for how a model is prompted, and which part of its answer is judged."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from augury.evaluate import read_task
from augury.evaluate.kept_samples import study_samples
from augury.lab import ModelConfig, RunConfig, train
from augury.study import make_plan, read_study
from augury.study.plan.study_file import check_study
from augury.study.results.plan_records import UnitRecord
from augury.study.results.store import Store
from augury.study.units.measuring import measure_unit

STUDY = """
name = "asking"
[[checkpoints]]
model = "lab:run"
{asking}
[[tasks]]
file = "digits.jsonl"
checker = "exact"
tokens = 2
{task}
[measure]
method = "independent"
r = 5
max_samples = 200
{measure}
[target]
params = 1e9
tokens = 3e11
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's folder with a lab model and a task."""
    folder = tmp_path_factory.mktemp("asking")
    train(RunConfig(ModelConfig(8), steps=50, shares={"sort-digits": 1.0}), folder / "run")
    rows = [{"id": "a", "prompt": "=21>", "reference": "1"}]
    (folder / "digits.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def planned(folder: Path, asking: str = "", task: str = "", measure: str = "") -> UnitRecord:
    """The unit that measures."""
    text = STUDY.format(asking=asking, task=task, measure=measure)
    (folder / "study.toml").write_text(text)
    (unit,) = make_plan(*read_study(folder)).of("measure")
    return UnitRecord(
        key=unit.key, kind="measure", parameters=unit.parameters, places=unit.places
    )  # fmt: skip


@pytest.mark.slow
def test_keys_that_are_not_given_leave_a_measurement_where_it_was(folder: Path) -> None:
    plain = planned(folder).parameters
    assert "asking" not in plain["model"]
    assert "extract" not in plain["task"]
    assert "keep" not in plain["measure"]
    assert planned(folder, measure="keep = 3").parameters == plain
    given = planned(folder, task="extract = 'last-line'", measure="keep = 1").parameters
    assert (given["task"]["extract"], given["measure"]["keep"]) == ("last-line", 1)


@pytest.mark.slow
def test_a_part_of_an_answer_is_judged_and_samples_are_kept(folder: Path, tmp_path: Path) -> None:
    values = []
    for task in ("", r"extract = '^.'"):  # of two letters, the first
        work = tmp_path / str(len(values))
        unit = planned(folder, task=task, measure="keep = 1")
        measure_unit(Store(folder), unit, work, lambda *now: None)
        rows = pl.read_parquet(work / "rows.parquet")
        values.append(rows.filter(pl.col("instance").is_null())["value"][0])
        kept = study_samples(work)
        assert len(kept) == len({sample["passed"] for sample in kept}), "one of each verdict"
    assert values[0] == 0 < values[1]


@pytest.mark.parametrize(
    ("asking", "task", "message"),
    [
        ("chat = true", "", "lab: models take no chat"),
        ("extra = {top_k = -1}", "", "lab: models take no extra"),
        ("system = 'Be brief.'", "", "for a model with chat = true"),
        ("", "extract = '('", "expected fence, last-line or a regular expression"),
    ],
)
def test_what_does_not_fit_is_said(folder: Path, asking: str, task: str, message: str) -> None:
    _, mistakes = check_study(STUDY.format(asking=asking, task=task, measure=""), folder)
    assert [message in str(m) for m in mistakes] == [True]


def test_a_server_is_told_what_the_file_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from augury.evaluate import models
    from augury.study.units.measuring import _open_backend

    text = STUDY.replace('"lab:run"', '"http://localhost:1#m"').format(
        asking='chat = true\nsystem = "Be\\\\nbrief."\nextra = {top_k = -1}', task="", measure=""
    )
    (folder / "study.toml").write_text(text)
    (unit,) = make_plan(*read_study(folder)).of("measure")
    seen = []
    monkeypatch.setattr(models, "open_model", lambda spec, loading: seen.append((spec, loading)))
    record = UnitRecord(key=unit.key, kind="measure", parameters=unit.parameters,
                        places=unit.places)  # fmt: skip
    _open_backend(Store(folder), record, read_task(folder / "digits.jsonl"))
    ((spec, loading),) = seen
    assert spec == "http://localhost:1#m"
    assert loading.extra == {"top_k": -1}
    assert (loading.chat.system, loading.chat.ask) == ("Be\nbrief.", "{prompt}")
