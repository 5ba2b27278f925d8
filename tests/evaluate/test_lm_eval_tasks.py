"""lm-evaluation-harness tasks: a local folder, read, prompted and judged as the harness does."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from augury.errors import DataError, UsageError
from augury.evaluate import Instance, Task, checker, pass_until
from augury.evaluate.choices import measure_choices
from augury.evaluate.lm_eval_tasks import lm_eval_task
from tests.evaluate.scripted_model import Scripted

needs_harness = pytest.mark.skipif(
    find_spec("lm_eval") is None, reason='needs the extra: pip install "augury[lm-eval]"'
)
SHOWN = [
    {"question": f"{a}+1?", "sums": [str(a + 1), f"{a + 1}.0"], "options": ["one", "two", "three"],
     "gold": a % 3, "sentence": f"count {a}", "next": f"{a + 1}"}
    for a in range(8)
]  # fmt: skip

COMMON = """
dataset_path: json
dataset_kwargs:
  data_files:
    train: {folder}/train.jsonl
    test: {folder}/test.jsonl
  cache_dir: {folder}/cache
training_split: train
test_split: test
fewshot_split: train
metadata:
  version: 3
"""
TASKS = {
    "sums": """
output_type: generate_until
doc_to_text: "Q: {{question}}\\nA:"
doc_to_target: "{{sums[0]}}"
generation_kwargs:
  until: ["Q:", "\\n\\n"]
  max_gen_toks: 40
filter_list:
  - name: strict
    filter:
      - function: regex
        regex_pattern: "#### (-?[0-9.]+)"
      - function: take_first
  - name: flexible
    filter:
      - function: regex
        regex_pattern: "(-?[0-9.]+)"
        group_select: -1
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    ignore_case: true
""",
    "any_sum": """
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: sums
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
""",
    "numerals": """
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: options
doc_to_target: gold
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
""",
    "counting": """
output_type: loglikelihood
doc_to_text: "{{sentence}}"
doc_to_target: " {{next}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
""",
    "fills": """
output_type: multiple_choice
doc_to_text: gold
doc_to_choice: options
doc_to_target: "{{next}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
""",
    "programs": """
output_type: generate_until
unsafe_code: true
doc_to_text: "{{question}}"
doc_to_target: "{{next}}"
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
""",
    "votes": """
output_type: generate_until
repeats: 8
doc_to_text: "{{question}}"
doc_to_target: "{{next}}"
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
""",
    "rolling": """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{sentence}}"
metric_list:
  - metric: bits_per_byte
    aggregation: bits_per_byte
    higher_is_better: false
""",
    "written": """
output_type: generate_until
num_fewshot: 0
doc_to_text: "{{question}}"
doc_to_target: "{{next}}"
metric_list:
  - metric: chrf
    aggregation: chrf
    higher_is_better: true
""",
    "wrong_field": """
output_type: generate_until
doc_to_text: "{{question.nothing.at.all}}"
doc_to_target: "{{next}}"
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
""",
    "no_gold": """
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: options
doc_to_target: "{{next}}th"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    write(folder)
    return folder


def write(folder: Path) -> None:
    for split, rows in (("train", SHOWN[4:]), ("test", SHOWN[:4])):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text)
    for name, own in TASKS.items():
        text = f"task: {name}\n" + COMMON.format(folder=folder) + own
        (folder / f"{name}.yaml").write_text(text)
    (folder / "both.yaml").write_text("group: both\ntask:\n  - sums\n  - any_sum\n")


@needs_harness
def test_prompts_and_stops_are_the_harnesss(folder: Path) -> None:
    task = lm_eval_task("sums", include_path=folder)
    assert (task.name, task.length, task.stop) == ("sums", 40, ("Q:", "\n\n"))
    assert [i.id for i in task.instances] == ["0", "1", "2", "3"]
    assert task.instances[2].prompt == "Q: 2+1?\nA:"
    assert task.instances[2].answers == ("3",)
    assert task.instances[2].data["doc"]["question"] == "2+1?"
    assert len(lm_eval_task("sums", include_path=folder, limit=2).instances) == 2


@pytest.mark.slow
@needs_harness
def test_examples_are_those_that_the_harness_draws(folder: Path) -> None:
    """Compared with the harness's own evaluation of a model that does nothing."""
    from lm_eval.api.model import LM
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    class Idle(LM):
        def generate_until(self, requests: Any) -> list[str]:
            return ["It is 2, so #### 2" for _ in requests]

        def loglikelihood(self, requests: Any) -> Any:
            raise AssertionError

        loglikelihood_rolling = loglikelihood

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    found = simple_evaluate(
        Idle(), tasks=["sums"], num_fewshot=2, task_manager=manager, bootstrap_iters=0
    )
    samples = [s for s in found["samples"]["sums"] if s["filter"] == "strict"]
    task = lm_eval_task("sums", include_path=folder, num_fewshot=2)
    assert [i.prompt for i in task.instances] == [s["arguments"][0][0] for s in samples]
    assert task.instances[0].prompt.count("Q:") == 3
    check = checker(task.checker)
    judged = [check(i, "It is 2, so #### 2") for i in task.instances]
    assert judged == [s["exact_match"] == 1 for s in samples]
    assert judged == [False, True, False, False]


@needs_harness
@pytest.mark.parametrize(
    ("name", "settings", "text", "passes"),
    [
        ("sums", {}, "so #### 1", True),
        ("sums", {}, "so 1", False),
        ("sums", {"filter_name": "flexible"}, "so 1", True),
        ("sums", {"filter_name": "flexible"}, "1, or rather 2", False),
        ("sums", {}, "", False),
        ("any_sum", {}, "1", True),
        ("any_sum", {}, "1.0", True),
        ("any_sum", {}, "1.", False),
    ],
)
def test_a_sample_passes_where_the_harness_gives_it_one(
    folder: Path, name: str, settings: dict[str, str], text: str, passes: bool
) -> None:
    task = lm_eval_task(name, include_path=folder, **settings)  # type: ignore[arg-type]
    assert checker(task.checker)(task.instances[0], text) is passes


@needs_harness
def test_measured_and_resumed(folder: Path, tmp_path: Path) -> None:
    """One sample of four is right for instance 1 once it is cut at the stop."""
    model = Scripted("#### 3", "so #### 2\n\nQ: #### 9", "2", "")
    task = lm_eval_task("sums", include_path=folder)
    found = pass_until(model, task, r=2, max_samples=64, study=tmp_path / "study")
    assert found.method == "independent"
    assert found.passes.tolist() == [0, 2, 2, 0]
    assert found.samples.tolist() == [64, 6, 5, 64]
    assert found.examples == {"1": "so #### 2", "2": "#### 3"}
    # The same tasks read from another folder are the same measurement.
    write(tmp_path)
    again = lm_eval_task("sums", include_path=tmp_path)
    assert again.digest == task.digest
    pass_until(Scripted(), again, r=2, max_samples=64, study=tmp_path / "study")
    other = lm_eval_task("sums", include_path=tmp_path, filter_name="flexible")
    assert other.digest != task.digest
    rule = tmp_path / "sums.yaml"
    rule.write_text(rule.read_text().replace("####", "@@@@"))
    assert lm_eval_task("sums", include_path=tmp_path).digest != task.digest


@needs_harness
def test_multiple_choice_becomes_a_choice(folder: Path) -> None:
    task = lm_eval_task("numerals", include_path=folder, num_fewshot=1)
    assert task.checker == "choice"
    first = task.instances[1]
    assert first.data == {"choices": [" one", " two", " three"], "answer": 1}
    assert first.answers == (" two",)
    assert first.prompt.endswith("\n\n1+1?")
    model = Scripted(scores={" one": -3.0, " two": -1.0, " three": -2.0})
    rows = measure_choices(model, task)
    assert rows.filter(rows["metric"] == "acc")["value"].to_list() == [0.25, 0, 1, 0, 0]


@needs_harness
def test_one_continuation_is_a_prefix(folder: Path) -> None:
    task = lm_eval_task("counting", include_path=folder)
    assert task.checker == "prefix"
    assert task.instances[3].prompt == "count 3"
    assert task.instances[3].answers == (" 4",)


@needs_harness
@pytest.mark.parametrize(
    ("name", "settings", "line"),
    [
        ("both", {}, r"'both' is a group of 2 tasks \(sums, any_sum \.\.\.\): name one"),
        ("sums", {"limit": 0}, "limit must be at least 1, not 0"),
        ("sums", {"num_fewshot": -1}, "num_fewshot must be at least 0, not -1"),
        ("sums", {"filter_name": "lax"}, "has the filters strict, flexible, not 'lax'"),
        ("sums", {"metric": "f1"}, "is measured by exact_match, not by f1"),
        ("written", {}, "is measured by chrf, not by exact_match or acc; choose with metric="),
        ("written", {"num_fewshot": 2}, r"allows no examples \(num_fewshot 0\).* 2 were requested"),
        ("programs", {}, "runs model-written code without walls; take the checker unit-tests"),
        ("votes", {}, "is not covered: it judges 8 samples at once"),
        ("rolling", {}, "is not covered: its output type is loglikelihood_rolling"),
        ("fills", {}, "is not covered: it scores one answer behind several prompts"),
    ],
)
def test_what_is_not_covered_is_refused(
    folder: Path, name: str, settings: dict[str, Any], line: str
) -> None:
    with pytest.raises(UsageError, match=line):
        lm_eval_task(name, include_path=folder, **settings)


@needs_harness
@pytest.mark.slow
@pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.claims)])
def test_a_name_is_looked_for_among_the_harnesss_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything: bool
) -> None:
    if not everything:  # reading all of its thousands takes seven seconds: here one folder
        from lm_eval.tasks import manager

        assert manager.__file__ is not None
        shutil.copytree(Path(manager.__file__).parent / "sciq", tmp_path / "sciq")
        monkeypatch.setattr(manager, "__file__", str(tmp_path / "manager.py"))
    with pytest.raises(UsageError, match=r"has no task 'summs'; near: .*sums"):
        lm_eval_task("summs", include_path=folder)
    with pytest.raises(UsageError, match=r"has no task 'sciqq'; near: .*sciq"):
        lm_eval_task("sciqq", include_path=folder)


@needs_harness
def test_what_the_harness_cannot_do_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^wrong_field: cannot be loaded: UndefinedError: "):
        lm_eval_task("wrong_field", include_path=folder)
    with pytest.raises(DataError, match=r"sums: its prompts cannot be built: ValueError: "):
        lm_eval_task("sums", include_path=folder, num_fewshot=50)
    with pytest.raises(DataError, match=r"no_gold, column 'doc_to_target': document 0 does not"):
        lm_eval_task("no_gold", include_path=folder)
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        lm_eval_task("sums", include_path=tmp_path / "nowhere")
    judged = lm_eval_task("written", include_path=folder, metric="chrf")
    with pytest.raises(DataError, match="the metric 'chrf' of instance '0' is not a number"):
        checker(judged.checker)(judged.instances[0], "1")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(UsageError, match=r'pip install "augury\[lm-eval\]"'):
        lm_eval_task("sums")


def test_its_check_is_for_its_tasks_alone() -> None:
    other = Task("t", (Instance("a", "p", ("x",)),), 0.0, "augury.evaluate.lm_eval_tasks:passes")
    with pytest.raises(DataError, match="instance 'a' is not from lm-evaluation-harness"):
        checker(other.checker)(other.instances[0], "x")
