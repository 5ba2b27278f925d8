"""Output of lm-eval 0.4, Inspect and lighteval, compared with the same files read by hand."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from augury.data.readers import read_results
from augury.errors import DataError
from tests.data.readers.kept import FIXTURES, fixture


def rows(table: pl.DataFrame, **where: Any) -> list[dict[str, Any]]:
    """Rows with these values; None is null."""
    for name, value in where.items():
        column = pl.col(name)
        table = table.filter(column.is_null() if value is None else column == value)
    return table.to_dicts()


def test_lm_eval_04_results() -> None:
    found = read_results("lm-eval", FIXTURES / "lm-eval")
    table = found.table
    (path,) = (FIXTURES / "lm-eval").rglob("*.json")
    plain = json.loads(path.read_text())["results"]
    (acc,) = rows(table, task="tiny_choice", metric="acc")
    assert (acc["value"], acc["stderr"]) == (
        plain["tiny_choice"]["acc,none"],
        plain["tiny_choice"]["acc_stderr,none"],
    )
    assert (acc["model"], acc["step"], acc["shots"], acc["n"]) == ("tiny-5k", 100, 0, 5)
    assert (acc["params"], acc["params_kind"]) == (5392, "total")
    # Filters are part of names, an error of "N/A" is missing, groups are marked.
    assert {r["metric"] for r in rows(table, task="tiny_say")} == {
        "exact_match,first",
        "exact_match,any",
    }
    (bits,) = rows(table, task="tiny_text", metric="bits_per_byte")
    assert bits["stderr"] is None
    assert bits["value"] == plain["tiny_text"]["bits_per_byte,none"]
    (group,) = rows(table, is_group=True)
    assert (group["task"], group["metric"], group["n"]) == ("tiny", "acc", 5)
    scores = [k for entry in plain.values() for k in entry if "," in k and "stderr" not in k]
    assert table.height == len(scores) == 7
    assert not found.unresolved


def test_lm_eval_samples_beside_their_results() -> None:
    """Means over instances are the scores of the results file."""
    found = read_results("lm-eval", FIXTURES / "lm-eval-samples")
    table = found.table
    assert set(table["model"]) == {"tiny-5k"}
    assert set(table["step"]) == {200}
    single = table.filter(pl.col("instance").is_not_null())
    scores = table.filter(pl.col("instance").is_null() & ~pl.col("is_group"))
    assert single.height == 5 * (2 + 1 + 2)
    assert set(single["shots"]) == {0}
    means = single.group_by("task", "metric").agg(pl.col("value").mean())
    joined = means.join(scores, on=["task", "metric"])
    assert joined.height == 5
    assert joined["value"].to_list() == pytest.approx(joined["value_right"].to_list())
    # Four repeats, some of which pass.
    rates = single.filter(task="tiny_pass").sort("instance")
    (path,) = (FIXTURES / "lm-eval-samples").rglob("samples_tiny_pass*")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert set(rates["samples"]) == {4}
    passes = [sum(a[:1].isalpha() for a in line["resps"][0]) for line in lines]
    assert rates["passes"].to_list() == passes
    # Three repeats, one of which a filter kept: one sample.
    assert set(single.filter(task="tiny_say")["samples"]) == {1}
    assert len(found.left_out) == 2
    assert {x.why for x in found.left_out} == {"is not a single number"}


def test_shots_tell_two_runs_apart(tmp_path: Path) -> None:
    """The same model and task with 0 and 5 examples: two results files, two files of samples."""
    source = FIXTURES / "lm-eval-samples" / "tiny-5k__step200"
    for day, shots in (("21", 0), ("22", 5)):
        for path in source.glob("*"):
            if path.name.startswith(("results", "samples_tiny_choice")):
                text = path.read_text().replace('"tiny_choice": 0', f'"tiny_choice": {shots}')
                (tmp_path / path.name.replace("11-21", f"11-{day}")).write_text(text)
    with pytest.raises(DataError, match="the same measurement"):  # the other tasks
        read_results("lm-eval", tmp_path)
    table = read_results("lm-eval", sorted(tmp_path.glob("*.jsonl"))).table
    assert sorted(table["shots"].to_list()) == [0] * 10 + [5] * 10


def test_lm_eval_samples_without_results_take_the_folder(tmp_path: Path) -> None:
    source = fixture("lm-eval-samples", "samples_tiny_choice*")
    folder = tmp_path / "org__mix-1.4b__step300"
    folder.mkdir()
    (folder / source.name).write_bytes(source.read_bytes())
    table = read_results("lm-eval", tmp_path).table
    assert set(table["model"]) == {"org/mix-1.4b"}
    assert table.select("params", "step").unique().rows() == [(1.4e9, 300)]


@pytest.mark.parametrize("suffix", ["json", "eval"])
def test_inspect(suffix: str) -> None:
    found = read_results("inspect", fixture("inspect", f"*.{suffix}"))
    log = json.loads(fixture("inspect", "*.json").read_text())
    table = found.table
    for score in log["results"]["scores"]:
        (row,) = rows(table, metric=f"{score['name']}/accuracy")
        assert row["value"] == score["metrics"]["accuracy"]["value"]
        assert row["stderr"] == score["metrics"]["stderr"]["value"]
        assert row["n"] == 4
    for scorer in ("includes", "match"):
        passes: dict[str, int] = {}
        for sample in log["samples"]:
            got = sample["scores"][scorer]["value"] == "C"
            passes[sample["id"]] = passes.get(sample["id"], 0) + got
        own = table.filter(pl.col("metric") == scorer)
        assert dict(own.select("instance", "passes").rows()) == passes
        assert set(own["samples"]) == {2}
    assert table.select("model", "step", "params", "task").unique().rows() == [
        ("tiny-1.5b", 200, 1.5e9, "tiny_sums")
    ]


def test_inspect_of_other_years(tmp_path: Path) -> None:
    """Fields missing in logs of 2024 and their replacements; partial and odd scores."""
    told = {"task": "t", "model": "hf/org/mix-1b", "model_args": {}, "config": {"epochs": 2}}
    metrics = {"accuracy": {"value": 0.5}, "stderr": {"value": 0.1}}
    scored = [("a", 1, "C"), ("a", 2, "I"), ("b", 1, "P"), ("b", 2, "C"), ("c", 1, None)]
    log: dict[str, Any] = {
        "version": 2,
        "status": "success",
        "eval": told,
        "results": {"completed_samples": 6, "scores": [{"name": "match", "metrics": metrics}]},
        "samples": [{"id": i, "epoch": e, "scores": {"match": {"value": v}}} for i, e, v in scored],
    }
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log))
    table = read_results("inspect", path).table
    assert set(table["model"]) == {"org/mix-1b"}
    (whole,) = rows(table, instance=None)
    assert (whole["value"], whole["stderr"], whole["n"]) == (0.5, 0.1, 3)
    single = table.filter(pl.col("instance").is_not_null())
    assert single.select("instance", "value", "passes", "samples").rows() == [
        ("a", 0.5, 1, 2), ("b", 0.75, None, None), ("c", None, None, None)
    ]  # fmt: skip
    for change, message in (
        ({"version": 1}, "the log has another version .*inspect log convert"),
        ({"eval": {}}, "the log names no task"),
        ({"samples": log["samples"] + log["samples"][:1]}, "duplicate sample 'a' in epoch 1"),
    ):
        path.write_text(json.dumps(log | change))
        with pytest.raises(DataError, match=message):
            read_results("inspect", path)
    path.write_text(json.dumps(log | {"samples": [{"id": 1, "scores": {"m": {"value": "maybe"}}}]}))
    found = read_results("inspect", path)
    assert found.table.filter(instance="1")["value"].to_list() == [None]
    assert "sample '1', scorer 'm': is not C, I, P, N" in str(found.left_out[0])


def test_inspect_archive_says_what_is_broken(tmp_path: Path) -> None:
    data = bytearray(fixture("inspect", "*.eval").read_bytes())
    path = tmp_path / "broken.eval"
    members = {i.filename: i for i in zipfile.ZipFile(io.BytesIO(data)).infolist()}
    for name in ("header.json", "samples/sum-2_epoch_1.json"):
        at = members[name].header_offset + 200  # inside its packed bytes
        broken = data.copy()
        broken[at] ^= 0xFF
        path.write_bytes(bytes(broken))
        with pytest.raises(DataError, match=r"broken\.eval:.*(checksum|unpacked|cut off)"):
            read_results("inspect", path)
    path.write_bytes(bytes(data[: len(data) // 2]))
    with pytest.raises(DataError, match=r"broken\.eval: not a whole zip archive"):
        read_results("inspect", path)


def test_lighteval() -> None:
    found = read_results("lighteval", FIXTURES / "lighteval")
    plain = json.loads(fixture("lighteval", "*.json").read_text())["results"]
    table = found.table
    (acc,) = rows(table, task="tiny_choice", metric="acc", instance=None)
    assert (acc["value"], acc["stderr"], acc["shots"]) == (
        plain["tiny_choice|0"]["acc"],
        plain["tiny_choice|0"]["acc_stderr"],
        0,
    )
    assert {r["task"] for r in rows(table, is_group=True)} == {"all"}
    single = table.filter(pl.col("instance").is_not_null())
    details = pl.read_parquet(fixture("lighteval", "details_tiny_choice*"))
    expected = {d["id"]: m["acc"] for d, m in zip(details["doc"], details["metric"], strict=True)}
    own = single.filter(task="tiny_choice")
    assert dict(own.select("instance", "passes").rows()) == expected
    assert set(own["samples"]) == {1}
    assert table.select("model", "step").unique().rows() == [("tiny-5k", 200)]
    # 5k in a name is not a size (it may be a context length): it is listed.
    assert [(u.model, u.missing) for u in found.unresolved] == [("tiny-5k", ("params",))]
