"""Every way of naming a law on the command line: chains, laws from outside, a law per group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from augury.laws import Chinchilla, LogisticTask
from tests.cli.test_cli import augury as augury  # the fixture
from tests.laws.cases import TRUTH, inputs

pytestmark = pytest.mark.slow

OWN_LAW = """
from dataclasses import dataclass
from typing import ClassVar

from augury.laws import Law, power, positive, real
from augury.laws.inputs import Positive


@dataclass(frozen=True)
class MyLaw(Law):
    name: ClassVar[str] = "my-law"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = "L = E + A N^-a"
    source: ClassVar[str] = "a test"
    E = real((0.5, 3.0), amplitude=True, bounds=(0.0, 1e6))
    A = positive((1.0, 1e3), amplitude=True)
    a = positive((0.1, 0.6))

    @property
    def inputs(self):
        return {"params": Positive()}

    def formula(self, p, x):
        return p.E + p.A * power(x.params, -p.a)


NOT_A_LAW = 1
"""


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """Forty runs with a loss, and a score that follows from it."""
    rng = np.random.default_rng(0)
    law, x = Chinchilla(), inputs(Chinchilla(), 40)
    loss = law(TRUTH["chinchilla"], **x) * np.exp(0.003 * rng.standard_normal(40))
    task = LogisticTask()
    middle = {**TRUTH["logistic-task"]}
    value = task(middle, loss=loss) + 0.005 * rng.standard_normal(40)
    path = tmp_path / "scored.csv"
    pl.DataFrame({**x, "loss": loss, "value": value}).write_csv(path)
    return path


def test_a_chain_is_fitted_saved_and_asked(augury: Any, scored: Path, tmp_path: Path) -> None:
    out = tmp_path / "chain"
    said = augury("fit", scored, "--law", "chinchilla+logistic-task", "--out", out, "--json")
    assert said.status == 0, said.err
    found = json.loads(said.out)
    assert found["law"] == "chinchilla+logistic-task"
    assert {"E", "A", "task_k"} <= set(found["params"]) or {"E", "A"} <= set(found["params"])
    assert found["params"].keys() == found["intervals"].keys()

    said = augury("predict", out, "--at", "params=7B,tokens=1T", "--json")
    assert said.status == 0, said.err
    (forecast,) = json.loads(said.out)

    from augury.data import read_table
    from augury.forecast import Chain, fit_chain, predict

    chain = fit_chain(Chain(Chinchilla(), LogisticTask()), read_table(scored))
    (same,) = predict(chain, {"params": [7e9], "tokens": [1e12]})
    assert forecast.pop("status") == "converged"
    assert forecast == json.loads(json.dumps(same.to_dict()))


def test_a_chain_without_losses_is_fitted_as_one_law(
    augury: Any, scored: Path, tmp_path: Path
) -> None:
    path = tmp_path / "scores.csv"
    pl.read_csv(scored).drop("loss").write_csv(path)
    out = tmp_path / "fit"
    said = augury("fit", path, "--law", "chinchilla+logistic-task", "--out", out)
    assert said.status == 0, said.err
    said = augury("predict", out, "--at", "params=7e9,tokens=1e12")
    assert said.status == 0, said.err


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a user's package and a table."""
    package = tmp_path / "mypackage_of_laws"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "laws.py").write_text(OWN_LAW)
    n = np.geomspace(1e7, 1e10, 20)
    rng = np.random.default_rng(0)
    loss = (1.5 + 100 * n**-0.25) * np.exp(0.002 * rng.standard_normal(20))
    pl.DataFrame({"params": n, "loss": loss}).write_csv(tmp_path / "runs.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_law_of_ones_own(augury: Any, own: Path) -> None:
    name = "mypackage_of_laws.laws:MyLaw"
    said = augury("fit", "runs.csv", "--law", name, "--out", "fit", "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["params"]["a"] == pytest.approx(0.25, abs=0.05)
    said = augury("predict", "fit", "--law", name, "--at", "params=7e10")
    assert said.status == 0, said.err


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("no_such_package.laws:MyLaw", "cannot import no_such_package.laws"),
        ("mypackage_of_laws.laws:NoLaw", "has no class NoLaw"),
        ("mypackage_of_laws.laws:NOT_A_LAW", "has no class NOT_A_LAW that is a Law"),
        ("no-such-law", "no law is called 'no-such-law'"),
        ("chinchilla+no-such-law", "no law is called 'no-such-law'"),
    ],
)
def test_a_law_that_is_not_there_is_one_line(
    augury: Any, own: Path, name: str, complaint: str
) -> None:
    said = augury("fit", "runs.csv", "--law", name)
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert complaint in said.err


def test_one_law_per_group(augury: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.ones(3), 40)
    share[:5, 0] = 0.0
    share /= share.sum(1, keepdims=True)
    parts = []
    for name, weights in (("web", (1.0, 0.3, 0.1)), ("code", (0.1, 0.2, 1.0))):
        loss = (1.5 + (share @ weights + 0.05) ** -0.2) * np.exp(0.002 * rng.standard_normal(40))
        columns = {f"share_{d}": share[:, j] for j, d in enumerate(("a", "b", "c"))}
        parts.append(pl.DataFrame({**columns, "loss": loss, "loss_set": name}))
    path = tmp_path / "mixtures.csv"
    pl.concat(parts).write_csv(path)
    said = augury("fit", path, "--law", "effective-share", "--by", "loss_set", "--json")
    assert said.status == 0, said.err
    rows = json.loads(said.out)
    assert [row["loss_set"] for row in rows] == ["web", "code"]
    truth = {"web": (1.05, 0.35, 0.15), "code": (0.15, 0.25, 1.05)}  # worths, 0.05 each
    for row in rows:
        # The loss after training on one domain alone; its split into c and a is poorly determined.
        alone = [row["params"]["c"] + row["params"][f"a_{domain}"] for domain in ("a", "b", "c")]
        expected = [1.5 + worth**-0.2 for worth in truth[row["loss_set"]]]
        assert alone == pytest.approx(expected, rel=0.02)
        assert row["params"].keys() == row["stderr"].keys()
    said = augury("fit", path, "--law", "effective-share", "--by", "loss_set")
    assert said.out.count("\n") == 3
    said = augury("fit", path, "--law", "effective-share", "--by", "loss_set", "--nuts")
    assert (said.status, said.err.count("\n")) == (2, 1)
