"""Draws that move a law's curve as its tangent says: against least squares in closed form."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import t

from augury.fitting import fit
from augury.fitting.carried_draws import carry
from augury.fitting.covariance import covariance, pieces_at
from augury.fitting.problem import Problem, problem_of
from augury.fitting.result import Fit
from augury.laws import Law, parse_law

Floats = np.ndarray
POWER = parse_law("power:over=flops")
TRUE = {"E": 1.5, "A": 300.0, "alpha": 0.13}


def ladder(seed: int, runs: int = 12, noise: float = 0.003) -> pl.DataFrame:
    """Runs of a power law with a floor, over three decades of FLOPs."""
    flops = np.geomspace(1e18, 1e21, runs)
    loss = np.asarray(POWER(TRUE, flops=flops))
    strayed = loss * np.exp(noise * np.random.default_rng(seed).standard_normal(runs))
    return pl.DataFrame({"flops": flops, "loss": strayed})


def optimum(
    law: Law | str, table: pl.DataFrame, likelihood: str = "gaussian"
) -> tuple[Fit, Problem, Floats]:
    fitted = fit(law, table, likelihood=likelihood, influence=False)
    problem = problem_of(fitted.law, table, likelihood)
    return fitted, problem, problem.space.internal(np.array(list(fitted.parameters.values())))


def steps_of(problem: Problem, u: Floats, count: int = 300) -> Floats:
    return np.random.default_rng(0).multivariate_normal(
        np.zeros(len(u)), covariance(problem, u), size=count
    )


def curves(problem: Problem, draws: Floats) -> Floats:
    natural = problem.space.natural(draws)
    own = {n: natural[:, j : j + 1] for j, n in enumerate(problem.law.parameters)}
    inputs = {n: x[0][None] for n, x in zip(problem.law.inputs, problem.points.inputs, strict=True)}
    return np.asarray(problem.law(own, **inputs))


def test_a_straight_law_takes_its_steps() -> None:
    """`compute` is a line in logarithms: there is nothing to follow."""
    flops = np.geomspace(1e18, 1e22, 25)
    loss = (1.5e25 / flops) ** 0.05 * np.exp(0.01 * np.random.default_rng(3).standard_normal(25))
    _, problem, u = optimum("compute", pl.DataFrame({"flops": flops, "loss": loss}))
    steps = 1e-3 * steps_of(problem, u)
    assert carry(problem, u, steps) == pytest.approx(u + steps, rel=1e-6)


@pytest.mark.parametrize("likelihood", ["gaussian", "huber"])
def test_the_curve_moves_as_the_tangent_says(likelihood: str) -> None:
    """Within a hundredth of the move, where plain steps end several moves away."""
    _, problem, u = optimum(POWER, ladder(0), likelihood)
    steps = steps_of(problem, u)
    move = steps @ pieces_at(problem, u, problem.ones)[1].T
    here = np.log(curves(problem, u[None]))

    def missed(draws: Floats) -> Floats:
        off = np.log(curves(problem, draws)) - here - move
        return np.linalg.norm(off, axis=1) / np.linalg.norm(move, axis=1)

    assert np.quantile(missed(carry(problem, u, steps)), 0.98) < 0.03
    assert np.quantile(missed(u + steps), 0.98) > 2.0


def test_between_its_runs_an_interval_is_that_of_the_delta_method() -> None:
    """Twelve runs, noise .3 %: the draws gave 2.383 [2.276, 2.385] where the truth is 2.381."""
    table = ladder(2)
    fitted, problem, u = optimum(POWER, table)
    gradient = pieces_at(problem, u, problem.ones)[1]
    error = np.sqrt(np.einsum("np,pq,nq->n", gradient, covariance(problem, u), gradient))
    half = t.ppf(0.95, problem.size - 3) * error
    own = {n: fitted.draws[:, j : j + 1] for j, n in enumerate(fitted.law.parameters)}
    drawn = np.log(np.asarray(POWER(own, flops=table["flops"].to_numpy()[None])))
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    middle = np.log(curves(problem, u[None])[0])
    assert (high - low) / (2 * half) == pytest.approx(np.ones(12), abs=0.12)
    assert (high - middle) / half == pytest.approx(np.ones(12), abs=0.25)


def test_rates_stay_rates_and_move_in_logits() -> None:
    law = parse_law("pass-rate:over=flops")
    flops = np.geomspace(1e18, 1e21, 8)
    rate = np.asarray(law({"c": 6e5, "alpha": 0.3}, flops=flops))
    passes = np.random.default_rng(1).binomial(60, rate).astype(float)
    table = pl.DataFrame({"flops": flops, "passes": passes, "samples": [60.0] * 8})
    _, problem, u = optimum(law, table, "binomial")
    steps = 2.0 * steps_of(problem, u)
    found = curves(problem, carry(problem, u, steps))
    (here,) = curves(problem, u[None])
    move = (steps @ pieces_at(problem, u, problem.ones)[1].T) / (here * (1 - here))
    moved = np.log(found / (1 - found)) - np.log(here / (1 - here))
    assert ((found > 0) & (found < 1)).all()
    # Two parameters cannot move eight rates at will: the middle of the ladder tells.
    assert np.corrcoef(moved[:, 4], move[:, 4])[0, 1] > 0.98


def test_draws_stay_within_bounds_and_each_is_its_own() -> None:
    """Steps far beyond what the law can do end at its bounds; a group of draws changes none."""
    _, problem, u = optimum(POWER, ladder(1, noise=0.02))
    steps = 30.0 * steps_of(problem, u, 40)
    draws = carry(problem, u, steps)
    assert np.isfinite(draws).all()
    # A first step that a bound bends the wrong way is no arrival.
    assert (np.abs(draws - u).max(1) > 0.01).all()
    assert (draws >= problem.space.lower).all()
    assert (draws <= problem.space.upper).all()
    assert carry(problem, u, steps[3:15]) == pytest.approx(draws[3:15], abs=1e-9)


def test_weights_leave_points_out() -> None:
    """A run of weight 0 has no say in where the curve goes."""
    _, problem, u = optimum(POWER, ladder(0))
    weights = problem.ones.copy()
    weights[0, -1] = 0.0
    steps = steps_of(problem, u, 20)
    left = carry(problem, u, steps, weights)
    table = ladder(0)[:-1]
    assert left == pytest.approx(carry(problem_of(POWER, table, "gaussian"), u, steps), abs=1e-9)
