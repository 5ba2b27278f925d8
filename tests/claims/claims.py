"""Statistical claims as shares of simulations, at any size: what `make claims` puts on record.

A claim is a function from a seed and a number of simulations to how many of these did what is
claimed. It rests on rooms of the package; where their code has changed, its record is out of date.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import numpy as np
import polars as pl

from augury.fitting import fit
from augury.forecast.emergence import fit_emergence_many
from augury.forecast.passrate import growth, growth_forms, series
from augury.forecast.trends import trends
from augury.laws import PassRate
from tests.claims import test_counts, test_coverage, test_emergence, test_passrate, test_trends
from tests.emergence_studies import paper_like

CLAIMS: dict[str, Claim] = {}


@dataclass(frozen=True)
class Claim:
    """What is claimed, within which limits, of how many simulations, and the code it rests on."""

    says: str
    limits: tuple[float, float]
    seed: int
    n: int
    rooms: tuple[str, ...]
    count: Callable[[int, int], float]


def claim(
    name: str, says: str, limits: tuple[float, float], n: int, rooms: str, seed: int = 0
) -> Callable[[Callable[[int, int], float]], Callable[[int, int], float]]:
    """Enrol a function of (seed, n) that gives the share."""

    def enrol(count: Callable[[int, int], float]) -> Callable[[int, int], float]:
        CLAIMS[name] = Claim(says, limits, seed, n, tuple(rooms.split()), count)
        return count

    return enrol


FITS = "data laws fitting"
HOLDS = (0.85, 0.95)


@claim(
    "forecast-laplace", "Chinchilla, 20 runs: 90 % intervals of the law at ten times the compute",
    HOLDS, 300, f"{FITS} forecast.prediction",
)  # fmt: skip
def _forecast(seed: int, n: int) -> float:
    return float(test_coverage.coverage(20, 1, 0.01, "gaussian", "laplace", n, seed)[-2])


@claim(
    "run-laplace", "Chinchilla, 20 runs: 90 % intervals of a new run at ten times the compute",
    HOLDS, 300, f"{FITS} forecast.prediction",
)  # fmt: skip
def _run(seed: int, n: int) -> float:
    return float(test_coverage.coverage(20, 1, 0.01, "gaussian", "laplace", n, seed)[-1])


@claim("pass-rate-counts", "Pass rates from counts: 90 % intervals of alpha", HOLDS, 300, FITS)
def _counts(seed: int, n: int) -> float:
    rng, held = np.random.default_rng([seed, 11]), 0
    for s in range(n):
        table = test_counts.counts(rng, 300)
        low, high = fit(PassRate(), table, resamples=400, influence=False, seed=s).intervals[
            "alpha"
        ]
        held += low <= test_counts.TRUE["alpha"] <= high
    return held / n


@claim(
    "curvature-size", "Straight growth of pass rates called curved at the 10 % level",
    (0.05, 0.15), 300, "data forecast.passrate",
)  # fmt: skip
def _size(seed: int, n: int) -> float:
    return _called_curved(seed, n, 0.0)


@claim(
    "curvature-power", "Curved growth (q = .04) of pass rates called curved",
    (0.8, 1.0), 300, "data forecast.passrate",
)  # fmt: skip
def _power(seed: int, n: int) -> float:
    return _called_curved(seed, n, 0.04)


def _called_curved(seed: int, n: int, q: float) -> float:
    rng, called = np.random.default_rng([seed, 12]), 0
    with mock.patch.object(growth_forms, "_forms", return_value={}):
        for _ in range(n):
            counts = test_passrate.table(rng, 8, curvature=q, noise=0.3)
            own = counts.filter(pl.col("params") <= 100)
            called += growth(series(own, ("params",))).p < 0.1
    return called / n


@claim(
    "emergence-elbow", "Studies like the paper's: 90 % intervals of the elbow",
    HOLDS, 200, "forecast.emergence",
)  # fmt: skip
def _elbow(seed: int, n: int) -> float:
    rng = np.random.default_rng([seed, 13])
    own = [paper_like(rng) for _ in range(n)]
    found = test_emergence.intervals(fit_emergence_many([d for _, d in own]))
    return test_emergence.held(found, np.array([t.elbow for t, _ in own]))


@claim(
    "trends-size", "Tasks without a trend: p below .1", (0.06, 0.14), 400, "data forecast.trends"
)
def _trends(seed: int, n: int) -> float:
    rng = np.random.default_rng([seed, 14])
    table = test_trends.noisy(rng, test_trends.flat(n), 0.08)
    return float(np.mean([t.p < 0.1 for t in trends(table).trends if t.axis == "tokens"]))
