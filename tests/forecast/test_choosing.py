"""The choice of a law: the true one if the data show it, the constant if nothing does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

import augury
from augury.errors import DataError, UsageError
from augury.fitting import Gaussian
from augury.fitting.likelihoods import Points
from augury.fitting.problem import problem_of
from augury.fitting.windows import fit_windows
from augury.forecast.choosing import _explains_more, choose, normal_crps, suited_laws
from augury.forecast.score import crps
from augury.laws import Constant, PowerLaw
from tests.cli.test_cli import augury as augury_command  # fixtures
from tests.shared import DATA

__all__ = ["augury_command"]
SLD = DATA / "sldbench"


def ladder(noise: float = 0.003, seed: int = 0) -> pl.DataFrame:
    """Forty runs of a Chinchilla law whose floor and tokens both matter."""
    rng = np.random.default_rng(seed)
    params = np.repeat(np.geomspace(3e7, 3e9, 8), 5)
    tokens = params * np.tile([3.0, 8.0, 20.0, 60.0, 160.0], 8)
    loss = 1.8 + 480 * params**-0.35 + 2100 * tokens**-0.37
    return pl.DataFrame(
        {"params": params, "tokens": tokens,
         "loss": loss * np.exp(noise * rng.standard_normal(40))}
    )  # fmt: skip


def test_crps_of_a_normal_is_that_of_its_draws() -> None:
    mean, spread, y = np.array([0.0, 1.0]), np.array([1.0, 0.3]), np.array([0.7, -0.5])
    draws = mean + spread * stats.norm.ppf((np.arange(20000)[:, None] + 0.5) / 20000)
    assert normal_crps(mean, spread, y) == pytest.approx(crps(draws, y), rel=1e-3)


@pytest.mark.slow
def test_windows_say_what_least_squares_on_each_would() -> None:
    rng = np.random.default_rng(1)
    x = np.geomspace(1e7, 1e10, 24)
    y = (1.5 + 60 * x**-0.25) * np.exp(0.002 * rng.standard_normal(24))
    law = PowerLaw()
    problem = problem_of(law, {"params": x, "loss": y}, Gaussian("log"))
    inside = np.stack([np.arange(24) < 12, np.arange(24) < 18]).astype(float)
    points = Points((np.stack([x, x]),), np.stack([y, y]), np.ones((2, 24)))
    found = fit_windows(law, problem.likelihood, points, inside)
    for window, size in enumerate((12, 18)):
        past = {"params": x[:size], "loss": y[:size]}
        alone = augury.fit(law, past, likelihood=Gaussian("log"), uncertainty="none",
                           influence=False)  # fmt: skip
        expected = np.log(law(alone.parameters, params=x))
        assert found.mean[window] == pytest.approx(expected, abs=1e-5)
        # Beyond the window, the spread exceeds the noise and grows.
        assert found.spread[window][size - 1] < found.spread[window][-1]
        scatter = (np.log(y) - expected)[:size].std(ddof=3)
        assert (found.spread[window] > scatter * 0.999).all()


@pytest.mark.slow
def test_the_true_law_is_chosen_and_the_constant_where_nothing_is_to_learn() -> None:
    chosen = choose(ladder(), ["chinchilla", "kaplan"])
    assert chosen.law == "chinchilla"
    assert sum(chosen.weights.values()) == pytest.approx(1.0)
    assert set(chosen.scores["law"]) == {"chinchilla", "kaplan", "constant:over=tokens"}
    assert next(iter(chosen.fits)) == "chinchilla"
    assert chosen.fit.usable
    ahead = chosen.forecasts()
    assert ahead["chinchilla"].value < 2.3
    rng = np.random.default_rng(3)
    noise = ladder().with_columns(loss=2.5 * np.exp(0.05 * rng.standard_normal(40)))
    nothing = choose(noise, ["kaplan"], by="params")
    assert nothing.law == "constant"
    assert nothing.to_dict()["law"] == "constant"


def test_candidates_are_the_laws_whose_inputs_vary() -> None:
    names = {law.name for law in suited_laws(ladder(), "loss")}
    assert {"chinchilla", "kaplan", "skaling", "over-training", "power"} <= names
    assert not names & {"data-constrained", "routed", "effective-share", "constant", "momentum"}
    fixed = ladder().with_columns(tokens=pl.lit(1e9))
    assert "chinchilla" not in {law.name for law in suited_laws(fixed, "loss")}
    repeats = ladder().with_columns(unique_tokens=pl.col("tokens") / 4)
    assert {"data-constrained", "three-powers"} <= {
        law.name for law in suited_laws(repeats, "loss")
    }


def test_what_cannot_be_chosen_from_is_said() -> None:
    with pytest.raises(UsageError, match="no law forecasts 'loss' from size"):
        choose({"size": [1.0, 2.0, 3.0], "loss": [3.0, 2.0, 1.0]})
    with pytest.raises(UsageError, match="no column 'family'"):
        choose(ladder(), ["kaplan"], groups="family")
    with pytest.raises(DataError, match="no rows"):
        choose(ladder().head(0))
    with pytest.raises(DataError, match="too few"):
        choose(ladder().head(3), ["chinchilla"])


@pytest.mark.slow
def test_fit_without_a_law_prints_the_choice(augury_command: Any, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    table = ladder().filter(pl.col("tokens") == pl.col("tokens").max().over("params"))
    table.select(N="params", loss="loss").write_csv(path)
    said = augury_command("fit", path, "--json")
    assert said.status == 0, said.err
    found = json.loads(said.out)
    assert {"law", "weights", "scores", "runners_up", "fit"} <= set(found)
    assert found["fit"]["law"] == found["law"]
    assert found["law"] in found["weights"]


@pytest.mark.skipif(not SLD.exists(), reason="the shared data are absent")
@pytest.mark.slow
def test_sldbench_parallel_is_solved_by_the_law_chosen() -> None:
    from benchmarks.sldbench import run_task

    found = run_task("parallel")
    assert found["law"] == "parallel-streams"
    assert found["r2"] >= 0.99


def test_laws_of_shares_are_no_candidates_for_scores_that_go_negative() -> None:
    """Negative Brier scores go to other laws; scores in percent are refused later, by row."""
    flops = np.geomspace(1e18, 1e22, 12)

    def of_shares(values: np.ndarray) -> list[bool]:
        table = pl.DataFrame({"flops": flops, "value": values})
        return [law.of_shares for law in suited_laws(table, "value")]

    rising = np.linspace(0.0, 1.0, 12)
    assert any(of_shares(rising))
    assert any(of_shares(100 * rising))
    assert not any(of_shares(rising - 0.8))


@pytest.mark.slow
def test_all_runs_together_refute_the_constant_where_few_are_held_out() -> None:
    sizes, rng = np.geomspace(1e7, 1e10, 12), np.random.default_rng(5)
    noise = np.exp(0.01 * rng.standard_normal(12))

    def refuted(loss: np.ndarray) -> bool:
        fits = [
            augury.fit(law, {"params": sizes, "loss": loss}, uncertainty="laplace", influence=False)
            for law in (PowerLaw(), Constant())
        ]
        return _explains_more(*fits)

    assert refuted((1.8 + 60 * sizes**-0.25) * noise)
    assert not refuted(2.5 * noise)
