"""The commands that answer questions, as a script meets them: JSON, pictures, one-line errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.cli.test_cli import MAP
from tests.cli.test_cli import augury as augury  # fixtures
from tests.cli.test_cli import table as table
from tests.forecast.test_questions_optimal import isoflops


def complaint(said: Any) -> str:
    """The one line of a mistake, which exits with 2."""
    assert said.status == 2
    assert said.out == ""
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    return str(lines[0])


@pytest.fixture
def fitted(augury: Any, table: Path, tmp_path: Path) -> Path:
    out = tmp_path / "fit"
    assert augury("fit", table, "--law", "chinchilla", *MAP, "--out", out, "--json").status == 0
    return out


def test_optimal(augury: Any, fitted: Path, tmp_path: Path) -> None:
    said = augury("optimal", fitted, "--flops", "1e24", "--out", tmp_path / "o", "--json")
    assert (said.status, said.err) == (0, "")
    answer = json.loads(said.out)
    assert answer["flops"] == 1e24
    for name in ("params", "tokens", "loss"):
        low, high = answer[name]["interval"]
        assert low <= answer[name]["value"] <= high
    low, high = answer["flat"]["params"]
    assert low < answer["params"]["value"] < high
    assert {"level", "extrapolation", "status", "notes", "seed"} <= answer.keys()
    assert (tmp_path / "o" / "figures" / "isoflop.svg").read_text().startswith("<svg")
    assert "optimal at params=7e+10" in augury("optimal", fitted, "--params", "70B").out
    assert "per token served" in augury("optimal", fitted, "--loss", "2.2", "--served", "1T").out


def test_optimal_of_a_table_of_equal_budgets(augury: Any, tmp_path: Path) -> None:
    path = tmp_path / "iso.csv"
    isoflops(0.001, 0).write_csv(path)
    answer = json.loads(augury("optimal", path, "--flops", "1e22", "--json").out)
    assert answer["method"] == "isoflop"
    assert [n["code"] for n in answer["notes"]] == ["parabola-bias"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give one of flops, tokens, params and loss"),
        (("--flops", "much"), "--flops 'much': expected a positive number"),
        (("--flops", "-1"), "--flops '-1': expected a positive number"),
        (("--flops", "1e24", "--params", "7B"), "give one of"),
        (("--loss", "0.1"), "no budget reaches a loss of 0.1"),
        (("--flops", "1e24", "--where", "loss < 3"), "FIT is a saved fit"),
        (("--flops", "1e24", "--level", "2"), "level must lie between 0 and 1"),
    ],
)
def test_optimal_asked_wrongly(
    augury: Any, fitted: Path, arguments: tuple[str, ...], words: str
) -> None:
    assert words in complaint(augury("optimal", fitted, *arguments))


def test_optimal_of_what_is_no_fit(augury: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no saved result" in complaint(augury("optimal", tmp_path / "empty", "--flops", "1e24"))
    path = tmp_path / "t.csv"
    pl.DataFrame({"params": [1e8, 2e8], "flops": [1e18, 1e18], "loss": [3.0, 2.9]}).write_csv(path)
    assert "budgets have 5 or more sizes" in complaint(augury("optimal", path, "--flops", "1e24"))
    assert "--loss and --served need a fit" in complaint(augury("optimal", path, "--loss", "2"))
