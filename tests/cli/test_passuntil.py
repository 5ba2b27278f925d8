"""`augury passuntil` as a script sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from augury import read_table
from augury.lab import ModelConfig, RunConfig, train
from tests.cli.test_cli import augury

__all__ = ["augury"]  # the fixture


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab model's folder: digits only, so that a hundred steps make some answer likely."""
    folder = tmp_path_factory.mktemp("run")
    train(RunConfig(ModelConfig(8), steps=100, shares={"sort-digits": 1.0}), folder)
    return folder


@pytest.fixture
def task(tmp_path: Path) -> Path:
    path = tmp_path / "digits.jsonl"
    rows = [
        {"id": "a", "prompt": "=21>", "references": ["1", "2"]},
        {"id": "b", "prompt": "=321>", "reference": "1"},
        {"id": "c", "prompt": "=3>", "reference": "more than a token"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


CONTRACT = {
    "model", "task", "method", "checker", "temperature", "r", "max_samples", "instances",
    "finished", "never_passed", "passes", "samples", "value", "interval", "level", "notes", "study",
    "tokens_drawn", "tokens_read", "tokens_paid", "distribution",
}  # fmt: skip


def folder_of(study: Path) -> Path:
    (folder,) = study.glob("measurements/*")
    return folder


@pytest.mark.slow
def test_a_task_of_the_lab_is_computed(augury: Any, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    options = ("--model", f"lab:{run}", "--task", "sort-digits", "--instances", 16, "--out", out)
    said = augury("passuntil", *options, "--json")
    assert (said.status, said.err) == (0, "")
    found = json.loads(said.out)
    assert set(found) == CONTRACT
    assert (found["task"], found["method"], found["checker"]) == ("sort-digits", "exact", "prefix")
    assert (found["instances"], found["samples"], found["study"]) == (16, None, str(out))
    assert found["interval"] == [found["value"]] * 2
    rows = read_table(out)
    assert len(rows) == 17
    assert rows["params"].unique().to_list() == [2408.0]
    assert rows.filter(rows["instance"].is_null())["value"][0] == pytest.approx(found["value"])
    text = augury("passuntil", *options)
    assert text.out.startswith("sort-digits: pass rate ")
    assert f"rows: {out}" in text.out


@pytest.mark.slow
def test_a_task_from_a_file_is_sampled_and_resumed(
    augury: Any, run: Path, task: Path, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    options = (
        "passuntil", "--model", f"lab:{run}", "--task", task, "--checker", "any-of",
        "--tokens", 1, "--r", 3, "--max-samples", 20_000, "--out", out, "--json",
    )  # fmt: skip
    said = augury(*options)
    assert (said.status, said.err) == (0, "")
    found = json.loads(said.out)
    assert set(found) == CONTRACT
    assert (found["method"], found["checker"]) == ("tree", "any-of")
    assert (found["r"], found["max_samples"], found["level"]) == (3, 20_000, 0.9)
    assert (found["finished"], found["never_passed"], found["passes"]) == (2, 1, 6)
    assert found["interval"][0] < found["value"] < found["interval"][1]

    path = folder_of(out) / "journal.jsonl"
    whole = path.read_bytes()
    assert augury(*options).out == said.out
    assert path.read_bytes() == whole, "nothing was drawn again"
    # Killed in the middle of its second wave: it continues from the first.
    first = whole.splitlines(keepends=True)[0]
    assert len(first) < len(whole)
    path.write_bytes(first + whole[len(first) :][:7])
    again = json.loads(augury(*options).out)
    assert again.pop("notes") == ["the journal ended in 7 torn bytes, which were redone"]
    assert again == {k: v for k, v in found.items() if k != "notes"}
    assert path.read_bytes() == whole

    rows = read_table(out).filter(pl.col("instance").is_not_null())
    assert rows["instance"].to_list() == ["a", "b", "c"]
    assert rows["passes"].sum() == found["passes"]
    assert rows["samples"].sum() == found["samples"]
    assert augury(*options, "--temperature", 2).status == 0
    assert len(list(out.glob("measurements/*"))) == 2, "another measurement"


@pytest.mark.slow
def test_choices(augury: Any, run: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "digits.jsonl", tmp_path / "study"
    rows = [
        {"prompt": "=21>", "choices": ["12", "21", "+-"], "answer": 0},
        {"prompt": "=43>", "choices": ["34", "--"], "reference": "34"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("passuntil", "--model", f"lab:{run}", "--task", path, "--checker", "choice")
    said = augury(*options, "--out", out, "--json")
    assert (said.status, said.err) == (0, "")
    found = json.loads(said.out)
    assert [row["metric"] for row in found] == ["acc", "acc_norm", "choice_prob"]
    assert all(set(r) == {"task", "metric", "value", "stderr", "n", "chance"} for r in found)
    assert all(row["chance"] == pytest.approx((1 / 3 + 1 / 2) / 2) for row in found)
    assert 0.4 < found[2]["value"] < 1
    file = folder_of(out) / "rows.parquet"
    before = file.stat().st_mtime_ns
    assert augury(*options, "--out", out).out.startswith("digits: acc ")
    assert file.stat().st_mtime_ns == before, "what was measured is kept"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ("--model", "gpt"),
            "--model 'gpt': expected lab:DIR, hf:PATH, hf:ID@REVISION, vllm:PATH, http:",
        ),
        (("--model", "lab:"), "--model 'lab:': expected lab:DIR"),
        (("--model", "lab:EMPTY"), "holds no checkpoint"),
        (("--model", "http://127.0.0.1:1"), "which model of the server? expected http:URL#MODEL"),
        (("--task", "sort-leters"), "sort-leters"),
        (("--task", "nowhere.jsonl"), "nowhere.jsonl: there is no such file; expected JSON lines"),
        (("--task", "rule", "--checker", "regex"), "the lab's tasks have the checker prefix, not"),
        (("--task", "rule", "--instances", "0"), "a task needs at least one instance, not 0"),
        (("--task", "lm-eval:x", "--checker", "exact"), "tasks of lm-eval have their own checker"),
        (("--checker", "exactly"), "no checker is called 'exactly'; there are: exact, any-of"),
        (("--checker", "choice"), "instance 'a' has no options to choose from"),
        (("--r", "0"), "r must be at least 1, not 0"),
        (("--r", "2", "--relative-error", "0.1"), "choose one of r and relative_error"),
        (("--max-samples", "0"), "max_samples must be at least 1, not 0"),
        (("--temperature", "0"), "temperature must be positive, not 0"),
        (("--method", "exact"), "method 'exact' needs a check that accepts listed answers"),
        (("--r", "two"), "Invalid value for '--r'"),
        (("--out", "TASK"), "digits.jsonl is a file; expected a study's folder"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_status_2(
    augury: Any, run: Path, task: Path, tmp_path: Path, options: tuple[str, ...], line: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"TASK": str(task), "lab:EMPTY": f"lab:{tmp_path / 'empty'}"}
    given = {"--model": f"lab:{run}", "--task": task, "--out": tmp_path / "study", "--tokens": 1}
    given |= {k: places.get(v, v) for k, v in zip(options[::2], options[1::2], strict=True)}
    said = augury("passuntil", *(x for pair in given.items() for x in pair), "--json")
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("augury: ")
    assert said.err.count("\n") == 1
    assert line in said.err


def test_a_mistake_is_told_before_a_model_is_loaded(augury: Any, task: Path) -> None:
    """The model does not exist: each of these is said first."""
    mistakes = [
        (("--r", 0), "r must be at least 1, not 0"),
        (("--temperature", -1), "temperature must be positive, not -1"),
        (("--max-tokens-total", 0), "max_tokens_total must be at least 1, not 0"),
        (("--method", "three"), "no method is called 'three'; there are: exact, tree, independent"),
        (("--method", "exact", "--stop", r"\n"), r"not checker 'exact', stops '\n' at 1"),
        (("--extract", "("), "extract '(': expected fence, last-line or a regular expression"),
        (("--proposal", "hnt"), "--proposal 'hnt': expected hint, lab:DIR, hf:PATH"),
        (("--checker", "choice"), "instance 'a' has no options to choose from"),
        (("--proposal", "hint", "--own-share", 2), "own_share must lie between 0 and 1, not 2"),
        (("--proposal", "hint", "--budget", 9), "a budget is allocated by plain samples"),
        (("--plan", "--price-in", -3), "a price cannot be -3"),
        (("--out", task), "digits.jsonl is a file; expected a study's folder"),
        ((), "no/checkpoint"),
    ]
    for options, line in mistakes:
        said = augury("passuntil", "--model", "lab:no/checkpoint", "--task", task, *options)
        assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
        assert line in said.err


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"prompt": "=1>", "reference": "1"}\n{"prompt": "=2>"', "digits.jsonl: line 2: is not"),
        ('{"prompt": "=1>", "reference": "1"}\n{"reference": "2"}', "column 'prompt': line 2: no"),
        ('{"prompt": "=1>", "reference": {}}', "column 'reference': line 1: a reference is no"),
        ('{"id": 1, "prompt": "="}\n{"id": 1, "prompt": "="}', "line 2 has the id of line 1"),
        ("", "digits.jsonl: holds no instance; expected a JSON object per line"),
        ('{"prompt": "=1>Z", "reference": "1"}', "the lab's alphabet has no 'Z'"),
    ],
)
def test_every_bad_line_is_one_line(
    augury: Any, run: Path, task: Path, tmp_path: Path, text: str, line: str
) -> None:
    task.write_text(text)
    short = ("--tokens", 1, "--out", tmp_path / "study")
    said = augury("passuntil", "--model", f"lab:{run}", "--task", task, *short)
    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
    assert line in said.err


def test_a_task_of_lm_eval_without_the_extra(
    augury: Any, run: Path, tmp_path: Path, without_package: Callable[[str], None]
) -> None:
    without_package("lm_eval")
    options = ("--model", f"lab:{run}", "--task", "lm-eval:gsm8k", "--out", tmp_path / "study")
    said = augury("passuntil", *options)
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert 'pip install "augury[lm-eval]"' in said.err


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("lm_eval") is None, reason='needs the extra: pip install "augury[lm-eval]"'
)
def test_a_local_task_of_lm_eval(augury: Any, run: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "tasks", tmp_path / "study"
    folder.mkdir()
    rows = [{"digits": "21", "least": "1"}, {"digits": "32", "least": "2"}]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "least.yaml").write_text(f"""
task: least
dataset_path: json
dataset_kwargs:
  data_files: {{test: {folder}/test.jsonl}}
  cache_dir: {folder}/cache
test_split: test
output_type: generate_until
doc_to_text: "={{{{digits}}}}>"
doc_to_target: least
generation_kwargs: {{until: ["."], max_gen_toks: 2}}
filter_list:
  - name: first
    filter: [{{function: regex, regex_pattern: "^([0-9])"}}, {{function: take_first}}]
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
""")
    options = ("--task", "lm-eval:least", "--lm-eval-path", folder, "--max-samples", 500)
    said = augury("passuntil", "--model", f"lab:{run}", *options, "--out", out, "--json")
    assert said.status == 0, said.err
    found = json.loads(said.out)
    assert (found["task"], found["instances"], found["finished"]) == ("least", 2, 2)
    assert found["checker"] == "augury.evaluate.lm_eval_tasks:passes"
    assert read_table(out)["samples"].sum() == found["samples"]


def test_the_contract_holds_without_a_folder(
    augury: Any, run: Path, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    options = ("--model", f"lab:{run}", "--task", task, "--checker", "any-of", "--tokens", 1)
    said = augury("passuntil", *options, "--max-samples", 500, "--json")
    assert (said.status, said.err) == (0, "")
    found = json.loads(said.out)
    assert set(found) == CONTRACT
    assert found["study"] is None
    assert set(tmp_path.iterdir()) == before, "nothing was written"


@pytest.mark.slow
def test_a_plan_says_what_a_run_takes_and_writes_nothing(
    augury: Any, run: Path, task: Path, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    options = (
        "passuntil", "--model", f"lab:{run}", "--task", task, "--checker", "any-of", "--tokens", 1,
        "--method", "independent", "--max-samples", 1_000, "--out", out,
    )  # fmt: skip
    said = augury(*options, "--plan", "--price-out", 2, "--json")
    assert (said.status, said.err) == (0, "")
    cost = json.loads(said.out)
    assert (cost["instances"], cost["method"]) == (3, "independent")
    assert (cost["samples_at_most"], cost["tokens_at_most"]) == (3_000, 3_000)
    assert cost["cost_at_most"] == pytest.approx(3_000 * 2e-6)
    assert cost["tried_samples"] == 24
    assert not out.exists()
    assert "samples: " in augury(*options, "--plan").out
    alone = augury(*options, "--price-in", 1)
    assert (alone.status, alone.err) == (2, "augury: --price-in and --price-out are for --plan\n")
