"""Emergence: intervals hold, misses are rarer than with the plain fit, and doubts are reported."""

from __future__ import annotations

import numpy as np
import pytest

from augury.forecast.emergence import (
    EmergenceData,
    EmergenceFit,
    PlannedRun,
    Truth,
    emergence_data,
    emergence_point,
    fit_emergence,
    fit_emergence_many,
    rank_units,
    simulate_study,
)
from tests.emergence_studies import BENT, MISS, ablations, paper_like, plain_relu

pytestmark = pytest.mark.slow


def studies(count: int, seed: int, **changes: float | bool) -> list[tuple[Truth, EmergenceData]]:
    rng = np.random.default_rng(seed)
    return [paper_like(rng, **changes) for _ in range(count)]


def intervals(fits: list[EmergenceFit]) -> np.ndarray:
    """(S, 3) in nats: 5 %, 50 %, 95 %."""
    draws = np.stack([-f.point_draws() for f in fits])
    return np.quantile(draws, [0.05, 0.5, 0.95], axis=1).T


def held(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean((found[:, 0] <= truth) & (truth <= found[:, 2])))


@pytest.mark.claims
def test_intervals_hold() -> None:
    """200 studies with the paper's noise, checkpoints and amounts."""
    own = studies(200, 0)
    truth = np.array([t.elbow for t, _ in own])
    found = intervals(fit_emergence_many([d for _, d in own]))
    assert 0.85 <= held(found, truth) <= 0.95
    assert np.median(np.abs(found[:, 1] - truth)) < 0.045


@pytest.mark.claims
@pytest.mark.parametrize("name", [n for n in ablations() if n != "everything"])
def test_intervals_hold_in_every_ablation(name: str) -> None:
    """Thin studies get wide intervals, not wrong ones (40 studies each, so 6 % either way)."""
    own = studies(40, 1)
    truth = np.array([t.elbow for t, _ in own])
    left = [ablations()[name](d) for _, d in own]
    found = intervals(fit_emergence_many(left))
    assert held(found, truth) >= 0.8, name


@pytest.mark.claims
def test_half_the_misses_of_the_plain_fit() -> None:
    """All ablations of the same studies, compared with least squares of the one-slope ReLU."""
    own = studies(12, 2)
    ours, plain = [], []
    for ablation in ablations().values():
        left = [ablation(d) for _, d in own]
        truth = np.array([t.elbow for t, _ in own])
        ours.append(np.abs(intervals(fit_emergence_many(left))[:, 1] - truth) > MISS)
        plain.append(np.abs(np.array([plain_relu(d) for d in left]) - truth) > MISS)
    # The plain fit misses about as often as the paper's own 26 of 76.
    assert 0.2 <= np.mean(plain) <= 0.6
    assert np.mean(ours) <= 0.5 * np.mean(plain), (np.mean(ours), np.mean(plain))


@pytest.mark.claims
@pytest.mark.parametrize("name", [n for n in BENT if n != "format skill"])
def test_wrong_in_form(name: str) -> None:
    """Truths that are not a ReLU: our laws err no more than the plain fit, and mostly hold."""
    own = studies(40, 3, **BENT[name])
    truth = np.array([t.emerges for t, _ in own])
    data = [d for _, d in own]
    plain = np.abs(np.array([plain_relu(d) for d in data]) - truth)
    relu, full = (intervals(fit_emergence_many(data, law=law)) for law in ("relu", "full"))
    ours = np.abs(full[:, 1] - truth)
    assert np.median(ours) <= max(1.1 * np.median(plain), 0.06), (np.median(ours), np.median(plain))
    assert max(held(full, truth), held(relu, truth)) >= 0.75


@pytest.mark.parametrize("seeds", [1, pytest.param(3, marks=pytest.mark.claims)])
def test_notes_say_when_the_relu_does_not_fit(seeds: int) -> None:
    """Well-measured curves that flatten early: the average drops the ReLU and says so."""
    noted = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        truth = Truth(
            elbow=1.9, shift=0.3, slope=1.6, plateau=0.18, run=1e-4, subset=0.003, checkpoint=0.001
        )
        table = simulate_study(
            truth, rng, losses=np.linspace(2.4, 1.93, 12), amounts=(30, 120, 480, 1900, 7500)
        )
        found = fit_emergence(emergence_data(table))
        noted.append(any(n.code == "relu-misfit" for n in found.notes))
        names = [str(f.law) for f in found.fits]
        bent = sum(found.weights[names.index(n)] for n in ("saturating", "full"))
        assert bent > 0.6, found.law
        assert set(emergence_point(found).methods) == set(names)
    assert sum(noted) >= 2 * seeds / 3


def test_importance_sampling_agrees_with_nuts() -> None:
    """Two samplers without shared code find one posterior, and NUTS says that its chains agree."""
    own = studies(2, 4)
    for _, data in own:
        quick = intervals([fit_emergence(data, laws="relu")])[0]
        fitted = fit_emergence(data, laws="relu", uncertainty="nuts")
        slow = intervals([fitted])[0]
        width = slow[2] - slow[0]
        assert np.abs(quick - slow).max() < 0.2 * width + 0.005, (quick, slow)
        assert fitted.fits[0].diagnostics["rhat"] < 1.05
        assert fitted.fits[0].diagnostics["ess"] > 100


@pytest.mark.claims
def test_ranking_beats_chance() -> None:
    """Width of the interval after spending the same FLOPs by the ranking and at random."""
    count, seeds = 16, np.random.default_rng(5)
    started, pools, chosen = [], [], []
    for _ in range(count):
        truth, whole = paper_like(seeds)
        # Run so far: every other checkpoint, the two largest amounts, and few-shot scores.
        first = np.unique(whole.checkpoint[np.argsort(whole.progress)])[::2]
        run = np.isin(whole.checkpoint, first) & (
            (whole.amount >= whole.amounts[-2]) | (whole.amount == 0)
        )
        started.append((whole, run))
        pools.append(np.flatnonzero(~run & (whole.amount > 0)))
        chosen.append(truth)
    fits = fit_emergence_many([w.subset_rows(r) for w, r in started])
    price = [6e15 + 1e13 * w.amount for w, _ in started]
    widths: dict[str, np.ndarray] = {}
    for how in ("ranked", "random"):
        after = []
        for k, (whole, run) in enumerate(started):
            pool = pools[k]
            budget = 0.15 * price[k][pool].sum()
            if how == "ranked":
                units = [
                    PlannedRun(whole.place[i], int(whole.amount[i]), price[k][i], name=str(i))
                    for i in pool
                ]
                order = [int(n) for n in rank_units(fits[k], units)["name"]]
            else:
                order = [int(i) for i in np.random.default_rng(k).permutation(pool)]
            keep, spent = run.copy(), 0.0
            for i in order:
                if spent + price[k][i] <= budget:
                    keep[i] = True
                    spent += price[k][i]
            after.append(whole.subset_rows(keep))
        found = intervals(fit_emergence_many(after))
        widths[how] = found[:, 2] - found[:, 0]
    assert np.mean(widths["ranked"]) < 0.9 * np.mean(widths["random"]), {
        how: float(w.mean()) for how, w in widths.items()
    }
    assert np.mean(widths["ranked"] < widths["random"]) >= 0.55


@pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.claims)])
def test_many_studies_in_one_call(count: int) -> None:
    """MAP and Laplace in one batch (benchmarks/emergence.py has the times)."""
    own = [d for _, d in studies(count, 6)]
    fits = fit_emergence_many(own, uncertainty="laplace")
    assert len(fits) == count
    alone = fit_emergence(own[7], laws="relu", uncertainty="laplace").fits[0]
    assert fits[7].fits[0].density == pytest.approx(alone.density, abs=1e-3)
    # In nine of ten studies, all polished starts end in one place, or three of four do.
    assert np.quantile([f.fits[0].agree for f in fits], 0.1) >= 0.25
