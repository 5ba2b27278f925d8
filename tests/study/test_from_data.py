"""A study file from existing data, and its errors before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from augury.errors import DataError, UsageError
from augury.study import make_plan, read_study
from augury.study.plan.from_data import study_from
from tests.cli.test_cli import augury as augury  # the fixture
from tests.data.readers.kept import FIXTURES

SIZES = (1e8, 2e8, 4e8, 8e8, 1.6e9)


def scores(tasks: tuple[str, ...] = ("easy", "hard"), **more: list[Any]) -> pl.DataFrame:
    """Accuracies of five sizes with other people's column names."""
    rows = [
        {"model": f"m{i}", "N": n, "D": 20 * n, "task": task, "accuracy": 0.3 + 0.1 * i + 0.01 * j,
         "val_loss": 3.0 - 0.2 * i}
        for i, n in enumerate(SIZES) for j, task in enumerate(tasks)
    ]  # fmt: skip
    return pl.DataFrame(rows).with_columns(**{k: pl.Series(v) for k, v in more.items()})


def test_a_table_becomes_a_study_that_can_be_planned(augury: Any, tmp_path: Path) -> None:
    scores().write_csv(tmp_path / "runs.csv")
    folder = tmp_path / "mine"
    said = augury("init", folder, "--from", tmp_path / "runs.csv")
    assert said.status == 0
    assert said.out.endswith(f"Next: augury run --plan {folder}\n")
    assert (
        "reading 'N' as params, 'D' as tokens, 'accuracy' as value, 'val_loss' as loss" in said.err
    )
    assert "5 sizes, 2 tasks: easy, hard" in said.err
    study, _ = read_study(folder)
    assert study.name == "mine"
    assert study.tables[0].path == "../runs.csv"
    assert study.forecast.laws == ["pass-rate", "power+pass-rate:over=loss"]
    assert study.target is not None
    assert (study.target.params, study.target.tokens) == (6.4e9, 1.28e11)
    plan = make_plan(study, folder)
    labels = [unit.label for unit in plan.units.values()]
    assert {"forecast easy", "forecast hard", "fit pass-rate to hard"} <= set(labels)
    assert len(plan.truth) == 1  # the largest size
    again = augury("init", folder, "--from", tmp_path / "runs.csv")
    assert (again.status, "already exists" in again.err) == (2, True)


def test_one_task_needs_no_name_and_no_loss(tmp_path: Path) -> None:
    scores(("sums",)).drop("val_loss").write_csv(tmp_path / "runs.csv")
    text, _ = study_from(tmp_path / "runs.csv", tmp_path, "x")
    assert 'laws = ["pass-rate"]' in text
    (tmp_path / "study.toml").write_text(text)
    plan = make_plan(*read_study(tmp_path))
    assert "forecast the scores" in [unit.label for unit in plan.units.values()]


def test_one_metric_and_eight_tasks_are_kept(tmp_path: Path) -> None:
    tasks = tuple(f"t{i}" for i in range(10))
    table = scores(tasks)
    both = pl.concat([table.with_columns(metric=pl.lit(m)) for m in ("f1", "acc")])
    more = table.filter(pl.col("task") == "t0").with_columns(metric=pl.lit("zzz"))
    pl.concat([both, more]).write_csv(tmp_path / "runs.csv")
    text, notes = study_from(tmp_path / "runs.csv", tmp_path, "x")
    assert "metric = 'acc' and task in (" in text
    assert "# Other tasks: " in text
    assert notes[-1].endswith("left out: 2 more, named in the file")
    (tmp_path / "study.toml").write_text(text)
    labels = [unit.label for unit in make_plan(*read_study(tmp_path)).units.values()]
    assert sum(label.startswith("forecast ") for label in labels) == 8


def test_finetuned_rows_ask_where_it_emerges(tmp_path: Path) -> None:
    table = scores(("sums",)).with_columns(finetune_examples=pl.Series([0, 64, 0, 64, 128]))
    table.write_csv(tmp_path / "runs.csv")
    text, _ = study_from(tmp_path / "runs.csv", tmp_path, "x")
    (tmp_path / "study.toml").write_text(text)
    assert read_study(tmp_path)[0].question == "emergence"


def test_results_of_another_tool(tmp_path: Path) -> None:
    """One model is too few for a forecast: the message says what is missing."""
    with pytest.raises(DataError, match=r"sizes and no tokens|no model has a size"):
        study_from(FIXTURES / "lm-eval", tmp_path, "x")
    assert (tmp_path / "results.parquet").exists()


def test_losses_alone_ask_for_the_loss(tmp_path: Path) -> None:
    scores(("sums",)).drop("accuracy", "task").write_csv(tmp_path / "runs.csv")
    text, notes = study_from(tmp_path / "runs.csv", tmp_path, "x")
    assert notes[-1] == "5 sizes, and their losses"
    (tmp_path / "study.toml").write_text(text)
    study, _ = read_study(tmp_path)
    assert (study.question, study.forecast.laws) == ("loss", ["chinchilla", "power"])
    assert study.target is not None
    assert (study.target.params, study.target.tokens) == (6.4e9, 1.28e11)
    plan = make_plan(study, tmp_path)
    assert "forecast the loss" in [unit.label for unit in plan.units.values()]
    assert len(plan.truth) == 1  # the largest size


def test_a_study_that_cannot_be_made_leaves_no_folder(augury: Any, tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text("n,colour\n1,red\n")
    assert augury("init", tmp_path / "mine", "--from", tmp_path / "runs.csv").status == 2
    assert not (tmp_path / "mine").exists()
    said = augury("init", tmp_path / "mine", "--from", "-")
    assert (said.status, "write this one to a file" in said.err) == (2, True)
    assert not (tmp_path / "mine").exists()


def test_what_no_study_can_be_made_of(tmp_path: Path) -> None:
    scores().drop("accuracy", "val_loss").write_csv(tmp_path / "sizes.csv")
    with pytest.raises(DataError, match="neither scores nor losses"):
        study_from(tmp_path / "sizes.csv", tmp_path, "x")
    scores().drop("N").write_csv(tmp_path / "small.csv")
    with pytest.raises(DataError, match="no model has a size"):
        study_from(tmp_path / "small.csv", tmp_path, "x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="nothing to read"):
        study_from(tmp_path / "empty", tmp_path, "x")


@pytest.mark.parametrize(
    ("change", "laws", "complaint"),
    [
        (lambda t: pl.concat([t.with_columns(metric=pl.lit(m)) for m in ("acc", "f1")]),
         ["pass-rate"], "2 metrics of easy (acc, f1); keep one: where = \"metric = 'acc'\""),
        (lambda t: t.drop("val_loss"), ["power+pass-rate:over=loss"], "needs a column 'loss'"),
        (lambda t: t, ["pass-rate:over=loss"], "takes loss, which a [target] does not give"),
        (lambda t: t.drop("accuracy"), ["pass-rate"], "[[tables]] hold no scores"),
    ],
)  # fmt: skip
def test_what_the_run_would_find_the_plan_finds(
    tmp_path: Path, change: Any, laws: list[str], complaint: str
) -> None:
    table = change(scores()).rename(
        {"N": "params", "D": "tokens", "val_loss": "loss", "accuracy": "value"}, strict=False
    )
    table.write_csv(tmp_path / "runs.csv")
    (tmp_path / "study.toml").write_text(
        f'name = "x"\n[[tables]]\npath = "runs.csv"\n[forecast]\nlaws = {laws}\n'
        "[target]\nparams = 1e10\ntokens = 2e11\n"
    )
    with pytest.raises(UsageError) as found:
        make_plan(*read_study(tmp_path))
    assert complaint in str(found.value)
