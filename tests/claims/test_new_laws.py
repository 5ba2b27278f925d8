"""New laws compared with each other and with their known truth."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from augury.fitting import Gaussian, fit
from augury.laws import law

pytestmark = pytest.mark.slow


def test_skaling_at_1_is_chinchilla() -> None:
    """Its profile on Chinchilla's points is in tests/fitting/test_profile.py."""
    plain = law("chinchilla")
    own, x = plain.example(50, 1)
    at_one = {**own, "k": 1.0, "R": own["B"] / own["A"]}
    assert law("skaling")(at_one, **x) == pytest.approx(plain(own, **x), rel=1e-12)


def test_the_batch_trajectory_is_recovered_and_drawn_by_nuts() -> None:
    """An implicit law: simulated runs of five batch sizes, then a posterior through its root."""
    rng = np.random.default_rng(0)
    truth = {"N_c": 1.6e12, "a_N": 0.094, "S_c": 484.0, "a_S": 0.953, "B_c": 2e10, "a_B": 0.105}
    grid = np.array(np.meshgrid([5e7, 2e8, 1e9], [2e3, 1e4, 5e4], [6e4, 2.5e5, 1e6, 4e6]))
    params, steps, batch = grid.reshape(3, -1)
    exact = law("batch-trajectory")(truth, params=params, steps=steps, batch_size=batch)
    # The root solves its equation.
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
