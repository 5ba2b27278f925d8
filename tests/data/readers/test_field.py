"""Problems that practitioners ran into, by kind: each test is named after what goes wrong.

The inputs imitate real files in a small form; the property tests below each kind would have
found the case. Rules: docs/readers.md.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augury.data.readers import read_results
from augury.data.readers.tensorboard import crc
from augury.errors import DataError

RELAXED = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def lm_eval(
    results: dict[str, Any], args: Any = "pretrained=acme/mix-1.4b", **changes: Any
) -> dict[str, Any]:
    """A result file of lm-eval; keys of `config` override its own."""
    config = {"model": "hf", "model_args": args} | changes.pop("config", {})
    return {"results": results, "config": config} | changes


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value, indent=2))
    return path


ONE = {"toy": {"acc,none": 0.5, "acc_stderr,none": 0.1}}
OTHER = {"toy": {"acc,none": 0.25, "acc_stderr,none": 0.1}}


# One odd field costs the whole file (K1)


def test_shots_as_a_list_are_one_a_task(tmp_path: Path) -> None:
    results = {"a": {"acc": 0.5}, "b": {"acc": 0.25}, "c": {"rouge2": 3.5}}
    path = write(tmp_path / "result.json", lm_eval(results, config={"num_fewshot": [3, 2, 0]}))
    found = read_results("lm-eval", path)
    assert found.table.select("task", "shots", "value").rows() == [
        ("a", 3, 0.5), ("b", 2, 0.25), ("c", 0, 3.5)
    ]  # fmt: skip
    assert not found.left_out


@pytest.mark.parametrize("shots", [[3, 2], {"a": 3}, [3, "x", 0], {"a": [1]}, "five", [], True])
def test_shots_that_do_not_fit_are_unknown_and_listed(tmp_path: Path, shots: Any) -> None:
    results = {"a": {"acc": 0.5}, "b": {"acc": 0.25}, "c": {"acc": 0.75}}
    path = write(tmp_path / "result.json", lm_eval(results, config={"num_fewshot": shots}))
    found = read_results("lm-eval", path)
    assert found.table["value"].to_list() == [0.5, 0.25, 0.75]
    told = found.table["shots"].to_list() if "shots" in found.table.columns else [None] * 3
    assert all(s is None or s == 3 or (s == 0 and t == "c")
               for s, t in zip(told, "abc", strict=True))  # fmt: skip
    assert found.left_out or shots == {"a": 3}


def test_a_list_of_details_beside_scores(tmp_path: Path) -> None:
    results = {
        "toy_math": {"acc": 0.25, "acc_stderr": 0.2, "details": [{"question": "1+1"}]},
        "toy_long": {"acc": [0, 1, 1, 0], "count": [3, 9, 27, 81]},
        "toy_a": {"acc": 0.5, "acc_stderr": 0.1},
    }
    found = read_results("lm-eval", write(tmp_path / "result.json", lm_eval(results)))
    assert found.table.select("task", "value").rows() == [("toy_math", 0.25), ("toy_a", 0.5)]
    assert [x.key for x in found.left_out] == [
        "results of 'toy_math': 'details'", "results of 'toy_long': 'acc'",
        "results of 'toy_long': 'count'",
    ]  # fmt: skip


def test_infinities_of_a_diverged_model(tmp_path: Path) -> None:
    results = {"ppl": {"word_perplexity,none": float("inf")}, **ONE}
    found = read_results("lm-eval", write(tmp_path / "results.json", lm_eval(results)))
    assert found.table["value"].to_list() == [None, 0.5]
    assert found.left_out[0].why == "the score is infinite"


def test_groups_nested_in_results(tmp_path: Path) -> None:
    results = {
        "toy_mmlu": {"acc,none": 0.6},
        "toy_group": {
            "toy_group": {"acc_norm,none": 0.54},
            "toy_part_1": {"acc_norm,none": 0.5},
            "toy_part_2": {"acc_norm,none": 0.58},
        },
    }
    table = read_results("lm-eval", write(tmp_path / "results.json", lm_eval(results))).table
    assert table.select("task", "value", "is_group").rows() == [
        ("toy_mmlu", 0.6, False), ("toy_group", 0.54, True), ("toy_part_1", 0.5, False),
        ("toy_part_2", 0.58, False),
    ]  # fmt: skip


def test_a_metric_that_is_several_numbers(tmp_path: Path) -> None:
    """Its parts are metrics of the task, not a task named after the metric."""
    by_kind = {"by_kind,none": {"easy": 0.75, "hard": 0.25, "odd": [1]}, "acc,none": 0.5}
    path = write(tmp_path / "results.json", lm_eval({"toy": by_kind}))
    found = read_results("lm-eval", path)
    assert found.table.select("task", "metric", "value").rows() == [
        ("toy", "by_kind/easy", 0.75), ("toy", "by_kind/hard", 0.25), ("toy", "acc", 0.5)
    ]  # fmt: skip
    assert ["by_kind/odd" in x.key for x in found.left_out] == [True]


@pytest.mark.parametrize(
    ("kind", "name", "bare"),
    [
        ("lm-eval", "results_2024-07-01T00-00-00.000000.json", {"results": {"a": {"alias": "a"}}}),
        ("lm-eval", "samples_a_2024-07-01T00-00-00.000000.jsonl",
         '{"doc_id": 0, "resps": [["x"]], "filter": "none", "metrics": []}\n'),
        ("inspect", "failed.json", {"status": "error", "eval": {"task": "a", "model": "b/c"}}),
        ("lighteval", "results_2024-07-01.json", {"config_general": {}, "results": {"a": {}}}),
    ],
)  # fmt: skip
def test_a_file_without_scores_costs_no_folder(
    tmp_path: Path, kind: str, name: str, bare: Any
) -> None:
    """From a run with --predict_only, or a failed run: skipped and listed."""
    good = {
        "lm-eval": lm_eval(ONE),
        "inspect": {"eval": {"task": "toy", "model": "b/c"}, "status": "success", "results": {
            "scores": [{"name": "match", "metrics": {"accuracy": {"value": 0.5}}}]}},
        "lighteval": {"config_general": {"model_name": "b/c"}, "results": {"toy|0": {"em": 0.5}}},
    }  # fmt: skip
    write(tmp_path / "a" / name, bare)
    write(tmp_path / "b" / "results_2024-07-02.json", good[kind])
    found = read_results(kind, tmp_path)
    assert found.table["value"].to_list() == [0.5]
    assert not found.failures
    assert ["no scores" in x.why for x in found.left_out] == [True]
    with pytest.raises(DataError, match="no scores"):
        read_results(kind, tmp_path / "a" / name)


def test_details_of_corpus_metrics_alone(tmp_path: Path) -> None:
    """Their scores pool all instances: files without rows, two of them of one task."""
    for date in ("2026-01-01T00-00-00.000000", "2026-01-02T00-00-00.000000"):
        path = tmp_path / "details" / "acme" / "mix-1b" / date / f"details_toy|0_{date}.parquet"
        path.parent.mkdir(parents=True)
        pl.DataFrame({"metric": [{"bleu": ["a", "b"]}]}).write_parquet(path)
    results = {"config_general": {"model_name": "acme/mix-1b"}, "results": {"toy|0": {"bleu": 7.5}}}
    write(tmp_path / "results_2026-01-01T00-00-00.000000.json", results)
    found = read_results("lighteval", tmp_path)
    assert found.table["value"].to_list() == [7.5]
    assert ["'bleu'" in x.key for x in found.left_out] == [True, True]


@pytest.mark.parametrize("results", [False, True])
def test_samples_of_mid_2024_name_no_metrics(tmp_path: Path, results: bool) -> None:
    """0.4.3 to 0.4.5: a line holds the metrics and neither `metrics` nor `filter`."""
    lines = [
        {"doc_id": i, "doc": {}, "target": "0", "arguments": {}, "resps": [[["-1.0", "False"]]],
         "filtered_resps": [["-1.0", "False"]], "doc_hash": "h", "prompt_hash": "p",
         "target_hash": "t", "acc": float(i % 2), "acc_norm": 1.0, "ppl": [-3.0, 4]}
        for i in range(4)
    ]  # fmt: skip
    path = tmp_path / "samples_toy_2024-07-01T00-00-00.000000.jsonl"
    write(path, "\n".join(map(json.dumps, lines)))
    if results:
        write(
            tmp_path / "results_2024-07-01T00-00-00.000000.json", lm_eval({"other": {"acc": 1.0}})
        )
    found = read_results("lm-eval", tmp_path)
    table = found.table.filter(pl.col("instance").is_not_null())
    assert table.filter(metric="acc")["value"].to_list() == [0.0, 1.0, 0.0, 1.0]
    assert table.filter(metric="acc_norm")["samples"].to_list() == [1.0] * 4
    assert "'ppl' (and 3 more)" in str(found.left_out[0])
    assert ("model" in table.columns) == results


def test_samples_of_2023_are_one_array(tmp_path: Path) -> None:
    """0.4.0 to 0.4.2 wrote MODEL_ARGS_TASK.jsonl, a JSON array."""
    results = lm_eval({"toy_qa": {"acc,none": 0.5}}, "pretrained=acme/mix-1b,dtype=float")
    write(tmp_path / "results.json", results)
    samples = [{"doc_id": i, "doc": {}, "resps": [["a"]], "filtered_resps": ["a"],
                "acc": float(i)} for i in range(2)]  # fmt: skip
    write(tmp_path / "pretrained__acme__mix-1b,dtype__float_toy_qa.jsonl", samples)
    table = read_results("lm-eval", tmp_path).table.filter(pl.col("instance").is_not_null())
    assert table.select("model", "task", "instance", "value").rows() == [
        ("acme/mix-1b", "toy_qa", "0", 0.0), ("acme/mix-1b", "toy_qa", "1", 1.0)
    ]  # fmt: skip


def test_one_task_in_two_files_costs_no_other(tmp_path: Path) -> None:
    a = {"copa": {"acc": 0.6}, "boolq": {"acc": 0.7}}
    b = {"copa": {"acc": 0.61}, "wic": {"acc": 0.5}, "wsc": {"acc": 0.4}}
    write(tmp_path / "a.json", lm_eval(a, date=2.0))
    write(tmp_path / "b.json", lm_eval(b, date=1.0))
    with pytest.raises(DataError, match=r"the same measurement as in .*date") as error:
        read_results("lm-eval", tmp_path)
    assert "--variant date" in str(error.value)
    first = read_results("lm-eval", tmp_path, keep_going=True)
    assert dict(first.table.select("task", "value").rows()) == {
        "copa": 0.6, "boolq": 0.7, "wic": 0.5, "wsc": 0.4
    }  # fmt: skip
    assert len(first.failures) == len(first.left_out) == 1
    # On request the later one, never both; or both, distinguished.
    write(tmp_path / "b.json", lm_eval(b, date=3.0))
    newest = read_results("lm-eval", tmp_path, newest=True)
    assert newest.table.filter(task="copa")["value"].to_list() == [0.61]
    assert not newest.failures
    both = read_results("lm-eval", tmp_path, variant=["date"]).table
    assert both.filter(task="copa").select("value", "variant").rows() == [
        (0.6, "date=2.0"), (0.61, "date=3.0")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "good"),
    [
        ("lm-eval", "results.json", lm_eval(ONE)),
        ("lighteval", "results_x.json", {"config_general": {}, "results": {"t|0": {"acc": 0.5}}}),
        ("inspect", "log.json", {"eval": {"task": "t"}, "samples": [
            {"id": 1, "scores": {"m": {"value": 1}}}]}),
        ("bigcode", "evaluation.json", {"humaneval": {"pass@1": 0.5}}),
        ("evalplus", "a_eval_results.json", {"eval": {"H/0": [{"base_status": "pass"}]}}),
        ("humaneval", "a_results.jsonl", '{"task_id": "H/0", "passed": true}'),
        ("loss", "a.jsonl", '{"step": 1, "loss": 2.5}'),
    ],
)  # fmt: skip
def test_a_foreign_file_beside_results(tmp_path: Path, kind: str, name: str, good: Any) -> None:
    """A checkpoint's config.json and a user's models.csv are skipped and listed."""
    write(tmp_path / "b" / name, good)
    foreign = {"humaneval": "other_results.jsonl", "evalplus": "x_eval_results.json",
               "loss": "models.csv", "lighteval": "results_y.json"}  # fmt: skip
    path = tmp_path / "a" / foreign.get(kind, "config.json")
    text = (
        "model,params\nm,1\n" if path.suffix == ".csv" else '{"architectures": ["A"], "size": 64}'
    )
    write(path, text)
    found = read_results(kind, tmp_path)
    assert found.table["file"].unique().to_list() == [str(tmp_path / "b" / name)]
    assert [x.path for x in found.left_out] == [path]
    with pytest.raises(DataError):  # an error if given by name
        read_results(kind, path)
    with pytest.raises(DataError):
        read_results(kind, path.parent)


def test_a_torn_last_line_of_results(tmp_path: Path) -> None:
    lines = [json.dumps({"task_id": f"Own/{i}", "passed": True}) for i in range(51)]
    path = write(tmp_path / "samples_results.jsonl", "\n".join(lines)[:-20])
    found = read_results("humaneval", path)
    assert found.table["passes"].to_list() == [1.0] * 50
    assert found.left_out[0].key == "line 51"


def test_a_chart_whose_last_line_is_torn(tmp_path: Path) -> None:
    """As a run in progress writes it; in the middle, such a line invalidates the file."""
    path = write(tmp_path / "log.csv", "step,lr,loss\n1,.1,3.5\n2,.1,3.4\n3,.")
    found = read_results("loss", path)
    assert found.table["loss"].to_list() == [3.5, 3.4]
    assert str(found.left_out[0]) == f"{path}: line 4: the last line is cut off (got 3,.)"
    write(path, "step,lr,loss\n1,.1,3.5\n2,.\n3,.1,3.3\n")
    with pytest.raises(DataError, match="row 2: has 2 cells; expected 3, as in the header"):
        read_results("loss", path)


def record(data: bytes) -> bytes:
    def check(of: bytes) -> bytes:
        return struct.pack("<I", int(crc(np.frombuffer(of, np.uint8)[None])[0]))

    length = struct.pack("<Q", len(data))
    return length + check(length) + data + check(data)


def event(step: int, tag: str, value: float) -> bytes:
    def varint(n: int) -> bytes:
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    one = b"\x0a" + varint(len(tag)) + tag.encode() + b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + varint(len(one)) + one
    whole = b"\x10" + varint(step) + b"\x2a" + varint(len(summary)) + summary
    return record(whole)


def test_an_event_file_whose_last_record_is_torn(tmp_path: Path) -> None:
    data = b"".join(event(10 * i, "train/loss", 3.0 - i / 100) for i in range(50))
    path = tmp_path / "events.out.tfevents.1.host.0"
    path.write_bytes(data[:-7])
    found = read_results("loss", path)
    assert found.table["step"].to_list() == [10 * i for i in range(49)]
    assert found.left_out[0].key == "record 50"


@RELAXED
@given(
    good=st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1), min_size=1, max_size=4),
    odd=st.recursive(
        st.none() | st.booleans() | st.text(max_size=3) | st.floats() | st.integers(),
        lambda x: st.lists(x, max_size=2) | st.dictionaries(st.text(max_size=2), x, max_size=2),
        max_leaves=4,
    ),
    place=st.sampled_from(["score", "stderr", "task", "config", "n-shot", "n-samples", "versions",
                           "group_subtasks", "higher_is_better", "groups", "num_fewshot", "date"]),
    indent=st.sampled_from([None, 2]),
)  # fmt: skip
@pytest.mark.slow
def test_anything_anywhere_costs_nothing_beside_it(
    tmp_path: Path, good: dict[str, float], odd: Any, place: str, indent: int | None
) -> None:
    """Every good score is read, whatever is at one place of its file."""
    file = lm_eval({task: {"exact": score} for task, score in good.items()})
    if place == "score":
        file["results"]["zz"] = {"exact": odd}
    elif place == "stderr":
        file["results"]["zz"] = {"exact": 0.5, "exact_stderr": odd}
    elif place == "task":
        file["results"]["zz"] = odd
    elif place == "num_fewshot":
        file["config"][place] = odd
    else:
        file[place] = odd
    path = tmp_path / "results.json"
    path.write_text(json.dumps(file, indent=indent))
    table = read_results("lm-eval", path).table.filter(metric="exact")
    assert dict(table.select("task", "value").rows()).items() >= good.items()
