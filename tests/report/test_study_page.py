"""The page of a study: it first answers the questions, then shows the outcomes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from augury.report.page.html import html_of
from augury.report.page.outlook import emergence_figures
from augury.report.page.story import Outlook, Story
from augury.report.page.words import rate_interval
from augury.study import run_study, scoreboard
from augury.study.page import story_of
from augury.study.page.words import known
from tests.study.helpers import inside, table_study

TARGET = "[target]\nparams = 1e9\ntokens = 2e10\n"


@pytest.mark.slow
def test_the_target_is_answered_before_what_was_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table_study(tmp_path)
    path.write_text(path.read_text() + TARGET)
    inside(monkeypatch, tmp_path)
    assert run_study(tmp_path).complete
    story = story_of(tmp_path)
    assert "1 billion parameters" in story.title
    assert story.answer[0].startswith("At 1 billion parameters and 20 billion tokens")
    spread, beyond, held_out = story.answer[1:]
    near, far = story.forecasts
    assert spread.startswith(f"Of this interval, {far.run_share:.0%} of the squared width is run")
    (mean,) = {
        row.mean_interval
        for row in scoreboard([tmp_path])
        if row.inputs["params"] == 1e9 and row.run_share is not None
    }
    said = rate_interval(far.value, *map(known, mean))
    assert spread.endswith(f"; for the mean of many runs it is {said.interval}.")
    assert f" %; {near.run_share:.0%} of the squared width is run-to-run spread)" in held_out
    assert beyond == "That is 125x larger than the largest model measured."
    assert held_out.startswith("At 16 million parameters and 320 million tokens: 3.1 %")
    assert held_out.endswith("of 2 runs measured afterwards inside.")
    assert story.hero is not None
    assert story.hero.data["truth"].is_not_null().sum() == 2
    # The distance of each is on record, and nothing unknown is shown as a number.
    assert all(np.isfinite(outlook.extrapolation) for outlook in story.forecasts)
    assert [len(outlook.truth) for outlook in story.forecasts] == [2, 0]
    text = html_of(story)
    assert "× their range" in text
    for outlook in story.forecasts:
        assert f'data-of="run-to-run">{outlook.run_share:.0%}' in text
    assert "Run-to-run: the share of" in text
    assert not unknown(text)


def unknown(page: str) -> list[str]:
    """Text such as "nan" where a reader would see it."""
    return re.findall(r"\b(?:nan|NaN|None|inf)\b", page.split("<body>")[1].split("<script")[0])


def emergence(folder: Path, bracket: list[float | None], held: bool) -> Path:
    """The folder of a finished study with a forecast loss of 1.87."""
    rng = np.random.default_rng(0)
    rows = [
        {"model": f"m{i}", "loss": loss, "finetune_examples": amount, "chance": 0.25,
         "value": 0.25 + max(0.0, 2.1 + amount / 4000 - loss) + 0.01 * rng.random()}
        for amount in (0, 400, 1600) for i, loss in enumerate(np.linspace(2.6, 2.0, 6))
    ]  # fmt: skip

    def point(value: float, low: float, high: float) -> dict[str, Any]:
        return {"point": {"value": value, "interval": [low, high], "level": 0.9}}

    forecast = {
        "question": "emergence", "task": "sums", "level": 0.9, "status": "answered", "remedy": "",
        "law": "relu", "weights": {"relu": 1.0}, "notes": [], "reach_notes": [], "distance": 0.03,
        "elbow": point(1.92, 1.74, 2.02), "above": point(1.87, 1.69, 1.95),
        "forecasts": [
            {"method": "emergence", "inputs": {}, "value": 1.87, "run_interval": [1.69, 1.95],
             "extrapolation": 0.12, "level": 0.9},
            {"method": "emergence-in-params", "inputs": {"tokens": 2e12}, "value": 3.2e9,
             "run_interval": [1.1e9, None], "extrapolation": None, "level": 0.9},
        ],
    }  # fmt: skip
    score = {
        "question": "emergence", "task": "sums", "level": 0.9,
        "scores": [{"method": "emergence", "forecast": 0, "inputs": {}, "bracket": bracket,
                    "held": held}],
        "models": [{"model": "later", "loss": 1.85, "score": 0.31, "emerged": True}],
    }  # fmt: skip
    units = [("f", "forecast", []), ("s", "score", ["f"])]
    for key, _, _ in units:
        (folder / "units" / key).mkdir(parents=True)
        (folder / "units" / key / "unit.json").write_text("{}")
    (folder / "units" / "f" / "forecast.json").write_text(json.dumps(forecast))
    (folder / "units" / "s" / "score.json").write_text(json.dumps(score))
    pl.DataFrame(rows).write_parquet(folder / "units" / "f" / "observed.parquet")
    pl.DataFrame(
        {"finetune_examples": [5.0, 1600.0], "loss": [1.92, 2.2], "low": [1.74, 2.1],
         "high": [2.02, 2.3]}
    ).write_parquet(folder / "units" / "f" / "elbows.parquet")  # fmt: skip
    plan = {
        "name": "elbow", "question": "emergence", "digest": "0", "target": None,
        "units": [{"key": k, "kind": kind, "needs": needs, "parameters": {"question": "emergence"}}
                  for k, kind, needs in units],
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


@pytest.mark.parametrize(
    ("bracket", "held", "told"),
    [
        ([1.85, 1.94], True, "it appeared between losses of 1.94 and 1.85: as forecast."),
        ([None, 1.6], False, "it had not appeared at a loss of 1.6: outside the interval."),
        ([2.1, None], False, "it had appeared by a loss of 2.1: outside the interval."),
    ],
)
def test_where_it_emerges_is_told_with_what_it_takes_and_what_came(
    tmp_path: Path, bracket: list[float | None], held: bool, told: str
) -> None:
    story = story_of(emergence(tmp_path, bracket, held))
    said = " ".join(story.answer)
    assert said.startswith(
        "“sums” emerges without finetuning at a pretraining loss of 1.87 (90% interval: 1.69 to "
        "1.95). That is better than the best loss measured, by 0.12 of the range of losses."
    )
    assert "Emerged means 0.03 above chance; the elbow" in said
    assert (
        "Trained on 2 trillion tokens, that takes 3.20 billion parameters (90% interval: 1.10 "
        "billion or more)"
    ) in said
    assert told in said
    figure = story.figures[0]
    later = figure.data.filter(pl.col("amount") == "not finetuned, measured afterwards")
    assert later["value"].to_list() == [0.31]
    assert "Dashed line and band: without finetuning, it emerges at 1.87" in figure.shows
    assert not unknown(html_of(story))


def test_a_study_of_a_loss_forecasts_it_and_shows_what_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    params = np.repeat(np.geomspace(1e6, 3.2e7, 6), 2)
    loss = (1.8 + 400 * params**-0.35) * np.exp(0.003 * rng.standard_normal(12))
    runs = {"model": [f"m{i}" for i in range(12)], "params": params, "loss": loss}
    pl.DataFrame(runs).write_csv(tmp_path / "runs.csv")
    (tmp_path / "study.toml").write_text(
        'name = "loss"\nquestion = "loss"\n[[tables]]\npath = "runs.csv"\n'
        '[forecast]\nlaws = ["power"]\n[target]\nparams = 1e9\n[held_out]\nwhere = "params > 3e7"\n'
    )
    inside(monkeypatch, tmp_path)
    assert run_study(tmp_path).complete
    story = story_of(tmp_path)
    assert story.title == "loss: what is the loss at 1 billion parameters?"
    assert story.answer[0].startswith(
        "At 1 billion parameters, the pretraining loss of a new model will be 2.0"
    )
    assert "nats per token (90% interval: " in story.answer[0]
    spread = " of the squared width is run-to-run spread; for the mean of many runs it is 1.89 to "
    assert spread in story.answer[1]
    assert story.answer[-1].startswith("At 32 million parameters: 2.7")
    (first, _, *_rest) = story.forecasts
    assert not any(outlook.is_rate for outlook in story.forecasts)
    assert first.what in ("loss at 32 million parameters", "loss at 1 billion parameters")
    held_out = next(o for o in story.forecasts if o.truth)
    assert held_out.truth == pytest.approx(loss[-2:])
    assert story.hero is not None
    assert story.hero.title.startswith("Pretraining loss over parameters")
    assert not unknown(html_of(story))


def test_where_an_ability_emerges_is_in_the_first_screen() -> None:
    open_ = Outlook("loss at which sums emerges", float("nan"), (1.0, 2.0), 0.9, 0.1, is_loss=True)
    known = replace(open_, value=1.9, interval=(1.86, 1.93), truth=(1.92,))
    (figure,) = emergence_figures((replace(known, is_loss=False), open_, known))
    assert figure.title == "Where sums emerges, and where it appeared"
    assert figure.data.row(0) == ("loss at which sums emerges", 1.9, 1.86, 1.93, 1.92)
    story = Story("Both", ("Here.",), (), (known,), beside=(figure,))
    assert story.figures == (figure,)
