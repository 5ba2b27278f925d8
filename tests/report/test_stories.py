"""Inputs of `augury report`: each kind gets a page, and an empty input is an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import augury
from augury import fit, save_fit
from augury.errors import DataError, UsageError
from augury.forecast.emergence import Truth, simulate_study
from augury.forecast.emergence.moved_answer import answer_moved
from augury.forecast.questions import find_optimum
from augury.report.page.html import html_of
from augury.report.page.story import Story
from augury.study.page import story_of


def losses() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    n, d = map(np.ravel, np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(2e9, 2e10, 5)))
    loss = (1.7 + 400 / n**0.34 + 410 / d**0.28) * np.exp(0.003 * rng.standard_normal(30))
    names = [f"m{i}" for i in range(30)]
    return pl.DataFrame({"model": names, "params": n, "tokens": d, "loss": loss})


def headings(story: Story) -> list[str]:
    assert html_of(story)
    return [section.heading for section in story.sections]


@pytest.mark.slow
def test_a_table_of_losses_is_told_by_its_law(tmp_path: Path) -> None:
    losses().write_csv(tmp_path / "losses.csv")
    story = story_of(tmp_path / "losses.csv")
    assert story.answer[0].startswith(
        "At 2 billion parameters and 40 billion tokens, pretraining loss will be 2.4"
    )
    assert headings(story)[0] == "The law of pretraining loss: chinchilla"


def test_a_saved_fit_is_told_with_its_residuals(tmp_path: Path) -> None:
    save_fit(fit("chinchilla", losses()), tmp_path / "f")
    story = story_of(tmp_path / "f", at={"params": 1e10, "tokens": 2e11})
    assert story.answer[0].startswith("At 10 billion parameters and 200 billion tokens, the loss")
    assert story.answer[1] == "That is 10x larger than the largest model measured."
    assert [figure.id for figure in story.figures] == ["loss-law", "residuals", "influence"]
    assert story.hero is story.figures[0]
    assert story.title == "f: what loss at 10 billion parameters and 200 billion tokens?"
    asked = story.figures[0].data.filter(pl.col("shown") == "the requested forecast")
    assert asked["params"].to_list() == [1e10]
    assert asked["low"][0] < asked["value"][0] < asked["high"][0]
    residuals = story.figures[1].data
    truth = np.log(losses()["loss"].to_numpy())
    assert np.std(residuals["residual"].to_numpy()) < 0.005 < np.std(truth)
    assert residuals.height == 30
    assert story.sections[0].text == ("chinchilla on 30 points of 30 runs: converged.",)


def test_scores_that_carry_no_forecast_are_still_shown(tmp_path: Path) -> None:
    rows = {"model": [f"m{i}" for i in range(6)], "params": np.geomspace(1e8, 1e10, 6),
            "task": ["arc"] * 6, "metric": ["acc"] * 6,
            "value": [0.25, 0.27, 0.31, 0.4, 0.5, 0.6]}  # fmt: skip
    pl.DataFrame(rows).write_csv(tmp_path / "acc.csv")
    story = story_of(tmp_path / "acc.csv")
    assert story.answer[0] == "6 models on 1 task measured; no forecast is possible yet."
    assert headings(story) == ["Scores", "What this page does not have"]
    (figure,) = story.figures
    assert figure.data["value"].to_list() == rows["value"]


@pytest.mark.slow
def test_finetuned_models_are_told_by_where_the_task_emerges(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    seen = simulate_study(Truth(), rng, losses=np.linspace(2.6, 1.95, 12))
    folder = tmp_path / "tuned" / "measurements" / "one"
    folder.mkdir(parents=True)
    seen.with_columns(task=pl.lit("sums")).write_parquet(folder / "rows.parquet")
    story = story_of(tmp_path / "tuned")
    assert story.answer[0].startswith("“sums” emerges without finetuning at a pretraining loss of ")
    assert headings(story)[0] == "Where sums emerges"


@pytest.mark.slow
def test_the_page_says_where_a_task_emerges_as_the_command_does(tmp_path: Path) -> None:
    """Without a column `task`, too; and a loss whose fit has no interval is no forecast."""
    rng = np.random.default_rng(0)
    seen = simulate_study(Truth(elbow=1.9, shift=0.3, slope=0.9), rng,
                          losses=np.linspace(2.4, 1.94, 10), amounts=(30, 480, 7500))  # fmt: skip
    seen.write_csv(tmp_path / "tuned.csv")
    story = story_of(tmp_path / "tuned.csv")
    (answer,) = answer_moved(seen)
    value, low, high = answer.fitted.point(answer.distance)
    assert story.answer[0] == (
        f"The task emerges without finetuning at a pretraining loss of {value:.2f} "
        f"(90% interval: {low:.2f} to {high:.2f})."
    )
    about_loss = next(v for v in story.verdicts if v.about == "the loss")
    assert about_loss.lead.startswith("No forecast of pretraining loss at 8 billion parameters: it")
    assert not about_loss.useful
    assert headings(story)[0] == "Where the task emerges"


def test_where_nothing_can_be_said_there_is_no_page(tmp_path: Path) -> None:
    pl.DataFrame({"model": ["a", "b"], "note": ["x", "y"]}).write_csv(tmp_path / "notes.csv")
    with pytest.raises(DataError, match=r"notes\.csv: nothing can be reported: No law of the loss"):
        story_of(tmp_path / "notes.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is a folder with nothing to report; expected a study, a"):
        story_of(tmp_path / "empty")


def test_any_saved_result_is_told(tmp_path: Path) -> None:
    fitted = fit("chinchilla", losses())
    augury.save(find_optimum(fitted, flops=1e22), tmp_path / "best")
    story = story_of(tmp_path / "best")
    assert story.title == "best: compute optimum"
    assert story.answer[0].startswith("At 1e+22 FLOPs, ")
    assert story.answer[0].endswith(" tokens are optimal.")
    assert [figure.id for figure in story.figures] == ["isoflop", "frontier"]
    page = html_of(story)  # the verdict is not repeated as a heading
    assert '<h3 id="isoflop-title" class="unseen">At 1e+22 FLOPs, ' in page
    assert '<h3 id="frontier-title">' in page
    ahead = augury.predict(fitted, {"params": [1e10, 2e10], "tokens": [2e11, 4e11]})
    augury.save(ahead, tmp_path / "ahead")
    story = story_of(tmp_path / "ahead")
    assert story.answer[0].startswith("At 10 billion parameters and 200 billion tokens: 2.")
    (table,) = story.sections[0].tables
    assert table.data.height == 2
    assert html_of(story)
    with pytest.raises(UsageError, match="--at is for fits, measurements and tables"):
        story_of(tmp_path / "ahead", at={"params": 1e9})


@pytest.mark.slow
def test_a_saved_chain_is_told_by_the_score_it_forecasts(tmp_path: Path) -> None:
    scored = losses().with_columns(value=0.25 + 0.7 / (1 + (4 * (pl.col("loss") - 2.6)).exp()))
    chain = augury.Chain(augury.law("chinchilla"), augury.law("logistic-task"))
    augury.save(augury.fit_chain(chain, scored), tmp_path / "chain")
    story = story_of(tmp_path / "chain", at={"params": 1e10, "tokens": 2e11})
    assert story.answer[0].startswith(
        "At 10 billion parameters and 200 billion tokens, the score will be 0.8"
    )
    assert [figure.id for figure in story.figures] == ["task-law", "loss-law"]
