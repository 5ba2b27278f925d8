"""Study files: every error is reported with its line."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from augury.errors import DataError, UsageError
from augury.study import make_plan
from augury.study.plan.content import model_digest
from augury.study.plan.mistakes import StudyFileError
from augury.study.plan.study_file import check_study, read_study, study_schema
from augury.study.plan.template import write_study
from augury.study.plan.toml_lines import find_lines

TEN = """\
name = "tiny"
question = "pass rate"
[lab]
widhts = [6]
widths = [4, 6, 7]
steps = 120
shares = { rul = 0.5 }
[[tasks]]
name = "rool"
[[tasks]]
file = "nowhere.jsonl"
[measure]
method = "exat"
[forecast]
laws = ["pass-rate", "chinchila"]
level = 1.5
"""

GOOD = """\
name = "good"
[lab]
widths = [4, 6, 8, 10]
[[tasks]]
name = "rule"
[held_out]
widths = [10]
"""


def test_ten_mistakes_give_ten_messages_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(TEN)
    with pytest.raises(StudyFileError) as caught:
        read_study(path)
    told = {m.line: str(m) for m in caught.value.mistakes}
    assert len(caught.value.mistakes) == len(told) == 10
    expected = {
        2: "expected 'pass-rate', 'emergence' or 'loss', not \"pass rate\"",
        4: "lab.widhts: unknown key; did you mean 'widths'?",
        5: "lab.widths[3]: expected a multiple of 2, not 7",
        6: "lab.steps: expected a multiple of 50, not 120",
        7: "lab.shares.rul: the lab has no task 'rul'; it has: rule",
        9: "tasks[1].name: the lab has no task 'rool'",
        11: "tasks[2].file: there is no such file",
        13: "measure.method: expected 'exact', 'tree' or 'independent', not \"exat\"",
        15: "forecast.laws[2]: no law is called 'chinchila'; did you mean chinchilla",
        16: "forecast.level: expected less than 1, not 1.5",
    }
    assert told.keys() == expected.keys()
    for line, message in expected.items():
        assert message in told[line]
        assert f"{path}:{line}: " in str(caught.value)


@pytest.mark.slow
def test_the_command_tells_all_ten_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(TEN)
    done = subprocess.run(
        [sys.executable, "-m", "augury", "run", "--plan", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    first, *told = done.stderr.splitlines()
    assert first == f"augury: {tmp_path / 'study.toml'} has 10 mistakes:"
    assert [line.split(":")[1] for line in told] == [
        "2", "4", "5", "6", "7", "9", "11", "13", "15", "16",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("widths = [10]", "widths = [12]"), 7, "12 is not a width of [lab]: 4, 6, 8, 10"),
        (("widths = [10]", "widths = [6, 8]"), 7, "leaves fewer than 3 widths"),
        (('name = "rule"', 'name = "rule"\n[[tasks]]\nname = "rule"'), 6, "two tasks called"),
        (('"good"', '"good"\nquestion = "emergence"'), 2, "give [finetune] amounts"),
        (("[held_out]", "[target]\nparams = 1e6\n[held_out]"), 6, "two of params, tokens"),
        (("[held_out]\nwidths = [10]\n", ""), None, "give [target] or [held_out]"),
        (('[[tasks]]\nname = "rule"\n', ""), None, "nothing to measure"),
        (("[lab]\nwidths = [4, 6, 8, 10]\n", ""), None, "nothing to learn from"),
        (("widths = [10]", "where = 'params >'"), 7, "not an SQL expression"),
        (("widths = [10]", "where = 'parms > 3'"), 7, "cannot be evaluated"),
        (("[lab]", "[[checkpoints]]\nmodel = 'lab:gone'\n[lab]"), 3, "no such file or folder"),
        (("[lab]", "[[checkpoints]]\nmodel = 'hub:x'\n[lab]"), 3, "expected lab:DIR, hf:PATH"),
        (("widths = [4, 6, 8, 10]", "widths = [4, 6, 6]"), 3, "6 is given twice"),
        (("widths = [10]", "widths = ["), None, "is not TOML"),
        (("[lab]", "[lob]"), 2, "unknown key; did you mean 'lab'?"),
        (('name = "good"', 'nome = "good"'), None, "name: is missing"),
        (("[lab]", "[lab]\nseeds = 0"), 3, "at least 1, or a list of seeds"),
        (("[lab]", "[lab]\ncheckpoints = [600]"), 2, "comes after the last step, 500"),
        (('name = "rule"', 'name = "rule"\nchecker = "exact"'), 4, "have the checker prefix"),
        (('name = "rule"', 'file = "study.toml"\nchecker = "exakt"'), 6, "exakt"),
        (('"rule"', '"rule"\nquestion = "emergence"'), 6, "give [finetune] amounts"),
        (('"rule"', '"rule"\nquestion = "emerges"'), 6, "'emergence' or 'loss'"),
        (('"rule"', '"rule"\n[finetune]\namounts = [8]\ncheckpoints = [7]'), 8, "7 is not a step"),
        (('"rule"', '"rule"\n[finetune]\namounts = [8]\npatience = 0'), 8, "than or equal to 1"),
        (
            (
                'name = "rule"',
                'file = "study.toml"\nquestion = "emergence"\n[finetune]\namounts = [8]',
            ),
            5,
            "[finetune] only knows the lab's tasks",
        ),
    ],
)  # fmt: skip
def test_one_mistake_is_reported_at_its_line(
    tmp_path: Path, change: tuple[str, str], line: int | None, message: str
) -> None:
    (tmp_path / "study.toml").write_text("")
    assert change[0] in GOOD
    study, mistakes = check_study(GOOD.replace(*change), tmp_path)
    assert study is None
    assert message in "; ".join(map(str, mistakes))
    if line is not None:
        assert [m.line for m in mistakes if message in str(m)] == [line]


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    study, mistakes = check_study(GOOD, tmp_path)
    assert not mistakes
    assert study is not None
    assert study.lab is not None
    assert (study.lab.steps, study.lab.seeds, study.question) == (500, [0], "pass-rate")
    assert study.run.retries == 1


def test_the_file_that_init_writes_is_a_study(tmp_path: Path) -> None:
    written = write_study(tmp_path / "new")
    assert [path.name for path in written] == ["study.toml", "study.schema.json"]
    study, folder = read_study(tmp_path / "new")
    assert (study.name, folder) == ("new", tmp_path / "new")
    with pytest.raises(UsageError, match="already exists"):
        write_study(tmp_path / "new")


def test_sections_that_are_commented_out_are_right_too(tmp_path: Path) -> None:
    """Removing the hash signs gives a study, if the named files exist."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/sums.jsonl").write_text('{"prompt": "1+1=", "reference": "2"}\n')
    (tmp_path / "scores.csv").write_text("params,loss\n1,2\n")
    text = write_study(tmp_path)[0].read_text()
    bare = [
        line.removeprefix("# ")
        if line.startswith("# ") and (" = " in line or line.startswith("# [")) and "---" not in line
        else line
        for line in text.splitlines()
    ]
    study, mistakes = check_study("\n".join(bare), tmp_path)
    assert not mistakes
    assert study is not None
    assert study.finetune is not None
    assert study.checkpoints
    assert study.tables


def test_the_schema_knows_every_key(tmp_path: Path) -> None:
    found = json.loads(study_schema())
    assert found["additionalProperties"] is False
    sections = {"lab", "checkpoints", "tables", "tasks", "measure", "finetune", "forecast"}
    assert sections <= found["properties"].keys()
    for definition in found["$defs"].values():
        for key in definition["properties"].values():
            assert "description" in key


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file.*augury init"):
        read_study(tmp_path)


def test_lines_of_keys() -> None:
    text = (
        'a = """\nx = 1 [t]\n"""\n# b = 2\nb.c.\'d e\' = [\n  1, # one\n  { f = "]" }\n]\n'
        "[t.u]\nv = {w = [1, 2], z = '#'}\n[[l]]\nm = 1979-05-27T07:32:00Z\n[[l]]\n\"n\" = -inf\n"
        "[l.o]\np = true\n"
    )
    tomllib.loads(text)
    found = find_lines(text)
    assert {path: line for path, line in found.items() if isinstance(path[-1], str)} == {
        ("a",): 1, ("b",): 5, ("b", "c"): 5, ("b", "c", "d e"): 5, ("b", "c", "d e", 1, "f"): 7,
        ("t",): 9, ("t", "u"): 9, ("t", "u", "v"): 10, ("t", "u", "v", "w"): 10,
        ("t", "u", "v", "z"): 10, ("l",): 11, ("l", 0, "m"): 12, ("l", 1, "n"): 14,
        ("l", 1, "o"): 15, ("l", 1, "o", "p"): 16,
    }  # fmt: skip
    assert found["b", "c", "d e", 1] == 7
    assert found["l", 1] == 13


def test_a_checkpoint_that_may_be_held_out_has_to_say_its_size(tmp_path: Path) -> None:
    text = (
        'name = "hub"\n[[tasks]]\nname = "rule"\n[held_out]\nwhere = "params > 1e9"\n'
        '[[checkpoints]]\nmodel = "hf:a/b"\nparams = 1e9\n[[checkpoints]]\nmodel = "hf:a/c"\n'
    )
    _, mistakes = check_study(text, tmp_path)
    assert [(m.line, str(m)) for m in mistakes] == [
        (9, "checkpoints[2]: held_out.where cannot be evaluated for it: give params and tokens")
    ]


NAMED = """
name = "named"
[[checkpoints]]
model = "vllm:EleutherAI/pythia-160m"
params = 85e6
tokens = 3e11
[[tasks]]
name = "lm-eval:gsm8k"
instances = 10
[target]
params = 1e9
tokens = 3e11
"""


def test_models_and_tasks_are_named_as_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(NAMED)
    plan = make_plan(*read_study(tmp_path))
    (measured,) = plan.of("measure")
    assert measured.parameters["task"] == {"name": "lm-eval:gsm8k", "instances": 10}
    assert measured.places == {"model": "vllm:EleutherAI/pythia-160m"}
    (forecast,) = plan.of("forecast")
    assert forecast.parameters["task"] == "gsm8k"  # as named in its rows


def test_a_checkpoint_in_one_file_is_told_by_its_content(tmp_path: Path) -> None:
    one, other = tmp_path / "a.gguf", tmp_path / "b.gguf"
    one.write_bytes(b"weights")
    other.write_bytes(b"others!")
    assert model_digest(f"hf:{one}") != model_digest(f"hf:{other}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "lm-eval:gsm8k",
            "helm:gsm8k",
            "no task 'helm:gsm8k'; expected a task of the lab or lm-eval:NAME",
        ),
        (
            "vllm:Eleuther",
            "tgi:Eleuther",
            "expected lab:DIR, hf:PATH, hf:ID@REVISION, vllm:PATH,",
        ),
        ('gsm8k"', 'gsm8k"\nchecker = "exact"', "tasks of lm-eval have their own checker"),
    ],
)
def test_names_that_no_registry_knows_are_mistakes(old: str, new: str, message: str) -> None:
    study, mistakes = check_study(NAMED.replace(old, new), Path())
    assert study is None
    assert message in str(mistakes[0])
