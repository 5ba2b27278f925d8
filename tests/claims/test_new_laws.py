"""New laws against SciPy, against each other, and against what they were made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import optimize

from augury.fitting import Gaussian, fit
from augury.fitting.problem import problem_of
from augury.fitting.single import optimum
from augury.laws import Parameter, Skaling, law
from tests.shared import chinchilla, needs_chinchilla, needs_olmo, olmo_ladder

pytestmark = pytest.mark.slow


@needs_olmo
def test_a_joint_fit_is_scipys() -> None:
    """Eight tasks of the OLMo ladder, 26 parameters: exponents to 1e-5 of a joint least squares."""
    finals, _ = olmo_ladder()
    table = finals.select("run", "task", "params", "tokens", loss="bpb")
    fitted = fit("joint-chinchilla", table, likelihood=Gaussian("log"), influence=False)
    tasks = table["task"].unique(maintain_order=True).to_list()
    at = np.array([tasks.index(t) for t in table["task"]])
    n, d, y = (table[c].to_numpy() for c in ("params", "tokens", "loss"))
    count = len(tasks)

    def residuals(v: np.ndarray) -> np.ndarray:
        e, a, b = v[:count], np.exp(v[count : 2 * count]), np.exp(v[2 * count : 3 * count])
        alpha, beta = np.exp(v[-2:])
        mu = e[at] + a[at] * n**-alpha + b[at] * d**-beta
        return np.log(mu) - np.log(y)

    own = fitted.parameters
    start = np.array(
        [own[f"E[{t}]"] for t in tasks]
        + [np.log(own[f"A[{t}]"]) for t in tasks]
        + [np.log(own[f"B[{t}]"]) for t in tasks]
        + [np.log(own["alpha"]), np.log(own["beta"])]
    )
    low = np.concatenate([np.zeros(count), np.full(2 * count + 2, -60.0)])
    moved = np.maximum(start + 0.02 * np.random.default_rng(0).standard_normal(len(start)), low)
    exact = optimize.least_squares(
        residuals, moved, bounds=(low, np.full(len(low), 200.0)), xtol=1e-15, ftol=1e-15,
        gtol=1e-15, max_nfev=20_000, x_scale="jac",
    )  # fmt: skip
    assert fitted.objective <= exact.cost * (1 + 1e-9)
    assert own["alpha"] == pytest.approx(np.exp(exact.x[-2]), rel=1e-5)
    assert own["beta"] == pytest.approx(np.exp(exact.x[-1]), rel=1e-5)


class _SkalingAt(Skaling):
    """Skaling with k held: a point of its profile."""

    k_held = 1.0

    @property
    def parameters(self) -> dict[str, Parameter]:
        held = type(self).k_held
        found = dict(super().parameters)
        found["k"] = replace(found["k"], bounds=(held * (1 - 1e-9), held * (1 + 1e-9)),
                             start=(held * (1 - 1e-9), held * (1 + 1e-9)))  # fmt: skip
        return found


def profile(table: pl.DataFrame, k: float, likelihood: Any) -> float:
    """Objective of Skaling at k."""
    kind = type(f"SkalingAt{k}", (_SkalingAt,), {"k_held": k, "name": f"skaling-{k}"})
    problem, solution, best = optimum(problem_of(kind(), table, likelihood))
    del problem
    return float(solution.objective[best])


@needs_chinchilla
def test_skaling_nests_chinchilla_and_its_k_has_a_profile() -> None:
    table = chinchilla()
    free = fit("skaling", table, influence=False)
    plain = fit("chinchilla", table, influence=False, uncertainty="none")
    at_one = profile(table, 1.0, "huber")
    assert at_one == pytest.approx(plain.objective, rel=1e-6)  # k = 1 is Chinchilla
    assert free.objective <= at_one * (1 + 1e-9)
    around = [profile(table, k, "huber") for k in (0.5, 0.7, 1.4)]
    assert min(around) >= free.objective * (1 - 1e-9)


def test_the_batch_trajectory_is_recovered_and_drawn_by_nuts() -> None:
    """An implicit law: simulated runs of five batch sizes, then a posterior through its root."""
    rng = np.random.default_rng(0)
    truth = {"N_c": 1.6e12, "a_N": 0.094, "S_c": 484.0, "a_S": 0.953, "B_c": 2e10, "a_B": 0.105}
    grid = np.array(np.meshgrid([5e7, 2e8, 1e9], [2e3, 1e4, 5e4], [6e4, 2.5e5, 1e6, 4e6]))
    params, steps, batch = grid.reshape(3, -1)
    exact = law("batch-trajectory")(truth, params=params, steps=steps, batch_size=batch)
    # The root solves the equation it is the root of.
    wasted = truth["B_c"] / (batch * exact ** (1 / truth["a_B"]))
    right = (truth["N_c"] / params) ** truth["a_N"] + (truth["S_c"] / steps) ** truth["a_S"] * (
        1 + wasted
    ) ** truth["a_S"]
    assert exact == pytest.approx(right, rel=1e-10)
    loss = exact * np.exp(0.002 * rng.standard_normal(len(exact)))
    table = pl.DataFrame({"params": params, "steps": steps, "batch_size": batch, "loss": loss})
    fitted = fit("batch-trajectory", table, likelihood=Gaussian("log"), influence=False)
    assert fitted.usable
    assert fitted.parameters["a_N"] == pytest.approx(truth["a_N"], rel=0.05)
    assert fitted.parameters["a_S"] == pytest.approx(truth["a_S"], rel=0.1)
    drawn = fit("batch-trajectory", table, likelihood=Gaussian("log"), uncertainty="nuts",
                resamples=200, influence=False)  # fmt: skip
    low, high = drawn.intervals["a_N"]
    assert low < truth["a_N"] < high
