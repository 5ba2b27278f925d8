"""A bad input for every registered law and every command: one line, and exit status 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest
import typer

from augury.cli import app
from augury.data.readers import ReadResults
from augury.fitting.law_check import example_table
from augury.laws import Grouped, Law
from augury.laws.inputs import Curve, Group, Share
from tests.cli.test_cli import augury as augury  # fixture
from tests.laws.cases import LAWS

ROWS = 8


def rows_of(law: Law) -> pl.DataFrame:
    """A table that the law can be fitted to; its values do not matter."""
    return example_table(law, law.example(ROWS).inputs, np.full(ROWS, 0.5), 0.0)


def complaint(said: Any) -> str:
    lines = said.err.splitlines()
    assert said.status == 2
    assert said.out == ""
    assert len(lines) == 1, said.err
    assert lines[0].startswith("augury: ")
    return str(lines[0])


@pytest.mark.parametrize("out", ["folder.csv", "file/scores.csv", "folder.parquet"])
def test_an_output_that_cannot_be_there_is_named(augury: Any, tmp_path: Path, out: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "file").touch()
    scores = tmp_path / "scores.csv"
    scores.write_text("model,step,task,value\na,1,b,0.5\n")
    line = complaint(augury("read", "table", scores, "--out", tmp_path / out))
    assert str(tmp_path / out.partition("/")[0]) in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line(
    augury: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checks a write by Python and one by Polars."""
    scores = tmp_path / "scores.csv"
    scores.write_text("model,step,task,value\na,1,b,0.5\n")

    def write(found: ReadResults, path: Path) -> None:
        with Path("/dev/full").open("wb") as full:
            if path.suffix == ".parquet":
                found.table.write_parquet(full)
            full.write(b"text")

    monkeypatch.setattr("augury.data.readers.write_results", write)
    for name in ("out.parquet", "out.csv"):
        line = complaint(augury("read", "table", scores, "--out", tmp_path / name))
        assert line == "augury: cannot write: no space left on device"


def named(law: Law) -> str:
    return law.law.name if isinstance(law, Grouped) else law.name


@pytest.mark.parametrize("law", LAWS, ids=named)
def test_a_law_refuses_a_table_without_its_inputs(augury: Any, law: Law, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"colour": ["red"] * ROWS, law.output: np.linspace(0.4, 0.6, ROWS)}).write_parquet(
        path
    )
    said = complaint(augury("fit", path, "--law", named(law), "--out", tmp_path / "fit"))
    assert "column '" in said
    assert not (tmp_path / "fit").exists()


@pytest.mark.parametrize("law", LAWS, ids=named)
def test_a_law_refuses_a_value_that_an_input_cannot_have(
    augury: Any, law: Law, tmp_path: Path
) -> None:
    path = tmp_path / "rows.parquet"
    name, kind = next((n, k) for n, k in law.inputs.items() if not isinstance(k, Group))
    table = rows_of(law).with_columns(cs.by_name("shots", "finetune_examples", require_all=False)
                                      .round())  # fmt: skip
    third = pl.int_range(pl.len()) == 2
    if isinstance(kind, Share):
        column = kind.columns(name, [])[0]
        bad = pl.when(third).then(-0.2).otherwise(pl.col(column)).alias(column)
    elif isinstance(kind, Curve):
        column, bad = name, pl.when(third).then(pl.lit([1.0])).otherwise(pl.col(name)).alias(name)
    else:
        column, bad = name, pl.when(third).then(None).otherwise(pl.col(name)).alias(name)
    table.with_columns(bad).write_parquet(path)
    said = complaint(augury("fit", path, "--law", named(law)))
    assert f"row 3, column '{column}'" in said


# Requests that commands cannot fulfil; the other commands get an option that none has.
# NONE is a file that does not exist, TEXT a table of
# words, BAD an empty folder.
ASKED: dict[str, tuple[str, ...]] = {
    "fit": ("NONE", "--law", "power"),
    "backtest": ("TEXT", "--law", "power"),
    "trends": ("TEXT",),
    "optimal": ("BAD", "--flops", "1e24"),
    "ladder": ("TEXT", "--at", "params=7B,tokens=4T"),
    "versus": ("TEXT", "--by", "colour"),
    "mix": ("TEXT", "--minimise", "colour"),
    "repeat": ("BAD", "--unique-tokens", "1B", "--params", "1B"),
    "size": ("TEXT", "--reference", "a", "--model", "b"),
    "curve": ("TEXT",),
    "predict": ("BAD", "--at", "params=1B"),
    "forecast": ("TEXT", "--at", "params=1B"),
    "passrate": ("TEXT", "--at", "params=1B"),
    "rare": ("TEXT", "--queries", "1e5"),
    "emergence": ("TEXT",),
    "read": ("lm-eval", "NONE", "--out", "OUT"),
    "samples": ("NONE",),
    "passuntil": ("--model", "lab:BAD", "--task", "NONE", "--out", "OUT"),
    "init": ("TEXT",),
    "run": ("BAD",),
    "status": ("BAD",),
    "scoreboard": ("NONE",),
    "report": ("BAD",),
    "serve": ("NONE",),
    "loss": ("--model", "lab:BAD", "--text", "NONE"),
    "finetune": ("--model", "lab:BAD", "--task", "NONE", "--amounts", "10", "--out", "OUT"),
}


COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_what_is_asked_is_asked_of_commands_that_there_are() -> None:
    assert set(ASKED) <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_refuses_in_one_line(augury: Any, command: str, tmp_path: Path) -> None:
    text, empty = tmp_path / "words.csv", tmp_path / "empty"
    text.write_text("colour,shape\nred,round\nblue,square\n")
    empty.mkdir()
    places = {"NONE": tmp_path / "nowhere.csv", "TEXT": text, "BAD": empty,
              "OUT": tmp_path / "out"}  # fmt: skip
    words = []
    for word in ASKED.get(command, ("--frobnicate",)):
        key = word.removeprefix("lab:")
        words.append(word if key not in places else word.replace(key, str(places[key])))
    complaint(augury(command, *words))
    assert not (tmp_path / "out").exists()
