"""What people who do this job ran into, by its kind: each test is named after what goes wrong.

The inputs are small copies in form of real files; the property tests below each kind would have
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
    """A result file of lm-eval; `config` is changed by keys that are its own."""
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
    # On request the later one, never both; or both, told apart.
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
    """config.json of a checkpoint, models.csv of one's own: passed over, and listed."""
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
    with pytest.raises(DataError):  # asked for by name, it is an error
        read_results(kind, path)
    with pytest.raises(DataError):
        read_results(kind, path.parent)


def test_a_torn_last_line_of_results(tmp_path: Path) -> None:
    lines = [json.dumps({"task_id": f"Own/{i}", "passed": True}) for i in range(51)]
    path = write(tmp_path / "samples_results.jsonl", "\n".join(lines)[:-20])
    found = read_results("humaneval", path)
    assert found.table["passes"].to_list() == [1.0] * 50
    assert found.left_out[0].key == "line 51"


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
    """Every good score is read, whatever stands at one place of its file."""
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


# Settings that make another model are not seen (K2)


def test_an_adapter_is_not_its_base(tmp_path: Path) -> None:
    base = lm_eval(OTHER, "pretrained=acme/mix-7b,dtype=bfloat16", model_name="acme/mix-7b")
    args = "pretrained=acme/mix-7b,peft=../adapters/math-lora,dtype=bfloat16"
    write(tmp_path / "base.json", base)
    write(tmp_path / "tuned.json", lm_eval(ONE, args, model_name="../adapters/math-lora"))
    write(tmp_path / "older.json", lm_eval(ONE, "pretrained=acme/mix-7b,peft=org/chat-lora"))
    table = read_results("lm-eval", tmp_path).table
    assert table.select("model", "base_model", "adapter", "value").sort("model").rows() == [
        ("../adapters/math-lora", "acme/mix-7b", "../adapters/math-lora", 0.5),
        ("acme/mix-7b", None, None, 0.25),
        ("org/chat-lora", "acme/mix-7b", "org/chat-lora", 0.5),
    ]


@pytest.mark.parametrize(
    ("changes", "column", "says"),
    [
        ({"chat_template": "{{ messages }}", "chat_template_sha": "ab12"}, "chat_template", "ab12"),
        ({"chat_template": "{{ x }}", "chat_template_sha": None}, "chat_template", None),
        ({"system_instruction": "Be brief."}, "system_prompt", None),
        ({"system_instruction_sha": "cd34", "system_instruction": "x"}, "system_prompt", "cd34"),
        ({"args": {"pretrained": "acme/mix-1.4b", "steer_path": "v-1.pt"}}, "variant",
         "steer_path=v-1.pt"),
        ({"args": "pretrained=acme/mix-1.4b,load_in_4bit=True"}, "quantization", "4bit"),
        ({"args": "pretrained=acme/mix-1.4b,autogptq=True"}, "quantization", "gptq"),
        ({"args": "pretrained=acme/mix-1.4b,add_bos_token=True"}, "variant", "add_bos_token=True"),
        ({"config": {"limit": 100}}, "variant", "limit=100"),
        ({"config": {"gen_kwargs": {"temperature": 0.7}}}, "variant",
         'gen_kwargs={"temperature": 0.7}'),
        ({"fewshot_as_multiturn": True, "chat_template_sha": "ab"}, "variant",
         "fewshot_as_multiturn=true"),
        ({"versions": {"toy": 2.0}}, "task_version", "2.0"),
        ({"n-shot": {"toy": 5}}, "shots", 5),
    ],
)  # fmt: skip
def test_another_setting_is_another_measurement(
    tmp_path: Path, changes: dict[str, Any], column: str, says: Any
) -> None:
    plain: dict[str, Any] = {"versions": {"toy": 1.0}, "n-shot": {"toy": 0}}
    write(tmp_path / "a.json", lm_eval(ONE, **plain))
    write(tmp_path / "b.json", lm_eval(OTHER, **plain | changes))
    table = read_results("lm-eval", tmp_path).table
    assert table["value"].to_list() == [0.5, 0.25]
    told = table[column].to_list()
    assert told[0] in (None, 0, "1.0")
    assert told[1] not in (None, told[0])
    assert says is None or told[1] == says
    # The same once more is the same measurement.
    write(tmp_path / "c.json", lm_eval(OTHER, **plain | changes))
    with pytest.raises(DataError, match=r"c\.json: the same measurement as in .*b\.json"):
        read_results("lm-eval", tmp_path)


@pytest.mark.parametrize(
    "args",
    ["pretrained=acme/mix-1.4b,device_map=auto", "pretrained=acme/mix-1.4b,trust_remote_code=True",
     "pretrained=acme/mix-1.4b,parallelize=False,peft=None"],
)  # fmt: skip
def test_how_a_model_is_loaded_makes_no_other(tmp_path: Path, args: str) -> None:
    write(tmp_path / "a.json", lm_eval(ONE))
    write(tmp_path / "b.json", lm_eval(OTHER, args))
    with pytest.raises(DataError, match="the same measurement"):
        read_results("lm-eval", tmp_path)


def test_folders_that_the_users_table_names_are_models(tmp_path: Path) -> None:
    for name, passed in (("gpt-4o-mini", True), ("claude-x", False)):
        line = json.dumps({"task_id": "Own/0", "passed": passed})
        write(tmp_path / name / "samples.jsonl_results.jsonl", line)
    models = write(tmp_path / "models.csv", "model,params\ngpt-4o-mini,1e10\nclaude-x,2e10\n")
    table = read_results("humaneval", tmp_path, models=models).table
    assert table.select("model", "params", "passes").rows() == [
        ("claude-x", 2e10, 0.0), ("gpt-4o-mini", 1e10, 1.0)
    ]  # fmt: skip


def test_one_model_has_one_size(tmp_path: Path) -> None:
    """Older files do not count parameters; the counted size is the model's in all of them."""
    args = "pretrained=acme/mix-7b"
    counted = {"model_num_parameters": 8_537_680_896}
    write(tmp_path / "old.json", lm_eval(ONE, args))
    write(tmp_path / "new.json", lm_eval({"u": {"acc": 0.6}}, args, config=counted))
    table = read_results("lm-eval", tmp_path).table
    assert table.select("params", "params_kind").unique().rows() == [(8_537_680_896, "total")]
    # And a size never makes two measurements of one.
    write(tmp_path / "new.json", lm_eval(OTHER, args, config=counted))
    with pytest.raises(DataError, match="the same measurement"):
        read_results("lm-eval", tmp_path)


@RELAXED
@given(
    settings_of=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "peft": st.sampled_from(["a", "b"]), "steer_path": st.sampled_from(["v1", "v2"]),
                "load_in_4bit": st.booleans(),
                "dtype": st.sampled_from(["float16", "bfloat16"]),
                "max_length": st.sampled_from([2048, 4096]),
                "revision": st.sampled_from(["x", "y"]),
            },
        ),
        min_size=2, max_size=4, unique_by=lambda d: json.dumps(
            {k: v for k, v in sorted(d.items()) if v is not False and k != "revision"}),
    ),
)  # fmt: skip
def test_different_arguments_never_fall_on_one_row(
    tmp_path_factory: pytest.TempPathFactory, settings_of: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("v")
    for i, args in enumerate(settings_of):
        file = lm_eval({"t": {"acc": i / 10}}, {"pretrained": "acme/mix-1b", **args})
        write(folder / f"{i}.json", file)
    table = read_results("lm-eval", folder).table
    assert table["value"].to_list() == [i / 10 for i in range(len(settings_of))]
    key = [c for c in ("model", "adapter", "quantization", "variant") if c in table.columns]
    assert not table.select(key).is_duplicated().any()


# What is no score is read as one (K4)


def test_a_missing_score_of_a_scorer_that_gives_several(tmp_path: Path) -> None:
    """Inspect: NaN at the root of a sample's score says that none of them is known."""
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
        "mcc": -1.0, "score": -1.0, "acc": None,  # a correlation can be -1; who knows of a score
    }  # fmt: skip
    assert len(found.left_out) == 3


def test_loss_scales_and_perplexities_are_not_losses(tmp_path: Path) -> None:
    """Megatron logs a loss against steps, samples and tokens, and more with "loss" in its name."""
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


# What could not be judged counts as not passed (K5)


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
