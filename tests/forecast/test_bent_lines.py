"""The leading average for pass rates: its posterior, its quantiles, and its coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from augury.forecast.passrate.bent_lines import (
    ANY_LEVEL,
    BENDS_AHEAD,
    DOWN,
    LEVEL_OFF,
    PRIORS,
    SETTLES,
    SHARED,
    BentLine,
    LadderPrior,
    _grid,
    average_of_lines,
    bend,
    levelling,
    mixture,
)
from augury.forecast.passrate.rate_series import Floats, RateSeries, from_f

LEVELS = np.array([0.05, 0.5, 0.95])
SIZES, AHEAD = np.linspace(0.0, 3.0, 6), np.array([4.0])
RUN = np.array([0, 0, 1, 1, 2, 2])


def test_the_posterior_is_that_of_a_normal_distribution_conditioned_by_scipy() -> None:
    """Weights and middles from the joint density of ladder and target at each node."""
    (prior, _) = PRIORS
    rate = np.array([1e-4, 3e-4, 5e-4, 2e-3, 4e-3, 2e-2])
    relative = np.array([0.3, 0.1, 0.1, 0.0, 0.0, 0.0])
    found = mixture(prior, SIZES[:, None], AHEAD[:, None], rate, RUN, relative)
    size = np.append(SIZES, AHEAD)
    bent = bend(size, 0.0, 3.0)
    v = prior.link.to(rate)
    # The derivative of F = log(-log p) in log p is 1 / log p.
    counted = np.diag(np.append(relative / np.log(rate) ** 2, 0.0))
    together = np.where(np.equal.outer(RUN, RUN), SHARED, 0.0) + (1 - SHARED) * np.eye(6)
    noise = np.eye(7)
    noise[:6, :6] = together
    noises, steps, log_prior = _grid(prior)
    settles = (1 - np.exp(-SETTLES * (size - 1.5))) / SETTLES
    shapes = ((1 - LEVEL_OFF, size - 1.5, prior.curvature),
              (LEVEL_OFF, settles - settles[:6].mean(), (0.0, 0.0)))  # fmt: skip
    density, middle, variance = [], [], []
    for share, line, curvature in shapes:
        mean = prior.slope[0] * line + curvature[0] * bent
        mean += v.mean() - mean[:6].mean()
        for sigma, tau, log_density in zip(noises, steps, log_prior, strict=True):
            cov = ANY_LEVEL**2 + prior.slope[1] ** 2 * np.outer(line, line)
            cov = cov + curvature[1] ** 2 * np.outer(bent, bent)
            cov = cov + tau**2 * np.minimum.outer(size, size) + sigma**2 * noise + counted
            cov = cov + 1e-9 * np.eye(7)
            likelihood = stats.multivariate_normal(mean[:6], cov[:6, :6]).logpdf(v)
            density.append(np.log(share) + log_density + likelihood)
            gain = np.linalg.solve(cov[:6, :6], cov[:6, 6])
            middle.append(mean[6] + gain @ (v - mean[:6]))
            variance.append(cov[6, 6] - gain @ cov[:6, 6])
    weights = np.exp(np.array(density) - np.max(density))
    assert found.weights == pytest.approx(weights / weights.sum(), rel=1e-6, abs=1e-12)
    assert found.middle[:, 0] == pytest.approx(np.array(middle), rel=1e-6)
    assert found.trend[:, 0] + found.noise == pytest.approx(np.array(variance), rel=1e-5)


def test_quantiles_are_those_of_draws() -> None:
    """Quantiles of two nodes, each narrower below its middle and wider above."""
    found = BentLine(
        np.array([0.3, 0.7]), np.array([[0.0], [1.0]]), np.array([[0.5], [0.1]]),
        np.array([0.2, 0.4]), np.array([0.6]),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    node = rng.choice(2, p=found.weights, size=400_000)
    z = rng.standard_normal(len(node))
    sd = np.sqrt(found.trend[node, 0] + found.noise[node])
    draws = found.middle[node, 0] + z * np.where(z < 0, DOWN * sd, np.hypot(sd, np.sqrt(0.6)))
    expected = np.quantile(draws, LEVELS)
    assert found.quantiles(LEVELS)[:, 0] == pytest.approx(expected, abs=0.01)


def test_lines_bend_no_further_than_was_seen() -> None:
    far = np.array([3.0 + BENDS_AHEAD, 13.0, 23.0])
    slope = np.diff(bend(far, 0.0, 3.0)) / np.diff(far)
    assert slope == pytest.approx(3.0 + BENDS_AHEAD)
    # In a long ladder, only the last six e-folds bend.
    assert bend(np.array([0.0, 14.0, 20.0]), 0.0, 20.0).tolist() == [0.0, 0.0, 18.0]


def test_a_line_that_levels_off_loses_the_same_share_of_its_slope_per_e_fold() -> None:
    """Its slope is 1 in the middle of the last six e-folds, and that of their beginning before."""
    size = np.array([0.0, 4.0, 14.0, 17.0, 20.0, 22.0])
    found = levelling(size, 0.0, 20.0)
    for low, high, start, end in zip(found, found[1:], size, size[1:], strict=False):
        whole, _ = integrate.quad(
            lambda s: np.exp(-SETTLES * (max(s, 14.0) - 17.0)), start, end, points=[14.0]
        )
        assert high - low == pytest.approx(whole)


def ladder(kind: str, noise: float, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """(14,) scales and rates of 12 models over two decades and two 3 and 10 times larger, and (2,)
    their rates without noise. Growth is measured on log(-log p), whatever the link."""
    at = np.append(np.linspace(0, np.log(100), 12), np.log(100) + np.log([3.0, 10.0]))
    slope, along = rng.uniform(0.1, 0.3), at / at[11]
    shape = {"straight": along, "saturates": 1.2 * (1 - np.exp(-2.2 * along)),
             "takes off": 0.5 * along + 0.5 * along**2}[kind]  # fmt: skip
    v = rng.uniform(-2.6, -1.6) + slope * at[11] * shape
    return at, from_f(-(v + noise * rng.standard_normal(14))), from_f(-v[12:])


def forecasts(kind: str, noise: float, count: int) -> tuple[Floats, Floats]:
    """(count, 2) log errors of medians against the noiseless rates, and whether intervals held."""
    rng = np.random.default_rng(1)
    off, held = [], []
    for _ in range(count):
        size, rate, true = ladder(kind, noise, rng)
        one = np.ones((12, 1))
        found = RateSeries(
            ("params",), np.exp(size[:12, None]), rate[:12, None], one, rate[:12],
            np.full(12, 1e4), 0.0, np.nan * one, np.inf, np.arange(12),
        )  # fmt: skip
        low, middle, high = average_of_lines(found, np.exp(size[12:, None]), LEVELS).run
        off.append(np.log(middle / true))
        held.append((low <= rate[12:]) & (rate[12:] <= high))
    return np.array(off), np.array(held)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "noise", "most", "least"),
    [
        ("straight", 0.01, (0.1, 0.2), (0.9, 0.9)),
        ("straight", 0.15, (0.5, 0.85), (0.85, 0.8)),
        ("saturates", 0.01, (0.5, 0.9), (0.85, 0.35)),
        ("saturates", 0.15, (0.9, 1.5), (0.65, 0.5)),
        ("takes off", 0.15, (0.3, 0.5), (0.9, 0.9)),
    ],
)
def test_what_ladders_of_different_shapes_cost(
    kind: str, noise: float, most: tuple[float, float], least: tuple[float, float]
) -> None:
    """Median log errors, and coverage, 3 and 10 times beyond twelve models of unknown shape.

    Before lines could level off, errors were .19 and .39, .59 and .97, .70 and 1.39, 1.10 and 1.81,
    .23 and .44. Still worst is a ladder that saturates earlier than the prior expects.
    """
    off, held = forecasts(kind, noise, 40)
    assert (np.abs(np.median(off, 0)) < most).all(), np.median(off, 0)
    assert (held.mean(0) >= least).all(), held.mean(0)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_noise_of_counting_is_its_own(prior: LadderPrior) -> None:
    """A smallest model that passed once moves the forecast less than one that passed often."""
    rates = np.array([[1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2], [1e-3, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2]])
    moved = {}
    for passes in (1.0, 1e6):
        relative = np.array([1 / passes, 0.0, 0.0, 0.0, 0.0, 0.0])
        ends = [
            mixture(prior, SIZES[:, None], AHEAD[:, None], rate, np.arange(6), relative)
            for rate in rates
        ]
        moved[passes] = abs(np.diff([e.weights @ e.middle[:, 0] for e in ends]))[0]
    assert moved[1.0] < 0.7 * moved[1e6]


def split_normal(rng: np.random.Generator, prior: tuple[float, float, float]) -> float:
    """Its log has half a normal distribution on either side of its mode."""
    mode, below, above = prior
    side = -below if rng.random() < below / (below + above) else above
    return mode * float(np.exp(side * abs(rng.standard_normal())))


@pytest.mark.slow
@pytest.mark.parametrize("prior", PRIORS)
def test_intervals_hold_for_ladders_like_the_prior(prior: LadderPrior) -> None:
    rng = np.random.default_rng(0)
    size = np.append(SIZES, AHEAD)
    held = 0
    for _ in range(60):
        sigma, tau = (split_normal(rng, x) for x in (prior.noise, prior.step))
        v: Floats = np.full(7, prior.link.to(np.array([1e-3]))[0])
        slope, curvature = (
            mean + sd * rng.standard_normal() for mean, sd in (prior.slope, prior.curvature)
        )
        if rng.random() < LEVEL_OFF:
            v = v + slope * levelling(size, 0.0, 3.0)
        else:
            v = v + slope * (size - 1.5) + curvature * bend(size, 0, 3)
        v = v + np.cumsum(tau * np.sqrt(np.diff(size, prepend=0.0)) * rng.standard_normal(7))
        v = v + sigma * rng.standard_normal(7)
        rate = np.clip(prior.link.back(v), 1e-300, 1 - 1e-9)
        found = mixture(
            prior, SIZES[:, None], AHEAD[:, None], rate[:6], np.arange(6), np.zeros(6)
        ).quantiles(LEVELS)
        held += found[0, 0] <= prior.link.to(rate[6:])[0] <= found[2, 0]
    assert 50 <= held <= 59
