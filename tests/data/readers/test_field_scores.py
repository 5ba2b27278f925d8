"""From the field: what a score is, whose it is, and in which direction. See docs/readers.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from augury.data.readers import read_results
from tests.data.readers.test_field import event, lm_eval, write

# Something that is not a score is read as one (K4)


def test_a_missing_score_of_a_scorer_that_gives_several(tmp_path: Path) -> None:
    """Inspect: NaN at the root of a sample's score means that no score is known."""
    values = [{"fact": 1.0, "style": 1.0}, {"fact": 0.0, "style": 1.0}, float("nan")]
    samples = [{"id": i, "scores": {"grade": {"value": v}}} for i, v in enumerate(values, 1)]
    path = write(tmp_path / "log.json", {"version": 2, "status": "success",
                                         "eval": {"task": "t", "model": "x/acme-1b"},
                                         "samples": samples})  # fmt: skip
    table = read_results("inspect", path).table
    assert table.select("metric", "instance", "value").sort("metric", "instance").rows() == [
        ("grade/fact", "1", 1.0), ("grade/fact", "2", 0.0), ("grade/fact", "3", None),
        ("grade/style", "1", 1.0), ("grade/style", "2", 1.0), ("grade/style", "3", None),
    ]  # fmt: skip


def test_sentinels_are_not_scores(tmp_path: Path) -> None:
    results = {
        "needle": {"4096,none": -1, "16384,none": 1.0},
        "free": {"bypass,none": 999, "bypass_stderr,none": "N/A"},
        "other": {"mcc,none": -1.0, "score,none": -1.0, "acc,none": -1.0},
    }
    found = read_results("lm-eval", write(tmp_path / "results.json", lm_eval(results)))
    assert dict(found.table.select("metric", "value").rows()) == {
        "4096": None, "16384": 1.0, "bypass": None,
        "mcc": -1.0, "score": -1.0, "acc": None,  # a correlation can be -1; a score, perhaps
    }  # fmt: skip
    assert len(found.left_out) == 3


def test_loss_scales_and_perplexities_are_not_losses(tmp_path: Path) -> None:
    """Megatron logs a loss against steps, samples and tokens, and other values named "loss"."""
    tags = [
        ("lm loss", lambda i: 10 * i, 3.0),
        ("lm loss vs tokens", lambda i: 5_242_880 * i, 3.0),
        ("lm loss vs samples", lambda i: 2560 * i, 3.0),
        ("loss-scale/loss-scale", lambda i: 10 * i, 65536.0),
        ("lm loss validation ppl", lambda i: 10 * i, 23.98),
    ]
    path = tmp_path / "events.out.tfevents.1.host.0"
    path.write_bytes(b"".join(event(at(i), tag, v - i / 10) for i in (1, 2) for tag, at, v in tags))
    found = read_results("loss", path)
    assert found.table.select("step", "tokens", "loss_set").rows() == [
        (10, 5_242_880.0, "lm loss"), (20, 10_485_760.0, "lm loss")
    ]  # fmt: skip
    assert [x.key for x in found.left_out] == [tag for tag, *_ in tags[1:]]


def test_a_loss_that_is_not_positive_costs_no_other(tmp_path: Path) -> None:
    lines = [{"_step": i, "train/loss": 3.0 - i / 10, "train/policy_loss": -0.2} for i in range(3)]
    path = write(tmp_path / "history.jsonl", "\n".join(map(json.dumps, lines)))
    found = read_results("loss", path)
    assert found.table["loss"].to_list() == [3.0, 2.9, 2.8]
    assert "train/policy_loss (3 times)" in str(found.left_out[0])


# Samples that could not be judged count as not passed (K5)


def test_samples_that_ended_in_an_error_are_missing_not_failed(tmp_path: Path) -> None:
    samples: list[dict[str, Any]] = [
        {"id": i, "epoch": 1, "scores": {"match": {"value": "C" if i < 3 else "I"}}}
        for i in range(1, 7)
    ]
    samples += [{"id": i, "epoch": 1, "error": {"message": "boom"}} for i in (7, 8)]
    samples[0]["limit"] = {"type": "token"}
    scores = [{"name": "match", "scored_samples": 6, "metrics": {"accuracy": {"value": 1 / 3}}}]
    path = write(tmp_path / "log.json", {
        "version": 2, "status": "success", "eval": {"task": "t", "model": "x/acme-1b"},
        "results": {"scores": scores}, "samples": samples,
    })  # fmt: skip
    found = read_results("inspect", path)
    single = found.table.filter(pl.col("instance").is_not_null())
    assert single["value"].to_list() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, None, None]
    assert single["passes"].null_count() == 2
    assert found.table.filter(pl.col("instance").is_null())["n"].to_list() == [6.0]
    assert found.notes == (
        "log.json: 2 of 8 samples ended in an error: rows without a value",
        "log.json: 1 of 8 samples were cut off by a limit",
    )


def test_problems_that_were_never_run_are_listed(tmp_path: Path) -> None:
    lines = [{"task_id": "H/0", "passed": True}, {"task_id": "H/1", "passed": None},
             {"task_id": "H/2", "passed": "yes"}]  # fmt: skip
    path = write(tmp_path / "a_results.jsonl", "\n".join(map(json.dumps, lines)))
    found = read_results("humaneval", path)
    assert found.table["instance"].to_list() == ["H/0"]
    assert [x.why for x in found.left_out] == [
        "was never run", "'passed' is neither true nor false"
    ]  # fmt: skip
    entry = {"H/0": [{"base_status": "pass"}], "H/1": [{"base_status": None}], "H/2": 3,
             "H/3": [{"base_status": "odd"}]}  # fmt: skip
    found = read_results("evalplus", write(tmp_path / "b_eval_results.json", {"eval": entry}))
    assert found.table["instance"].to_list() == ["H/0"]
    assert len(found.left_out) == 3


# The direction of a metric is ignored (K13)


def test_the_direction_is_the_files_or_the_metrics_never_guessed(tmp_path: Path) -> None:
    results = {
        "t": {"acc,none": 0.5, "word_perplexity,none": 9.0, "odd,none": 1.0, "mine,none": 1.0}
    }
    file = lm_eval(results, higher_is_better={"t": {"mine": False, "acc": True, "odd": "x"}})
    table = read_results("lm-eval", write(tmp_path / "results.json", file)).table
    assert dict(table.select("metric", "higher_is_better").rows()) == {
        "acc": True, "word_perplexity": False, "odd": None, "mine": False
    }  # fmt: skip


# Dialects of tables (K14)


def test_two_runs_of_one_name_in_a_chart(tmp_path: Path) -> None:
    head = '"Step","mix-1b - train/loss","mix-1b - train/loss__MIN","mix-1b - train/loss"'
    path = write(
        tmp_path / "chart.csv", f'{head}\n"10","3.9","3.9","3.95"\n"20","3.5","3.5","3.52"\n'
    )
    found = read_results("loss", path)
    assert found.table.select("model", "family", "step", "loss").rows() == [
        ("mix-1b", "mix", 10, 3.9), ("mix-1b", "mix", 20, 3.5),
        ("mix-1b #2", "mix", 10, 3.95), ("mix-1b #2", "mix", 20, 3.52),
    ]  # fmt: skip
    assert "several runs are called 'mix-1b'" in found.notes[0]
