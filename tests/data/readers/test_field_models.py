"""From the field: settings that make a different model stay separate. Rules: docs/readers.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.data.readers import read_results
from augury.errors import DataError
from tests.data.readers.test_field import ONE, OTHER, RELAXED, lm_eval, write

# Settings that make a different model are overlooked (K2)


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


def test_a_group_has_the_shots_that_all_its_tasks_have(tmp_path: Path) -> None:
    """Files do not name a group's shots: evaluations with different shots are not the same."""
    scores = {name: {"acc,none": 0.5} for name in ("outer", "group", "a", "b")}
    beside = {"group_subtasks": {"outer": ["group", "b"], "group": ["a"], "b": [], "a": []}}
    for shots in (0, 3):
        told = {"n-shot": {"a": shots, "b": shots}} | beside
        write(tmp_path / str(shots) / "results.json", lm_eval(scores, **told))
    table = read_results("lm-eval", tmp_path).table
    shots = table.group_by("task").agg(pl.col("shots").sort())
    assert dict(shots.iter_rows()) == {name: [0, 3] for name in scores}


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
    # A repetition is the same measurement.
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
    """Older files do not count parameters; the counted size applies to the model in all files."""
    args = "pretrained=acme/mix-7b"
    counted = {"model_num_parameters": 8_537_680_896}
    write(tmp_path / "old.json", lm_eval(ONE, args))
    write(tmp_path / "new.json", lm_eval({"u": {"acc": 0.6}}, args, config=counted))
    table = read_results("lm-eval", tmp_path).table
    assert table.select("params", "params_kind").unique().rows() == [(8_537_680_896, "total")]
    # A size never splits one measurement into two.
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
