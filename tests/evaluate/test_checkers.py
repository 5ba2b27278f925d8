"""Every checker from a task's file to its counts, on good answers and on bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from augury.errors import DataError, UsageError
from augury.evaluate import Instance, Task, checker, pass_until, read_task
from augury.evaluate.choices import measure_choices
from augury.evaluate.sandbox.enclosure import missing
from tests.evaluate.scripted_model import Scripted


def line(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False) + "\n"


def task_of(path: Path, name: str, **fields: Any) -> Task:
    """A task with one instance, read from its file."""
    file = path / "task.jsonl"
    file.write_text(line(id="a", prompt="?", **fields), encoding="utf-8")
    return read_task(file, checker=name)


def is_shout(instance: Instance, text: str) -> bool:
    return bool(text == instance.data["word"].upper())


def raises(instance: Instance, text: str) -> bool:
    raise KeyError("word")


def says_one(instance: Instance, text: str) -> int:
    return 1


HERE = __name__
GSM8K = "He has 6 * 7 = <<6*7=42>>42 apples.\n#### 42"


@pytest.mark.parametrize(
    ("name", "fields", "right", "wrong"),
    [
        ("exact", {"reference": " 12 "}, ["12", " 12\n"], ["12.", "", "112"]),
        ("exact", {"references": [" 12", "twelve"]}, ["12", " twelve\n"], ["12.", "", "1"]),
        ("any-of", {"references": ["yes", "Yes"]}, ["yes", "Yes "], ["YES", "yes!", ""]),
        ("prefix", {"references": ["ab", "cd"]}, ["ab", "abx", "cd."], ["a", " ab", ""]),
        ("regex", {"pattern": r"\b4[0-9]\b"}, ["it is 42", "40"], ["140", "four", ""]),
        ("regex", {"reference": "^(a|b)$"}, ["a", "b"], ["ab", ""]),
        ("regex", {"references": ["^a", "b$"]}, ["ac", "cb"], ["ca", ""]),
        ("numeric:0.01", {"reference": "100"}, ["100.9", " 99.1 ", "$100"], ["102", "ten", "nan"]),
        ("numeric:0.01", {"references": [1, 2]}, ["2.01", "1"], ["1.5", "1 or 2"]),
        ("numeric", {"reference": "1,000"}, ["1000", "1,000.0", "1e3"], ["1001", "inf"]),
        ("last-number", {"reference": GSM8K}, ["#### 42", "42.", "$42.00"], ["42 or 43", "many"]),
        ("last-number", {"reference": "#### 1,250"}, ["so 1250", "1,250."], ["1,25", "-1250"]),
        ("last-number", {"reference": "#### -3"}, ["it is -3"], ["it is 3"]),
        (f"{HERE}:is_shout", {"word": "hi"}, ["HI"], ["hi", ""]),
    ],
)  # fmt: skip
def test_right_answers_pass_and_wrong_ones_do_not(
    tmp_path: Path, name: str, fields: dict[str, Any], right: list[str], wrong: list[str]
) -> None:
    task = task_of(tmp_path, name, **fields)
    check = checker(name)
    assert [check(task.instances[0], text) for text in right] == [True] * len(right)
    assert [check(task.instances[0], text) for text in wrong] == [False] * len(wrong)
    texts = [*wrong, *right]
    found = pass_until(Scripted(*texts), task, r=len(right), max_samples=100)
    assert found.passes.tolist() == [len(right)]
    assert found.samples.tolist() == [len(texts)]
    assert found.examples == {"a": right[0]}
    assert found.checker == name
    never = pass_until(Scripted(*wrong), task, max_samples=70)
    assert (never.passes.tolist(), never.samples.tolist()) == ([0], [70])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("exactly", "no checker is called 'exactly'; there are: exact, any-of, prefix, regex"),
        ("", "no checker is called ''"),
        ("numeric:a bit", "numeric takes a tolerance, .*, not 'a bit'"),
        ("numeric:-1", "not '-1'"),
        ("numeric:nan", "not 'nan'"),
        ("unit-tests:never", "the package 'never' is not installed: it cannot be offered"),
        ("nowhere:check", "checker 'nowhere:check': No module named 'nowhere'"),
        (":check", "checker ':check': Empty module name"),
        (f"{HERE}:nothing", f"checker '{HERE}:nothing': module '{HERE}' has no attribute"),
        (f"{HERE}:GSM8K", f"checker '{HERE}:GSM8K' is not a function"),
    ],
)
def test_a_name_that_is_no_checker(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pass_until(Scripted("1"), task_of(tmp_path, name, reference="1"))


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        (
            "regex",
            {"pattern": "(4"},
            r"'a' has no regular expression: .* \(got '\(4'\); expected a",
        ),
        (
            "numeric",
            {"reference": "ten"},
            r"reference of instance 'a' is not a number \(got 'ten'\)",
        ),
        (
            "last-number",
            {"reference": "Lima"},
            r"reference of instance 'a' is not a number \(got 'Lima'\)",
        ),
        (
            f"{HERE}:raises",
            {},
            rf"'{HERE}:raises' raised KeyError: 'word' on instance 'a' \(got '3'\)",
        ),
        (
            f"{HERE}:says_one",
            {},
            rf"'{HERE}:says_one' returned neither True nor False for 'a' \(got 1",
        ),
        ("unit-tests", {"test": "assert True"}, "a, column 'entry_point': a HumanEval problem"),
    ],
)
def test_a_check_that_cannot_be_made(
    tmp_path: Path, name: str, fields: dict[str, Any], message: str
) -> None:
    """It stops the run: a built-in checker at the start, a user's own later."""
    if name == "unit-tests" and missing() is not None:
        pytest.skip(str(missing()))
    task = task_of(tmp_path, name, **fields)
    with pytest.raises((DataError, UsageError), match=message):
        pass_until(Scripted("3"), task, study=tmp_path / "study")
    journals = list((tmp_path / "study").glob("measurements/*/journal.jsonl"))
    assert [j.read_text() for j in journals] == ([""] if name.startswith(HERE) else [])


@pytest.mark.parametrize("key", ["answer", "target", "label"])
def test_a_reference_under_another_name_is_said_before_a_token_is_drawn(
    tmp_path: Path, key: str
) -> None:
    class Untouched(Scripted):
        def sample(self, requests: Any) -> Any:
            raise AssertionError("sampled")

    with pytest.raises(DataError, match=rf"'a' has no reference .*'{key}': call that 'reference'"):
        pass_until(Untouched("3"), task_of(tmp_path, "exact", **{key: "3"}))


@pytest.mark.parametrize("name", ["exact", "any-of", "prefix", "regex", "numeric", "last-number"])
def test_an_instance_without_a_reference_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="instance 'a' has no reference"):
        pass_until(Scripted("3"), task_of(tmp_path, name), method="independent", max_samples=10)


# --- multiple choice -------------------------------------------------------------------------


def test_choice(tmp_path: Path) -> None:
    """Longer options are less likely overall, but likelier per byte."""
    file = tmp_path / "task.jsonl"
    options = ["x", "yyyy"]
    file.write_text(
        line(id="a", prompt="?", choices=options, answer=0)
        + line(id="b", prompt="?", choices=options, reference="yyyy")
    )
    task = read_task(file, checker="choice")
    rows = measure_choices(Scripted(scores={"x": -1.0, "yyyy": -2.0}), task)
    found = {m: rows.filter(rows["metric"] == m)["value"].to_list() for m in ("acc", "acc_norm")}
    assert found == {"acc": [0.5, 1, 0], "acc_norm": [0.5, 0, 1]}
    share = rows.filter(rows["metric"] == "choice_prob")["value"].to_list()
    means = rows.filter(pl.col("instance").is_null())
    assert means["choice_probability"].to_list() == pytest.approx([share[0]] * 3)
    assert means["reference_logprob"].to_list() == pytest.approx([-1.5] * 3)
    assert "reference_rank" not in rows.columns  # the scripted model gives none
    assert share == pytest.approx([0.5, 1 / (1 + 2.718281828**-1), 1 / (1 + 2.718281828)])
    assert rows["chance"].to_list() == [0.5] * 9


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"answer": 0}, "column 'choices': instance 'a' has no options to choose from"),
        ({"choices": ["x"], "answer": 0}, "no options to choose from .*at least two texts"),
        ({"choices": ["x", ""], "answer": 0}, "no options to choose from"),
        ({"choices": ["x", 2], "answer": 0}, "no options to choose from"),
        (
            {"choices": ["x", "y"]},
            r"column 'answer': instance 'a' does not give the correct option",
        ),
        ({"choices": ["x", "y"], "answer": 2}, r"\(got 2\); expected an index from 0 to 1"),
        ({"choices": ["x", "y"], "answer": "x"}, "does not give the correct option"),
        ({"choices": ["x", "y"], "answer": True}, "does not give the correct option"),
        ({"choices": ["x", "y"], "reference": "z"}, "does not give the correct option"),
    ],
)
def test_choices_that_cannot_be(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        measure_choices(Scripted(), task_of(tmp_path, "choice", **fields))


# --- files -----------------------------------------------------------------------------------


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    file.write_text(
        line(id=7, prompt="1+1", reference=2, level="easy")
        + line(task_id="H/1", prompt="2+2", references=["4", 4.0])
        + line(prompt="ünï", references=[]),
        encoding="utf-8",
    )
    task = read_task(file, checker="any-of", length=9, stop=("\n",), chance=0.1)
    assert [(i.id, i.prompt, i.answers) for i in task.instances] == [
        ("7", "1+1", ("2",)),
        ("H/1", "2+2", ("4", "4.0")),
        ("3", "ünï", ()),
    ]
    assert task.instances[0].data == {"level": "easy"}
    assert (task.name, task.length, task.stop, task.chance) == ("sums", 9, ("\n",), 0.1)


GOOD = line(id="a", prompt="p", reference="r")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "{'id': 1}\n", r"task.jsonl: line 2: is not JSON .*expected a JSON object"),
        (GOOD + GOOD[:20] + "\n", "line 2: is not JSON"),
        (GOOD + "[" * 100_000 + "\n", "line 2: is not JSON"),
        ("\n" + GOOD + '["p"]\n', r"line 3: is not an object \(got '\[\"p\"\]'\)"),
        (GOOD + line(id="b", reference="r"), "column 'prompt': line 2: no text to complete"),
        (GOOD + line(id="b", prompt=["p"]), r"line 2: no text to complete \(got \['p'\]\)"),
        (line(prompt="p", reference=None), "column 'reference': line 1: a reference is not text"),
        (line(prompt="p", reference={"a": 1}), r"line 1: a reference is not text \(got \{'a': 1\}"),
        (line(prompt="p", references=["x", True]), "a reference is not text .got True"),
        (GOOD + line(id="b", prompt="") + GOOD, r"column 'id': line 3 has the id of line 1"),
        ("", "holds no instance; expected a JSON object per line"),
        ("\n \n", "holds no instance"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "task.jsonl"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_task(file)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.jsonl: there is no such file"):
        read_task(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match=r"cannot be read: .*Is a directory"):
        read_task(tmp_path)
    (tmp_path / "latin.jsonl").write_bytes('{"prompt": "ü"}\n'.encode("latin-1"))
    with pytest.raises(
        DataError, match=r"latin.jsonl: cannot be read: .*expected JSON lines in UTF"
    ):
        read_task(tmp_path / "latin.jsonl")


def test_lines_are_counted_with_the_empty_ones(tmp_path: Path) -> None:
    file = tmp_path / "task.jsonl"
    file.write_text("\n" + GOOD + "\n" + GOOD)
    with pytest.raises(DataError, match="line 4 has the id of line 2"):
        read_task(file)


def test_a_line_ends_where_json_lines_say(tmp_path: Path) -> None:
    file = tmp_path / "task.jsonl"
    file.write_text(line(prompt="one\u2028two\x85three"), encoding="utf-8")
    assert read_task(file).instances[0].prompt == "one\u2028two\x85three"


def test_settings_that_would_measure_nothing(tmp_path: Path) -> None:
    (tmp_path / "task.jsonl").write_text(GOOD)
    with pytest.raises(UsageError, match="an empty stop would cut every sample to nothing"):
        read_task(tmp_path / "task.jsonl", stop=("x", ""))
    with pytest.raises(UsageError, match="tokens to sample cannot be -1"):
        read_task(tmp_path / "task.jsonl", length=-1)


# --- programs --------------------------------------------------------------------------------

ADD = {
    "task_id": "HumanEval/add",
    "prompt": 'def add(a, b):\n    """The sum."""\n',
    "entry_point": "add",
    "test": "def check(f):\n    assert f(1, 2) == 3\n    assert f('a', 'b') == 'ab'\n",
}
SIGN = {
    "task_id": "HumanEval/sign",
    "prompt": "def double(x):\n    return 2 * x\n\ndef sign(x):\n",
    "entry_point": "sign",
    "test": "def check(candidate):\n    assert double(candidate(-5)) == -2\n",
}
COMPLETIONS = (
    "    return a - b\n",  # wrong
    "    return a +\n",  # not Python
    "    raise SystemExit(0)\n",
    "    return a + b\n",
    "    return -1\n",  # right only for the sign
)


def test_humaneval_through_the_sandbox(tmp_path: Path) -> None:
    """The sandbox judges each distinct text once, after stops have cut it."""
    problem = missing()
    if problem is not None:
        pytest.skip(problem)
    file = tmp_path / "humaneval.jsonl"
    file.write_text(line(**ADD) + line(**SIGN))
    task = read_task(file, checker="unit-tests", stop=("\nprint(",))
    model = Scripted(*(text + "\nprint('more')" for text in COMPLETIONS))
    found = pass_until(model, task, r=2, max_samples=40, study=tmp_path / "study")
    assert found.ids == ("HumanEval/add", "HumanEval/sign")
    assert found.passes.tolist() == [2, 2]
    assert found.samples.tolist() == [9, 10]
    assert found.examples == {"HumanEval/add": COMPLETIONS[3], "HumanEval/sign": COMPLETIONS[4]}
    again = pass_until(Scripted(), task, r=2, max_samples=40, study=tmp_path / "study")
    assert again.samples.tolist() == [9, 10]


@pytest.mark.parametrize("field", ["entry_point", "test"])
def test_a_problem_without_a_field_is_named(tmp_path: Path, field: str) -> None:
    problem = missing()
    if problem is not None:
        pytest.skip(problem)
    file = tmp_path / "humaneval.jsonl"
    file.write_text(line(**{k: v for k, v in ADD.items() if k != field}))
    with pytest.raises(DataError, match=rf"HumanEval/add, column '{field}': a HumanEval problem"):
        pass_until(Scripted("1"), read_task(file, checker="unit-tests"))


# In the form of HumanEval+: its tests import NumPy.
MEAN = {
    "task_id": "Own/mean",
    "prompt": "def mean(xs):\n",
    "entry_point": "mean",
    "test": "import numpy as np\ndef check(candidate):\n"
    "    assert np.allclose(candidate([1, 2]), 1.5)\n",
}
PLAIN_TEST = "def check(candidate):\n    assert candidate([1, 2]) == 1.5\n"


@pytest.mark.slow
def test_tests_that_need_a_package_say_so_before_a_token_is_drawn(tmp_path: Path) -> None:
    if (problem := missing()) is not None:
        pytest.skip(problem)
    file = tmp_path / "task.jsonl"
    file.write_text(line(**MEAN))
    model = Scripted("    return sum(xs) / len(xs)\n")
    said = "the tests of 'Own/mean' import numpy, which the sandbox lacks.*unit-tests:numpy offers"
    with pytest.raises(DataError, match=said):
        pass_until(model, read_task(file, checker="unit-tests"))
    offered = read_task(file, checker="unit-tests:numpy")
    found = pass_until(model, offered, r=2, max_samples=32)
    assert (found.passes.tolist(), found.samples.tolist()) == ([2], [2])


def test_programs_that_could_not_be_judged_are_told_apart(tmp_path: Path) -> None:
    if (problem := missing()) is not None:
        pytest.skip(problem)
    file = tmp_path / "task.jsonl"
    file.write_text(line(**{**MEAN, "test": PLAIN_TEST}))
    task = read_task(file, checker="unit-tests")
    texts = (
        "    import numpy as np\n    return float(np.mean(xs))\n",
        "    import os\n    os.abort()\n",
        "    return 1\n",
    )
    found = pass_until(Scripted(*texts), task, r=2, max_samples=32)
    assert found.passes.tolist() == [0]
    told = " ".join(found.notes)
    assert "1 of 3 different programs import numpy, which the sandbox lacks, and count as" in told
    assert "1 of 3 different programs were stopped or refused and count as failed: 1 crash" in told
    right = pass_until(Scripted("    return sum(xs) / 2\n"), task, r=2, max_samples=32)
    assert not [note for note in right.notes if "judged" in note]
