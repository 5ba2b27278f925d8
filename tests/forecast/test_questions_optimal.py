"""The compute-optimal model, compared with its closed form, SciPy, and Hoffmann et al."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar

from augury.errors import DataError, UsageError
from augury.fitting import Fit, Status, fit, load, save
from augury.forecast.questions import ComputeOptimum, find_optimum, isoflop_optimum
from augury.laws import Chinchilla
from augury.notes import Outcome
from tests.shared import chinchilla, needs_chinchilla

TRUTH = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37}


def runs(n: int, noise: float, seed: int) -> dict[str, np.ndarray]:
    """Runs of the law, at 2 to 200 tokens per parameter."""
    rng = np.random.default_rng(seed)
    params = np.exp(rng.uniform(np.log(5e7), np.log(1e10), n))
    tokens = params * np.exp(rng.uniform(np.log(2), np.log(200), n))
    loss = Chinchilla()(TRUTH, params=params, tokens=tokens)
    return {"params": params, "tokens": tokens, "loss": loss * np.exp(noise * rng.normal(size=n))}


def closed_form(p: dict[str, float], flops: float) -> float:
    """Hoffmann et al. 2022, equation 4."""
    a, b = p["alpha"], p["beta"]
    return float((a * p["A"] / (b * p["B"])) ** (1 / (a + b)) * (flops / 6) ** (b / (a + b)))


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return fit("chinchilla", runs(60, 0.003, 0))


def test_the_optimum_is_the_closed_form(fitted: Fit) -> None:
    found = find_optimum(fitted, flops=1e22)
    own = dict(fitted.parameters)
    assert found.params.value == pytest.approx(closed_form(own, 1e22), rel=1e-4)
    assert 6 * found.params.value * found.tokens.value == pytest.approx(1e22)
    names = list(fitted.parameters)
    draws = [
        closed_form(dict(zip(names, row, strict=True)), 1e22)
        for row in fitted.draws
    ]  # fmt: skip
    assert found.params.interval == pytest.approx(np.quantile(draws, [0.05, 0.95]), rel=1e-3)
    assert isinstance(found, Outcome)
    assert found.usable
    assert found.loss.interval[0] < found.loss.value < found.loss.interval[1]
    assert found.run_loss[0] < found.loss.interval[0]


def test_within_a_percent_is_a_percent(fitted: Fit) -> None:
    found = find_optimum(fitted, flops=1e22)
    for size in found.flat:
        loss = fitted.law(fitted.parameters, params=size, tokens=1e22 / 6 / size)
        assert loss == pytest.approx(1.01 * found.loss.value, rel=1e-4)
    assert found.flat[0] < found.params.value < found.flat[1]


@pytest.mark.parametrize("name", ["params", "tokens", "loss"])
def test_the_other_questions_lead_back_to_the_budget(fitted: Fit, name: str) -> None:
    there = find_optimum(fitted, flops=1e22)
    back = find_optimum(fitted, **{name: getattr(there, name).value})
    assert back.flops.value == pytest.approx(1e22, rel=2e-2)
    assert back.flops.interval[0] < 1e22 < back.flops.interval[1]
    assert back.params.value == pytest.approx(there.params.value, rel=1e-2)


def test_serving_is_paid_for(fitted: Fit) -> None:
    budget, served = 1e22, 1e12
    found = find_optimum(fitted, flops=budget, served=served)
    law, p = fitted.law, fitted.parameters

    def loss(log_size: float) -> float:
        size = np.exp(log_size)
        return float(law(p, params=size, tokens=(budget - 2 * size * served) / (6 * size)))

    best = minimize_scalar(loss, bounds=(np.log(1e8), np.log(4.9e9)), method="bounded",
                           options={"xatol": 1e-9})  # fmt: skip
    assert found.params.value == pytest.approx(np.exp(best.x), rel=1e-3)
    spent = 6 * found.params.value * found.tokens.value + 2 * found.params.value * served
    assert spent == pytest.approx(budget)
    assert found.params.value < find_optimum(fitted, flops=budget).params.value


@pytest.mark.slow
@needs_chinchilla
def test_chinchillas_own_optimum() -> None:
    """70B parameters and 1.4T tokens at 5.76e23 FLOPs, by both approaches."""
    table = chinchilla()
    for found in (
        find_optimum(fit("chinchilla", table, influence=False), flops=5.76e23),
        isoflop_optimum(table, flops=5.76e23),
    ):
        assert found.params.interval[0] < 70e9 < found.params.interval[1]
        assert found.params.value == pytest.approx(70e9, rel=0.06)
        assert found.tokens.interval[0] < 1.4e12 < found.tokens.interval[1]
        assert found.tokens.value == pytest.approx(1.4e12, rel=0.07)


def isoflops(noise: float, seed: int) -> pl.DataFrame:
    """Five budgets, each with nine sizes around the best one."""
    rng = np.random.default_rng(seed)
    rows = []
    for flops in np.geomspace(1e19, 1e21, 5):
        best = closed_form(TRUTH, flops)
        for size in best * np.geomspace(1 / 4, 4, 9):
            loss = float(Chinchilla()(TRUTH, params=size, tokens=flops / 6 / size))
            rows.append((size, flops, loss * np.exp(noise * rng.normal())))
    return pl.DataFrame(rows, schema=["params", "flops", "loss"], orient="row")


def test_parabolas_find_the_optimum_and_say_how_biased_they_are() -> None:
    found = isoflop_optimum(isoflops(0.0, 0), flops=1e22)
    (note,) = (n for n in found.notes if n.code == "parabola-bias")
    truth = closed_form(TRUTH, 1e22)
    assert found.params.value == pytest.approx(truth * note.details["factor"], rel=1e-3)
    assert found.params.value == pytest.approx(truth, rel=0.05)
    tokens = isoflop_optimum(isoflops(0.0, 0), tokens=found.tokens.value)
    assert tokens.flops.value == pytest.approx(1e22, rel=1e-6)


def share_held(n: int, seed: int) -> tuple[float, float]:
    """How often 90 % intervals of the best size hold ten times beyond the data: law, parabolas.

    Args:
        n: simulations of 40 runs with noise of .5 %, and of five budgets of nine sizes with .2 %.
        seed: seed of the first simulation.
    """
    held = np.zeros(2)
    truth = closed_form(TRUTH, 1e22)
    for k in range(seed, seed + n):
        data = runs(40, 0.005, k)
        law = find_optimum(fit("chinchilla", data, resamples=300, influence=False), flops=1e22)
        iso = isoflop_optimum(isoflops(0.002, k), flops=1e22)
        held += [x.params.interval[0] <= truth <= x.params.interval[1] for x in (law, iso)]
    return float(held[0] / n), float(held[1] / n)


@pytest.mark.slow
def test_intervals_hold() -> None:
    """Of ten at 90 %, six or fewer hold with probability one in 80."""
    assert min(share_held(10, 0)) >= 0.6


@pytest.mark.claims
def test_intervals_hold_as_often_as_they_say() -> None:
    law, parabolas = share_held(200, 1000)
    # Measured .850 and .965: the law's intervals are a little narrow, those of the budgets wide.
    assert 0.80 <= law <= 0.95
    assert 0.85 <= parabolas <= 0.99


def test_what_is_asked_wrongly_is_said(fitted: Fit) -> None:
    with pytest.raises(UsageError, match="give one of flops"):
        find_optimum(fitted)
    with pytest.raises(UsageError, match="positive number"):
        find_optimum(fitted, flops=-1.0)
    with pytest.raises(UsageError, match="no budget reaches a loss"):
        find_optimum(fitted, loss=1.2)
    table = {"params": [1e8, 2e8, 4e8, 8e8, 2e9], "loss": [3.0, 2.8, 2.65, 2.55, 2.48]}
    one = fit("power", table)
    with pytest.raises(UsageError, match="needs a law of params and tokens"):
        find_optimum(one, flops=1e22)
    with pytest.raises(UsageError, match="not identifiable"):
        find_optimum(replace(fitted, status=Status.NOT_IDENTIFIABLE), flops=1e22)
    with pytest.raises(DataError, match="0 budgets have 5 or more sizes"):
        isoflop_optimum(isoflops(0.0, 0).head(4), flops=1e22)


@pytest.mark.slow
def test_an_answer_is_saved_drawn_and_short(fitted: Fit, tmp_path: object) -> None:
    found = find_optimum(fitted, flops=1e22)
    back = load(save(found, f"{tmp_path}/answer"))
    assert isinstance(back, ComputeOptimum)
    assert back.to_dict() == found.to_dict()
    assert len(repr(found)) < 100
    assert "10.5 billion" in found.chart().to_dict()["title"]["text"][0]
    far = find_optimum(fitted, flops=1e30)
    assert str(far.status) == "answered, far beyond the data"
    assert [n.code for n in far.notes] == ["far"]
    assert far.remedy
