"""What users expect of any command line: -h, --version, 7B, standard input, common names."""

from __future__ import annotations

import io
import json
import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from augury.cli import app
from augury.cli.arguments import parse_point, read_rows
from augury.cli.printing import is_quiet
from augury.cli.setup import EXTRAS
from augury.data.common_names import SCALES, column_names, guess_columns
from augury.errors import UsageError
from tests.cli.test_cli import MAP
from tests.cli.test_cli import augury as augury  # fixtures
from tests.cli.test_cli import table as table


def test_version_and_short_help(augury: Any) -> None:
    assert augury("--version").out == f"augury {version('augury')}\n"
    assert augury("-h").out == augury("--help").out
    assert "--law" in augury("fit", "-h").out


def test_doctor(augury: Any) -> None:
    said = augury("doctor", "--json")
    assert said.status == 0
    found = json.loads(said.out)
    assert found["augury"] == version("augury")
    assert found["cores"] >= 1
    assert set(found["core"]) >= {"jax", "numpy", "polars"}
    assert found["devices"][0].startswith(("cpu", "gpu", "cuda"))
    assert found["sandbox"]
    assert "sandbox" in augury("doctor").out


def test_doctor_knows_every_extra() -> None:
    """All commands except those that only group others."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) == set(project["optional-dependencies"]) - {"real"}


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("augury tr", "trends"),
        ("augury fit --like", "--likelihood"),
        ("augury fit runs.csv --law chinc", "chinchilla"),
        ("augury fit runs.csv --law chinchilla+logis", "chinchilla+logistic-task"),
        ("augury read lm-", "lm-eval"),
        ("augury read wan", "wandb"),
    ],
)
def test_tab_completes_commands_options_kinds_and_laws(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, answer: str
) -> None:
    """As each shell requests it."""
    said = {
        "bash": {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": words},
        "fish": {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    for shell, variables in said.items():
        for name, value in {**variables, "_AUGURY_COMPLETE": f"complete_{shell}"}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            app(prog_name="augury")
        assert ended.value.code == 0
        assert answer in re.split(r"[\s\"]+", capsys.readouterr().out), shell


def test_no_sentence_of_the_list_of_commands_is_cut_off(augury: Any) -> None:
    rows = augury("--help").out.partition("Measure:")[2]
    assert rows
    assert "..." not in rows


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("params=7B,tokens=4T", {"params": 7e9, "tokens": 4e12}),
        ("params=70m, tokens=1.5e12", {"params": 7e7, "tokens": 1.5e12}),
        ("flops=1e24", {"flops": 1e24}),
        ("loss=2.31", {"loss": 2.31}),
        ("anything=-0.5", {"anything": -0.5}),
        ("flops=6e23,params=1e11,tokens=1e12", {"flops": 6e23, "params": 1e11, "tokens": 1e12}),
        # Attention is counted as well: a convention, not a contradiction.
        ("flops=7e23,params=1e11,tokens=1e12", {"flops": 7e23, "params": 1e11, "tokens": 1e12}),
    ],
)
def test_a_point(text: str, point: dict[str, float]) -> None:
    assert parse_point(text) == point


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("params", "expected name=number"),
        ("params=", "expected name=number"),
        ("params=seven", "expected name=number"),
        ("=7", "expected name=number"),
        ("loss=7B", "expected name=number"),
        ("params=nan", "expected name=number"),
        ("params=7B,params=8B", "duplicate 'params'"),
        ("flops=1e24,params=1e11,tokens=1e12", "6 x params x tokens is 6e+23 FLOPs, not 1e+24"),
        ("flops=6e14,params=1e11,tokens=1e12", "give two of the three"),
    ],
)
def test_a_point_that_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match="--at") as found:
        parse_point(text)
    assert complaint in str(found.value)


@pytest.mark.slow
def test_a_contradiction_is_one_line_of_the_shell(augury: Any, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "fit"
    maps = ("--map", "params=Size in all", "--map", "tokens=D")
    assert augury("fit", table, "--law", "compute", *maps, "--out", out).status == 0
    said = augury("predict", out, "--at", "flops=1e24,params=1e11,tokens=1e12")
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "contradicts itself" in said.err


@pytest.mark.parametrize(
    ("there", "needed", "mapped", "guessed"),
    [
        (("N", "D", "val_loss"), ("params", "tokens", "loss"), {},
         {"params": "N", "tokens": "D", "loss": "val_loss"}),
        (("n_params", "train_tokens", "final_loss"), ("params", "tokens", "loss"), {},
         {"params": "n_params", "tokens": "train_tokens", "loss": "final_loss"}),
        # Our own column is there: nothing to guess.
        (("params", "N", "loss"), ("params", "loss"), {}, {}),
        # Two candidates: no guess.
        (("N", "n_params", "loss"), ("params", "loss"), {}, {}),
        # Not requested.
        (("N", "D", "loss"), ("params", "loss"), {}, {"params": "N"}),
        # Given by --map, or used by it for something else.
        (("N", "M", "loss"), ("params", "loss"), {"params": "M"}, {}),
        (("N", "loss"), ("params", "loss"), {"family": "N"}, {}),
        # Compute follows from other columns.
        (("N", "D", "loss"), ("flops", "loss"), {}, {"params": "N", "tokens": "D"}),
        (("params", "tokens", "C", "loss"), ("flops", "loss"), {}, {}),
        (("params", "flops", "D", "loss"), ("params", "tokens", "loss"), {}, {}),
        # Spellings of spreadsheets and other tools; a single letter means only itself.
        (("Model Size", "Training FLOP", "Loss"), ("params", "tokens", "loss"), {},
         {"params": "Model Size", "flops": "Training FLOP", "loss": "Loss"}),
        (("n", "d", "loss"), ("params", "loss"), {}, {}),
        # Two common names in one; a unit in brackets is not guessed.
        (("N (params)", "# Tokens", "loss"), ("params", "tokens", "loss"), {},
         {"params": "N (params)", "tokens": "# Tokens"}),
        (("Params (M)", "loss"), ("params", "loss"), {}, {}),
        # One stays missing: the error names the columns of the file.
        (("size", "D", "loss"), ("params", "tokens", "loss"), {}, {}),
    ],
)  # fmt: skip
def test_guesses(
    there: tuple[str, ...], needed: tuple[str, ...], mapped: dict[str, str], guessed: Any
) -> None:
    assert guess_columns(there, needed, mapped) == guessed


def test_common_names_are_read_and_said(augury: Any, table: Path, tmp_path: Path) -> None:
    ours = augury("fit", table, "--law", "chinchilla", "--json", "--map", "params=Size in all",
                  "--map", "tokens=D")  # fmt: skip
    path = tmp_path / "common.csv"
    pl.read_csv(table).rename({"Size in all": "N", "loss": "val_loss"}).write_csv(path)
    said = augury("fit", path, "--law", "chinchilla", "--json")
    assert said.status == 0
    assert said.out == ours.out
    assert said.err == (
        f"augury: note: {path}: reading 'N' as params, 'D' as tokens, 'val_loss' as loss; "
        "--map says otherwise\n"
    )


def test_common_names_are_read_where_a_command_can_do_without(tmp_path: Path) -> None:
    """As `forecast` and `trends` read a table; an empty cell is not an error."""
    path = tmp_path / "common.csv"
    path.write_text("N,D,val_loss\n1e6,2e7,3.5\n2e6,,3.3\n")
    data = read_rows(path, None, None, (), "loss", wished=SCALES)
    assert data.select("params", "tokens", "loss").rows() == [(1e6, 2e7, 3.5), (2e6, None, 3.3)]


def test_what_looks_like_a_missing_scale_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in the table of Gemstones, whose laws would else be chosen without the sizes."""
    path = tmp_path / "sizes.csv"
    path.write_text("params_active_precise,tokens,tokens_per_step,loss\n1e6,2e7,5e3,3.5\n")
    read_rows(path, None, None, (), "loss", wished=SCALES)
    assert capsys.readouterr().err == (
        f"augury: note: {path}: no column is read as params; if this is it: "
        '--map "params=params_active_precise"\n'
    )
    read_rows(path, ["params=params_active_precise"], None, (), "loss", wished=SCALES)
    assert capsys.readouterr().err == ""


def test_trends_say_that_nothing_can_be_tested(augury: Any, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("run,tokens,task,value\na-1,1e9,x,.1\na-2,2e9,x,.2\na-3,3e9,x,.3\n")
    said = augury("trends", path, "--json")
    assert (said.status, json.loads(said.out)) == (0, [])
    assert "nothing to test: by column run, no run has two checkpoints" in said.err


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_on_standard_input(
    augury: Any, table: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("--law", "chinchilla", "--map", "params=Size in all", "--map", "tokens=D", "--json")
    data = pl.read_csv(table)
    path = tmp_path / f"runs.{suffix}"
    {
        "csv": data.write_csv,
        "tsv": lambda p: data.write_csv(p, separator="\t"),
        "jsonl": data.write_ndjson,
        "parquet": data.write_parquet,
    }[suffix](path)
    assert column_names(path) == tuple(data.columns)
    named = augury("fit", path, *args)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(path.read_bytes())))
    said = augury("fit", "-", *args)
    assert (said.status, said.err) == (0, "")
    assert said.out == named.out


def test_a_wrong_table_on_standard_input(augury: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"params,tokens,loss\n1e8,2e9,3.1\n-1,2e9,3.0\n"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    said = augury("fit", "-", "--law", "chinchilla")
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert said.err.startswith("augury: standard input, row 2, column 'params'")


def test_quiet_and_verbose_before_the_command_and_after_it(
    augury: Any, table: Path, tmp_path: Path
) -> None:
    path = tmp_path / "common.csv"
    pl.read_csv(table).rename({"Size in all": "N"}).write_csv(path)
    fit = ("fit", path, "--law", "chinchilla", "--json")
    usual = augury(*fit)
    assert "reading 'N' as params" in usual.err
    for quiet in (augury(*fit, "-q"), augury("--quiet", *fit)):
        assert (quiet.status, quiet.out, quiet.err) == (0, usual.out, "")
        assert not is_quiet()  # for what this process does next
    told = augury(*fit, "-v")
    assert told.out == usual.out
    assert f"{path}: 40 rows, columns params, tokens, loss, flops" in told.err
    assert "fitting chinchilla: " in told.err
    assert augury(*fit).err == usual.err  # the next call works as usual
    wrong = augury("-v", "fit", tmp_path / "nowhere.csv")
    assert wrong.status == 2
    assert "Traceback" in wrong.err
    assert wrong.err.endswith("nowhere.csv: there is no such file; expected a table\n")


def test_completion(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The request a shell makes on Tab."""
    monkeypatch.setenv("_AUGURY_COMPLETE", "complete_bash")
    for words, expected in (("augury fi", "finetune"), ("augury predict --le", "--level")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        monkeypatch.setattr(sys, "argv", ["augury"])
        with pytest.raises(SystemExit) as end:
            app(prog_name="augury")
        assert not end.value.code
        assert expected in capsys.readouterr().out.split()


def test_one_command_from_a_table_to_a_forecast(augury: Any, table: Path) -> None:
    at = ("--at", "params=7B,tokens=4T", "--at", "params=70B,tokens=1.4T")
    said = augury("fit", table, "--law", "chinchilla", *MAP, *at, "--json")
    found = json.loads(said.out)
    assert [f["inputs"]["params"] for f in found["forecasts"]] == [7e9, 7e10]
    for forecast in found["forecasts"]:
        low, high = forecast["mean_interval"]
        assert low < forecast["value"] < high
    assert augury("fit", table, "--law", "chinchilla", *MAP, *at).out.count("new run [") == 2
    by = augury("fit", table, "--law", "chinchilla", *MAP, *at, "--by", "loss")
    assert (by.status, "takes no --at" in by.err) == (2, True)
    assert augury("fit", table, "--law", "chinchilla", *MAP, "--at", "params").status == 2


def test_an_optimum_from_a_table(augury: Any, table: Path) -> None:
    said = augury("optimal", table, "--law", "chinchilla", *MAP, "--flops", "1e24", "--json")
    found = json.loads(said.out)
    assert found["method"] != "isoflop"
    assert found["flops"] == 1e24
    low, high = found["params"]["interval"]
    assert low <= found["params"]["value"] <= high
