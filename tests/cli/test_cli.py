"""The command line as a script sees it: its JSON, its one-line errors, its exit status."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from augury.cli import app, main
from augury.cli.application import command_of
from augury.laws import Chinchilla
from tests.laws.cases import TRUTH, inputs
from tests.shared import CHINCHILLA, needs_chinchilla


class Said:
    """What a command printed, and its exit status."""

    def __init__(self, out: str, err: str, status: int) -> None:
        self.out, self.err, self.status = out, err, status


@pytest.fixture
def augury(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Any:
    """Run `augury ARGS` in this process."""
    monkeypatch.setattr("augury.cli.startup.keep_compiled", lambda: None)
    for where in ("progress", "waiting"):  # a busy machine would add lines of progress
        monkeypatch.setattr(f"augury.cli.{where}.LINE_EVERY", 86_400.0)

    def run(*args: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["augury", *map(str, args)])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        printed = capsys.readouterr()
        return Said(printed.out, printed.err, status)

    return run


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Forty runs of a Chinchilla law with someone else's column names."""
    rng = np.random.default_rng(0)
    law = Chinchilla()
    x = inputs(law, 40)
    loss = law(TRUTH["chinchilla"], **x) * np.exp(0.003 * rng.standard_normal(40))
    path = tmp_path / "runs.csv"
    theirs = {"Size in all": x["params"], "D": x["tokens"], "loss": loss}
    pl.DataFrame(theirs).write_csv(path)
    return path


MAP = ("--map", "params=Size in all", "--map", "tokens=D")


@pytest.mark.slow
def test_fit_prints_the_contract_and_saves(augury: Any, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "fit"
    said = augury("fit", table, "--law", "chinchilla", *MAP, "--out", out, "--json")
    assert said.status == 0
    assert said.err == ""
    result = json.loads(said.out)
    assert {"law", "n", "params", "objective", "status", "level", "intervals", "notes"} <= set(
        result
    )
    assert (result["law"], result["n"], result["status"]) == ("chinchilla", 40, "converged")
    assert result["params"].keys() == TRUTH["chinchilla"].keys() == result["intervals"].keys()
    for name, (low, high) in result["intervals"].items():
        assert low <= result["params"][name] <= high
    for note in result["notes"]:
        assert note.keys() == {"code", "severity", "message", "details"}

    said = augury("predict", out, "--at", "params=7e9,tokens=4e12", "--json")
    (forecast,) = json.loads(said.out)
    assert {"inputs", "value", "mean_interval", "run_interval", "extrapolation"} <= set(forecast)
    assert forecast["inputs"] == {"params": 7e9, "tokens": 4e12}
    assert forecast["status"] == result["status"]
    assert forecast["mean_interval"][0] < forecast["value"] < forecast["mean_interval"][1]
    several = augury(
        "predict", out, "--at", "params=7e9,tokens=4e12", "--at", "params=1e9,tokens=2e10"
    )
    assert several.out.count("new run [") == 2


@pytest.mark.slow
def test_backtest_prints_errors_and_coverage_per_law(augury: Any, table: Path) -> None:
    said = augury(
        "backtest", table, *MAP, "--law", "chinchilla", "--law", "kaplan",
        "--holdout", "params >= 1e9", "--json",
    )  # fmt: skip
    assert said.err == ""
    rows = json.loads(said.out)
    assert {row["law"] for row in rows} == {"chinchilla", "kaplan"}
    for row in rows:
        assert 0 <= row["coverage"] <= 1
        assert len(row["forecasts"]) == row["n"] > 0
        errors = [abs(f["value"] - f["observed"]) for f in row["forecasts"]]
        assert row["mean_abs_error"] == pytest.approx(np.mean(errors))
    assert "held" in augury("backtest", table, *MAP, "--law", "chinchilla", "--by", "params").out


def test_laws_are_listed(augury: Any) -> None:
    rows = json.loads(augury("laws", "--json").out)
    assert {row["name"] for row in rows} >= set(TRUTH)
    assert "arXiv" in augury("laws").out


def test_a_fit_that_cannot_be_identified_says_so(augury: Any, tmp_path: Path) -> None:
    path = tmp_path / "three.csv"
    path.write_text("params,tokens,loss\n1e8,2e9,3.1\n1e9,2e10,2.6\n1e10,2e11,2.2\n")
    said = augury("fit", path, "--law", "chinchilla", "--json")
    assert json.loads(said.out)["status"] == "not identifiable"
    assert said.status == 0  # the fit ran; its output is the result
    told = augury("fit", path, "--law", "chinchilla").out
    assert "nan" not in told
    assert told.count("no interval") == 5
    assert told.count("Many parameter values fit these runs equally well") == 1


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("fit", "RUNS", "--law", "chinchila"), "no law is called 'chinchila'"),
        (("fit", "RUNS", "--law", "chinchilla"), "column 'params': the column is missing"),
        (("fit", "nowhere.csv", "--law", "power"), "nowhere.csv: there is no such file"),
        (("fit", "RUNS", "--law", "chinchilla", *MAP, "--level", "2"), "level must lie between"),
        (("fit", "RUNS", "--law", "chinchilla", *MAP, "--bootstrap", "0"), "resamples must be"),
        (("fit", "RUNS", "--law", "chinchilla", *MAP, "--bootstrap", "5", "--nuts"), "choose one"),
        (("fit", "RUNS", "--law", "chinchilla", *MAP, "--likelihood", "hubert"), "hubert"),
        (("fit", "RUNS", "--law", "chinchilla", "--map", "params"), "--map 'params': expected"),
        (("fit", "RUNS", "--law", "chinchilla", *MAP, "--where", "los < 3"), "cannot filter by"),
        (("fit", "RUNS", "--map", "mine=D"), "no law forecasts 'loss' from"),
        (("fit", "RUNS", *MAP, "--nuts"), "--bootstrap and --nuts need --law"),
        (("fit", "RUNS", "--law", "power", "--frobnicate"), "No such option: --frobnicate"),
        (("predict", "nofit", "--at", "params=1"), "nofit"),
        (("backtest", "RUNS", *MAP, "--law", "chinchilla", "--holdout", "size > 3"), "size > 3"),
        (("backtest", "RUNS", *MAP, "--law", "chinchilla", "--holdout", "loss > 99"), "loss > 99"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_line_and_exit_status_2(
    augury: Any, table: Path, tmp_path: Path, args: tuple[str, ...], line: str
) -> None:
    out = tmp_path / "fit"
    extra = ("--out", str(out)) if args[0] == "fit" else ()
    said = augury(*(str(table) if a == "RUNS" else a for a in args), *extra)
    assert said.status == 2
    assert said.out == ""
    said_of_it = [x for x in said.err.splitlines() if not x.startswith("augury: note: ")]
    assert len(said_of_it) == 1
    assert line in said.err
    assert said.err.startswith("augury: ")
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "at", ["params", "params=big", "params=1e9", "params=-1,tokens=2e9", "params=nan,tokens=1e9"]
)
def test_points_that_cannot_be(augury: Any, table: Path, tmp_path: Path, at: str) -> None:
    out = tmp_path / "fit"
    augury("fit", table, "--law", "chinchilla", *MAP, "--out", out)
    said = augury("predict", out, "--at", at)
    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)


BAD = {
    "missing column": "params,tokens\n1e8,2e9\n",
    "negative params": "params,tokens,loss\n1e8,2e9,3\n-1e8,2e9,3\n",
    "zero tokens": "params,tokens,loss\n1e8,0,3\n",
    "zero loss": "params,tokens,loss\n1e8,2e9,0\n",
    "text": "params,tokens,loss\n1e8,2e9,three\n",
    "not a number": "params,tokens,loss\n1e8,2e9,nan\n",
    "empty": "",
    "only a header": "params,tokens,loss\n",
    "twice": "model,step,task,metric,params,tokens,loss\na,1,t,m,1e8,2e9,3\na,1,t,m,1e8,2e9,3\n",
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_every_bad_table_is_one_line_and_nothing_is_written(
    augury: Any, tmp_path: Path, case: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(BAD[case])
    said = augury("fit", path, "--law", "chinchilla", "--out", tmp_path / "fit", "--json")
    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
    assert "bad.csv" in said.err
    assert "expected" in said.err
    assert [p.name for p in tmp_path.iterdir()] == ["bad.csv"]


def test_a_truncated_parquet_is_one_line(augury: Any, table: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    pl.read_csv(table).write_parquet(whole)
    cut.write_bytes(whole.read_bytes()[:-40])
    said = augury("fit", cut, "--law", "chinchilla", *MAP)
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "cut.parquet: not a whole Parquet file" in said.err


def test_an_error_that_is_ours_is_not_swallowed(augury: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("augury.laws.all_laws", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        augury("laws")


def test_help_and_the_package_import_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['augury', '--help']\n"
        "import augury.cli\n"
        "try: augury.cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'jax', 'torch', 'transformers', 'ray', 'numpyro', 'polars', 'scipy', 'altair'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "forecast" in done.stdout.lower()


def test_a_command_is_built_alone_as_it_is_among_all() -> None:
    import typer

    def described(command: Any) -> Any:
        options = [(p.name, p.opts, p.required, getattr(p, "help", "")) for p in command.params]
        return command.help, command.rich_help_panel, options

    whole: Any = typer.main.get_command(app)
    for name, command in whole.commands.items():
        alone = command_of(["-q", name, "--json"])
        assert list(alone.commands) == [name]
        assert described(alone.commands[name]) == described(command)
        assert described(alone) == described(whole)
    for words in ([], ["--help"], ["no-such-command"]):
        assert list(command_of(words).commands) == list(whole.commands)


def test_the_commands_and_their_options_are_these() -> None:
    """Scripts depend on these: a change here changes the contract."""
    import typer

    group = typer.main.get_command(app)
    found = {
        name: {o for p in command.params for o in p.opts if o.startswith("--")}
        - {"--quiet", "--verbose"}  # every command has these
        for name, command in group.commands.items()  # type: ignore[attr-defined]
    }
    shared = {"--map", "--where", "--likelihood", "--level", "--seed", "--json"}
    assert all(
        {"--quiet", "--verbose"} <= {o for p in command.params for o in p.opts}
        for command in (group, *group.commands.values())  # type: ignore[attr-defined]
    )
    assert found == {
        "fit": shared
        | {"--at", "--law", "--by", "--bootstrap", "--nuts", "--out", "--scale", "--tasks"},
        "forecast": {
            "--at", "--output", "--over", "--map", "--scale", "--where", "--level", "--json",
            "--tasks",
        },
        "predict": {"--at", "--law", "--level", "--json"},
        "backtest": shared | {"--law", "--holdout", "--by", "--scale"},
        "trends": {
            *("--by", "--map", "--where", "--rate", "--ahead", "--level", "--out", "--json"),
            *("--scale", "--tasks"),
        },
        "read": {"--out", "--models", "--keep-going", "--newest", "--variant", "--json"},
        "passuntil": {
            "--model", "--task", "--out", "--checker", "--r", "--max-samples", "--relative-error",
            "--budget", "--temperature", "--method", "--tokens", "--stop", "--instances",
            "--lm-eval-path", "--level", "--seed", "--json", "--proposal", "--own-share",
            "--device", "--dtype", "--batch-tokens", "--keep", "--extra", "--extract",
            "--chat", "--system", "--chat-prompt", "--max-tokens-total", "--plan", "--price-in",
            "--price-out",
        },
        "emergence": {
            *("--scale", "--few-shot-examples", "--above", "--law", "--nuts", "--loss-law"),
            *("--tokens", "--map", "--where", "--level", "--seed", "--json", "--floor", "--params"),
        },
        "passrate": {"--at", "--scale", "--map", "--where", "--level", "--seed", "--json"},
        "rare": {"--queries", "--map", "--where", "--level", "--seed", "--json"},
        "finetune": {
            "--model", "--task", "--amounts", "--out", "--subsets", "--seeds", "--method",
            "--learning-rate", "--checker", "--tokens", "--stop", "--samples", "--instances",
            "--about", "--workers", "--json", "--plan", "--collect", "--steps", "--batch",
            "--patience", "--only", "--subspace", "--processes",
        },
        "curve": {
            "--against", "--at", "--json", "--level", "--map", "--out", "--planned", "--schedule",
            "--target", "--where",
        },
        "ladder": {
            "--at", "--json", "--level", "--map", "--out", "--scale", "--seed", "--tasks",
            "--threshold", "--where",
        },
        "mix": {
            "--cap", "--epochs", "--floor", "--json", "--level", "--map", "--maximise",
            "--minimise", "--out", "--rank", "--seed", "--tokens", "--unique", "--where",
        },
        "optimal": {
            "--flops", "--json", "--level", "--loss", "--map", "--out", "--params", "--scale",
            "--seed", "--served", "--tokens", "--where", "--law",
        },
        "repeat": {
            "--json", "--least-worth", "--level", "--out", "--params", "--unique-tokens",
            "--map", "--scale", "--where",
        },
        "size": {
            "--chance", "--json", "--level", "--map", "--model", "--out", "--reference",
            "--scale", "--scores", "--where",
        },
        "versus": {
            "--between", "--by", "--json", "--law", "--level", "--map", "--out", "--output",
            "--over", "--scale", "--seed", "--where",
        },
        "loss": {
            "--batch-tokens", "--device", "--dtype", "--json", "--model", "--out", "--stride",
            "--text", "--window",
        },
        "samples": {"--task", "--instance", "--passed", "--json"},
        "laws": {"--json"},
        "doctor": {"--json"},
        "init": {"--from", "--schema"},
        "run": {"--plan", "--engine", "--json"},
        "status": {"--json"},
        "scoreboard": {"--json"},
        "report": {"--out", "--at", "--json"},
        "serve": {"--port", "--host"},
        "demo": {"--out", "--steps", "--real", "--weights", "--seed", "--json"},
    }  # fmt: skip


@needs_chinchilla
@pytest.mark.slow
def test_the_published_fit_comes_out_of_the_shell(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "augury", "fit", str(CHINCHILLA), "--law", "chinchilla",
            "--map", "params=Model Size", "--map", "flops=Training FLOP", "--where", "loss < 3.43",
            "--bootstrap", "4000", "--level", "0.95", "--out", str(tmp_path / "fit"), "--json",
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert done.stderr == ""
    assert result["n"] == 240
    assert result["objective"] <= 0.00101828
    rounded = {"A": 477.8, "B": 2143, "E": 1.8172, "alpha": 0.3473, "beta": 0.3672}
    for name, published in rounded.items():
        digits = 4 - 1 - math.floor(math.log10(published)) if name != "E" else 4
        assert round(result["params"][name], min(digits, 4)) == pytest.approx(published), name
    for name, published in {"alpha": (0.317, 0.373), "beta": (0.331, 0.415)}.items():
        assert result["intervals"][name] == pytest.approx(published, abs=0.006)
