"""The README's shell commands run as written."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from augury.cli import app
from augury.laws import Chinchilla
from tests.cli.test_cli import augury as augury  # the fixture
from tests.laws.cases import TRUTH

README = Path(__file__).parents[2] / "README.md"
# Run below in one folder, in the README's order. The others need checkpoints or minutes: tests of
# their modules run them, and only their options are checked here.
RUN = ("forecast", "fit", "predict", "backtest", "laws")


def commands() -> list[list[str]]:
    """Every indented `augury ...` of the README, continued lines joined."""
    text = README.read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    augury ")]
    parts = [part for line in lines for part in [*shlex.split(line, comments=True), "&&"]]
    found: list[list[str]] = [[]]
    for part in parts:
        if part == "&&":
            found.append([])
        else:
            found[-1].append(part)
    return [words[1:] for words in found if words]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the README's tables, `runs.csv` and `mixtures.csv`."""
    rng = np.random.default_rng(0)
    params, tokens = 10 ** rng.uniform(7.6, 10.1, 60), 10 ** rng.uniform(9.5, 11.5, 60)
    loss = Chinchilla()(TRUTH["chinchilla"], params=params, tokens=tokens)
    loss = loss * np.exp(0.003 * rng.standard_normal(60))
    columns = {"Model Size": params, "Training FLOP": 6 * params * tokens, "loss": loss}
    pl.DataFrame(columns).write_csv(tmp_path / "runs.csv")
    shares = rng.dirichlet(np.ones(3), 40)
    parts = []
    for name, worth in (("web", (1.0, 0.3, 0.1)), ("code", (0.1, 0.2, 1.0))):
        own = 1.5 + 0.8 * (shares @ np.array(worth) + 0.05) ** -0.2
        own = own * np.exp(0.002 * rng.standard_normal(40))
        mixtures = {f"share_{d}": shares[:, j] for j, d in enumerate(("web", "books", "code"))}
        parts.append(pl.DataFrame({**mixtures, "loss": own, "loss_set": [name] * 40}))
    pl.concat(parts).write_csv(tmp_path / "mixtures.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_commands_run_in_order(augury: Any, folder: Path) -> None:
    ran = []
    for words in commands():
        if words[0] in RUN:
            said = augury(*words)
            assert (said.status, said.err) == (0, ""), words
            assert said.out
            ran.append(words[0])
    assert set(ran) == set(RUN)


def test_every_command_exists_with_its_options() -> None:
    import typer

    group: Any = typer.main.get_command(app)
    found = commands()
    assert len(found) >= 10
    for name, *words in found:
        known = {o for p in group.commands[name].params for o in p.opts}
        assert {w for w in words if w.startswith("--")} <= known, (name, words)
