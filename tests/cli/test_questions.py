"""The commands that answer questions as a script sees them: JSON, pictures, one-line errors."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from augury.forecast.ladder import RECIPES, forecast_ladder
from augury.forecast.questions.tasks import probability_above
from tests.cli.test_cli import MAP
from tests.cli.test_cli import augury as augury  # fixtures
from tests.cli.test_cli import table as table
from tests.forecast.test_questions_mixture import mixtures
from tests.forecast.test_questions_optimal import isoflops
from tests.forecast.test_questions_repeat import repeated_runs
from tests.forecast.test_questions_size import zoo
from tests.forecast.test_questions_versus import power_runs


def complaint(said: Any) -> str:
    """The one-line message of an error, with exit status 2."""
    assert said.status == 2
    assert said.out == ""
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    return str(lines[0])


@pytest.fixture
def fitted(augury: Any, table: Path, tmp_path: Path) -> Path:
    out = tmp_path / "fit"
    assert augury("fit", table, "--law", "chinchilla", *MAP, "--out", out, "--json").status == 0
    return out


@pytest.mark.slow
def test_optimal(augury: Any, fitted: Path, tmp_path: Path) -> None:
    said = augury("optimal", fitted, "--flops", "1e24", "--out", tmp_path / "o", "--json")
    assert (said.status, said.err) == (0, "")
    answer = json.loads(said.out)
    assert answer["flops"] == 1e24
    for name in ("params", "tokens", "loss"):
        low, high = answer[name]["interval"]
        assert low <= answer[name]["value"] <= high
    low, high = answer["flat"]["params"]
    assert low < answer["params"]["value"] < high
    assert {"level", "extrapolation", "status", "notes", "seed"} <= answer.keys()
    assert (tmp_path / "o" / "figures" / "isoflop.svg").read_text().startswith("<svg")
    assert "optimal at params=7e+10" in augury("optimal", fitted, "--params", "70B").out
    assert "per token served" in augury("optimal", fitted, "--loss", "2.2", "--served", "1T").out


def test_optimal_of_a_table_of_equal_budgets(augury: Any, tmp_path: Path) -> None:
    path = tmp_path / "iso.csv"
    isoflops(0.001, 0).write_csv(path)
    answer = json.loads(augury("optimal", path, "--flops", "1e22", "--json").out)
    assert answer["method"] == "isoflop"
    assert [n["code"] for n in answer["notes"]] == ["parabola-bias"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give one of flops, tokens, params and loss"),
        (("--flops", "much"), "--flops 'much': expected a positive number"),
        (("--flops", "-1"), "--flops '-1': expected a positive number"),
        (("--flops", "1e24", "--params", "7B"), "give one of"),
        (("--loss", "0.1"), "no budget reaches a loss of 0.1"),
        (("--flops", "1e24", "--where", "loss < 3"), "FIT is a saved fit"),
        (("--flops", "1e24", "--level", "2"), "level must lie between 0 and 1"),
    ],
)
def test_optimal_asked_wrongly(
    augury: Any, fitted: Path, arguments: tuple[str, ...], words: str
) -> None:
    assert words in complaint(augury("optimal", fitted, *arguments))


def test_optimal_of_what_is_no_fit(augury: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no saved result" in complaint(augury("optimal", tmp_path / "empty", "--flops", "1e24"))
    path = tmp_path / "t.csv"
    pl.DataFrame({"params": [1e8, 2e8], "flops": [1e18, 1e18], "loss": [3.0, 2.9]}).write_csv(path)
    assert "budgets have 5 or more sizes" in complaint(augury("optimal", path, "--flops", "1e24"))
    assert "--loss and --served need a fit" in complaint(augury("optimal", path, "--loss", "2"))


@pytest.fixture
def rungs(tmp_path: Path) -> Path:
    """Nine runs of three sizes with three checkpoints each, and two tasks."""
    rng = np.random.default_rng(0)
    rows = []
    for n in (1e8, 3e8, 1e9):
        for ratio in (20, 40, 80):
            for share in (0.5, 0.75, 1.0):
                tokens = ratio * n * share
                for task, a in (("easy", 6.0), ("hard", 12.0)):
                    bpb = 0.4 + a * n**-0.15 + 40 * tokens**-0.25 + 0.002 * rng.normal()
                    value = 0.25 + 0.75 / (1 + np.exp(6 * (bpb - 0.9)))
                    rows.append((f"{n:g}-{ratio}", task, n, tokens, bpb, value))
    path = tmp_path / "ladder.csv"
    names = ["run", "task", "params", "tokens", "bpb", "value"]
    pl.DataFrame(rows, schema=names, orient="row").write_csv(path)
    return path


@pytest.mark.slow
def test_ladder(augury: Any, rungs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = partial(forecast_ladder, recipes=RECIPES[2:3])  # all fifteen take half a minute
    monkeypatch.setattr("augury.forecast.questions.tasks.forecast_ladder", one)
    monkeypatch.setattr("augury.forecast.ladder.RESAMPLES", 30)
    said = augury("ladder", rungs, "--at", "params=7B,tokens=400B", "--threshold", ".6", "--json",
                  "--out", tmp_path / "o")  # fmt: skip
    assert (said.status, said.err) == (0, "")
    tasks = json.loads(said.out)
    assert [t["task"] for t in tasks] == ["easy", "hard"]
    for t in tasks:
        low, high = t["interval"]
        assert low <= t["value"] <= high
        assert t["level"] == 0.9
        assert 0 <= t["probability_above"] <= 1
        assert (t["probability_above"] > 0.5) == (t["value"] > 0.6)
    assert (tmp_path / "o" / "figures" / "tasks.svg").exists()


def test_ladder_asked_wrongly(augury: Any, rungs: Path, tmp_path: Path) -> None:
    assert "needs two of params, tokens" in complaint(augury("ladder", rungs, "--at", "params=7B"))
    at = ("--at", "params=7B,tokens=4T")
    assert "threshold must lie" in complaint(augury("ladder", rungs, *at, "--threshold", "60"))
    few = tmp_path / "few.csv"
    pl.read_csv(rungs).head(12).write_csv(few)
    assert "2 points at 2 scales are too few" in complaint(augury("ladder", few, *at))
    pl.read_csv(rungs).drop("value").write_csv(few)
    assert "column 'value'" in complaint(augury("ladder", few, *at))


def test_a_ladder_without_bits_per_byte_is_forecast_by_its_scores(
    augury: Any, rungs: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.csv"
    pl.read_csv(rungs).drop("bpb").write_csv(bare)
    at = ("--at", "params=7B,tokens=400B", "--threshold", ".6")
    tasks = json.loads(augury("ladder", bare, *at, "--json").out)
    for task, a in zip(tasks, (6.0, 12.0), strict=True):
        bpb = 0.4 + a * 7e9**-0.15 + 40 * 4e11**-0.25
        low, high = task["interval"]
        assert low < 0.25 + 0.75 / (1 + np.exp(6 * (bpb - 0.9))) < high
        assert (task["probability_above"] > 0.5) == (task["value"] > 0.6)
    said = augury("ladder", bare, *at).out
    assert "By the average of simple forecasts of each task alone." in said


def test_the_chance_of_passing_follows_the_interval() -> None:
    assert probability_above(0.5, 0.4, 0.7, 0.9, 0.4) == pytest.approx(0.95)
    assert probability_above(0.5, 0.4, 0.7, 0.9, 0.7) == pytest.approx(0.05)
    assert probability_above(0.5, 0.4, 0.7, 0.9, 0.5) == 0.5
    assert probability_above(0.5, 0.5, 0.5, 0.9, 0.4) == 1.0


@pytest.mark.slow
def test_versus(augury: Any, tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    power_runs(2.0, 0.002, 0).write_csv(path)
    said = augury("versus", path, "--by", "series", "--out", tmp_path / "o", "--json")
    assert (said.status, said.err) == (0, "")
    answer = json.loads(said.out)
    low, high = answer["ratio"]["interval"]
    assert low <= answer["ratio"]["value"] <= high
    assert answer["of"] == "flops"
    assert "crossing" in answer
    assert (tmp_path / "o" / "figures" / "versus.svg").exists()
    assert "a is better" in augury("versus", path, "--by", "series").out
    one = complaint(augury("versus", path, "--by", "series", "--between", "a"))
    assert "expected two names" in one
    assert "column 'arm'" in complaint(augury("versus", path, "--by", "arm"))
    assert "no law" in complaint(augury("versus", path, "--by", "series", "--law", "zipf"))


@pytest.mark.slow
def test_mix(augury: Any, tmp_path: Path) -> None:
    path = tmp_path / "mix.csv"
    mixtures(40, 0.002, 0).write_csv(path)
    said = augury("mix", path, "--minimise", "web_loss", "--cap", "web=.6", "--json",
                  "--out", tmp_path / "o")  # fmt: skip
    assert (said.status, said.err) == (0, "")
    answer = json.loads(said.out)
    assert answer["shares"].keys() == {"web", "code", "books"}
    assert sum(answer["shares"].values()) == pytest.approx(1.0)
    made = answer["predicted"]["web_loss"]
    (low, high), (mean_low, mean_high) = made["interval"], made["mean_interval"]
    assert low < mean_low < made["value"] < mean_high < high
    assert 0 < made["run_share"] < 1
    assert answer["runners_up"]
    for name in ("mixture", "effects"):
        assert (tmp_path / "o" / "figures" / f"{name}.svg").exists()
    minimise = ("--minimise", "web_loss")
    assert "either what to minimise" in complaint(augury("mix", path))
    assert "column 'x'" in complaint(augury("mix", path, "--minimise", "x"))
    assert "expected NAME=NUMBER" in complaint(augury("mix", path, *minimise, "--cap", "web"))
    assert "cannot lie between" in complaint(augury("mix", path, *minimise, "--cap", "web=2"))


def test_mix_ranks_mixtures(augury: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cheap(past: pl.DataFrame, future: pl.DataFrame, seed: int) -> dict[str, Any]:
        web = -future["share_web"].to_numpy()
        return {"effective-share": web, "boosted-trees": web}

    monkeypatch.setattr("augury.forecast.questions.ranking._forecasts", cheap)
    path, asked = tmp_path / "mix.csv", tmp_path / "asked.csv"
    sizes = [mixtures(60, 0.002, 0).with_columns(params=pl.lit(n)) for n in (1e6, 6e7)]
    sizes[1] = mixtures(60, 0.002, 1).with_columns(params=pl.lit(6e7))
    pl.concat(sizes).write_csv(path)
    mixtures(8, 0.0, 2).select(pl.col("^share_.*$")).write_csv(asked)
    ask = ("mix", path, "--minimise", "web_loss", "--rank", asked)
    said = augury(*ask, "--out", tmp_path / "o", "--json")
    assert (said.status, said.err) == (0, "")
    answer = json.loads(said.out)
    assert [r["rank"] for r in answer["ranking"]] == list(range(1, 9))
    assert answer["tested"] == [[1e6, 6e7]]
    assert (tmp_path / "o" / "figures" / "ranking.svg").exists()
    assert "no --cap" in complaint(augury(*ask, "--cap", "web=.5"))
    pl.read_csv(asked).drop("share_web").write_csv(asked)
    assert "column 'share_web'" in complaint(augury(*ask))


@pytest.mark.slow
def test_repeat(augury: Any, fitted: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "runs.csv", tmp_path / "dc"
    pl.DataFrame(repeated_runs(60, 0.002, 0)[0]).write_csv(path)
    assert augury("fit", path, "--law", "data-constrained", "--out", out, "--json").status == 0
    size = ("--params", "1B")
    said = augury("repeat", out, "--unique-tokens", "25B", *size, "--out", tmp_path / "o", "--json")
    assert (said.status, said.err) == (0, "")
    answer = json.loads(said.out)
    assert answer["epochs"]["value"] > 1
    assert [row["epochs"] for row in answer["loss"]] == [1, 2, 4, 8, 16, 32, 64]
    assert answer["worth"][0]["value"] == pytest.approx(1.0, rel=1e-3)
    assert (tmp_path / "o" / "figures" / "repeats.svg").exists()
    wrong = complaint(augury("repeat", fitted, "--unique-tokens", "25B", *size))
    assert "needs a law of params and tokens and unique_tokens" in wrong
    assert "expected a positive number" in complaint(
        augury("repeat", out, "--unique-tokens", "none", *size)
    )


def test_size(augury: Any, tmp_path: Path) -> None:
    path = tmp_path / "zoo.csv"
    zoo(4.0, 0.002, 0).write_csv(path)
    asked = ("size", path, "--reference", "ref", "--model", "new")
    said = augury(*asked, "--json", "--out", tmp_path / "o")
    assert (said.status, said.err) == (0, "")
    answer = json.loads(said.out)
    low, high = answer["effective_params"]["interval"]
    assert low < answer["effective_params"]["value"] < high
    assert answer["density"] == pytest.approx(answer["effective_params"]["value"] / 3e9)
    assert answer["references"][0]["family"] == "ref"
    assert (tmp_path / "o" / "figures" / "size.svg").exists()
    no = complaint(augury("size", path, "--reference", "ref", "--model", "nobody"))
    assert "no model is called 'nobody'" in no
    assert "column 'MMLU'" in complaint(augury(*asked, "--scores", "MMLU"))
