"""PassUntil's statistics: bias of estimators, coverage of intervals, three equivalent methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from augury.data.counts import (
    eff_at_k,
    pass_at_k,
    pass_at_k_fitted,
    rate,
    rate_interval,
    rate_mle,
)
from augury.data.mean_rate import mean_rate_interval
from augury.evaluate import Instance, Task, exact_scores
from augury.evaluate.pass_counts import Method
from augury.evaluate.passuntil import pass_until
from augury.evaluate.wave_draws import place_of
from augury.lab import LabBackend, ModelConfig, RunConfig, lab_instances, train
from tests.sequential import coverage

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


def stopped(rng: np.random.Generator, p: NDArray[np.float64], r: int, cap: float) -> Counts:
    """Passes and samples under "r passes or the cap", drawn by SciPy-free closed forms."""
    waits = np.cumsum(rng.geometric(p[:, None], (len(p), r)), axis=1)
    passes = (waits <= cap).sum(1)
    return passes, np.where(passes == r, waits[:, -1], cap).astype(np.int64)


@pytest.mark.parametrize("p", [0.3, 0.01, 1e-4])
@pytest.mark.parametrize("r", [1, 2, 5])
def test_the_bias_of_each_estimator_is_that_of_its_closed_form(r: int, p: float) -> None:
    rng = np.random.default_rng([r, int(1 / p)])
    n = 400_000
    passes, samples = stopped(rng, np.full(n, p), r, np.inf)
    mle = rate_mle(passes, samples)
    # E[r/K] by its series (SciPy's negative binomial), and for r = 1 by -p ln p / (1 - p).
    extra = np.arange(stats.nbinom.isf(1e-12, r, p) + 1)
    expected = float(np.sum(r / (r + extra) * stats.nbinom.pmf(extra, r, p)))
    if r == 1:
        assert expected == pytest.approx(-p * np.log(p) / (1 - p), rel=1e-6)
    assert abs(mle.mean() - expected) < 4 * mle.std() / n**0.5
    unbiased = rate(passes, samples, r)
    if r == 1:
        assert np.isnan(unbiased).all(), "nothing unbiased can be said: never a lucky 0 or 1"
    else:
        assert abs(unbiased.mean() - p) < 4 * unbiased.std() / n**0.5


@pytest.mark.parametrize("times", [0.3, 3.0])
@pytest.mark.parametrize("p", [0.3, 0.01, 1e-4])
@pytest.mark.parametrize("r", [2, 5])
def test_capped_rates_and_pass_at_k_are_unbiased(r: int, p: float, times: float) -> None:
    rng = np.random.default_rng([r, int(1 / p), int(10 * times)])
    n, cap = 400_000, max(int(times * r / p), 2)
    passes, samples = stopped(rng, np.full(n, p), r, cap)
    found = rate(passes, samples, r)
    assert abs(found.mean() - p) < 4 * found.std() / n**0.5
    for k in sorted({1, 2, max(cap // 3, 1)}):
        each = pass_at_k(passes, samples, k, r)
        assert abs(each.mean() - (1 - (1 - p) ** k)) < 4 * each.std() / n**0.5, k


def test_pass_at_k_of_a_fixed_number_of_samples_is_the_published_estimator() -> None:
    """Chen et al. 2021, eq. 1: 1 - C(n - c, k) / C(n, k)."""
    from math import comb

    for c, k in ((0, 5), (3, 1), (3, 10), (18, 5)):
        expected = 1 - comb(20 - c, k) / comb(20, k)
        assert pass_at_k(c, 20, k)[0] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(pass_at_k(3, 20, 21)[0])


def test_eff_at_k_is_the_mean_of_the_best_over_all_subsets() -> None:
    from itertools import combinations

    scores = np.random.default_rng(0).random(9)
    for k in (1, 3, 9):
        best = np.mean([max(s) for s in combinations(scores, k)])
        assert eff_at_k(scores, k) == pytest.approx(best, rel=1e-12)
    passed = np.array([1.0] * 3 + [0.0] * 7)
    assert eff_at_k(passed, 4) == pytest.approx(pass_at_k(3, 10, 4)[0], rel=1e-12)
    assert np.isnan(eff_at_k(scores, 10))


def test_pass_at_k_beyond_the_samples_comes_from_the_fitted_beta() -> None:
    """Truth by the closed form of a beta: 1 - B(a, b + k) / B(a, b)."""
    from scipy.special import betaln

    rng = np.random.default_rng(3)
    a, b, k = 0.4, 60.0, 5000
    truth = 1 - np.exp(betaln(a, b + k) - betaln(a, b))
    found = []
    for _ in range(20):
        passes, samples = stopped(rng, rng.beta(a, b, 300), 5, 500)
        found.append(pass_at_k_fitted(passes, samples, k))
    assert abs(np.mean(found) - truth) < 0.03
    assert np.isnan(pass_at_k_fitted([0, 0, 0], [5, 5, 5], 10))


@pytest.mark.parametrize("cap", [np.inf, 1000])
@pytest.mark.parametrize("p", [0.3, 0.01])
@pytest.mark.parametrize("r", [1, 2, 5])
def test_an_instances_interval_covers_under_stopping_and_capping(
    r: int, p: float, cap: float
) -> None:
    rng = np.random.default_rng([r, int(1 / p)])
    n = 20_000
    # Rates spread a little around p, so that no single lattice point decides.
    rates = p * np.exp(0.2 * rng.standard_normal(n))
    passes, samples = stopped(rng, rates, r, cap)
    low, high = rate_interval(passes, samples, r, 0.9)
    assert 0.85 <= np.mean((low <= rates) & (rates <= high)) <= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("r", [2, 5])
@pytest.mark.parametrize("instances", [8, 64])
@pytest.mark.parametrize(("shape", "scale"), [(0.3, 300.0), (1.0, 1000.0), (2.0, 4.0)])
@pytest.mark.parametrize("cap", [1000, 100_000])
def test_the_interval_of_a_mean_covers(
    r: int, instances: int, shape: float, scale: float, cap: int
) -> None:
    """Most rates far below 1/cap, or all of them high: 84-96 %, as sure as by 1,000 draws."""
    rng = np.random.default_rng([r, instances, int(scale), cap])

    def draws() -> Iterator[tuple[bool]]:
        for _ in range(1000):
            rates = np.maximum(rng.beta(shape, scale, instances), 1e-9)
            low, high = mean_rate_interval(*stopped(rng, rates, r, cap), r, 0.9)
            yield (low <= rates.mean() <= high,)

    held = coverage(draws(), of=1000, least=0.84, most=0.96)
    assert held.passed, held


# The sixteen capitals of docs/real-model.md, typed by hand.
CAPITALS = (
    0.811, 0.890, 0.759, 0.674, 0.813, 0.795, 0.756, 0.588, 0.656, 0.819,
    0.0030, 2.8e-5, 6.0e-11, 0.088, 0.198, 1.4e-5,
)  # fmt: skip
Rates = Callable[[np.random.Generator], NDArray[np.float64]]
# Sets of rates, and the cap: some mix instances that nearly always pass with some that never do.
RATES: dict[str, tuple[Rates, int]] = {
    "the capitals": (lambda rng: np.array(CAPITALS), 64),
    "sixteen of any rate": (lambda rng: rng.random(16), 64),
    "thirty of 0.9": (lambda rng: np.full(30, 0.9), 64),
    "sixteen of 0.6": (lambda rng: np.full(16, 0.6), 64),
    "sixteen of 0.01": (lambda rng: np.full(16, 0.01), 1000),
    "lognormal around 0.001": (
        lambda rng: np.minimum(10 ** (-3 + 1.5 * rng.standard_normal(24)), 0.99), 3000,
    ),
    "sixteen of 0.99": (lambda rng: np.full(16, 0.99), 1000),
    "sixteen of 0.98": (lambda rng: np.full(16, 0.98), 1000),
}  # fmt: skip
# Passes that end an instance. With rates near 1, two passes mostly see no failure; 20 see a few.
STOPS: dict[str, tuple[int, ...]] = {
    name: (20,) if name in ("sixteen of 0.99", "sixteen of 0.98") else (2, 5) for name in RATES
}


def mean_held(name: str, r: int, n: int, seed: int) -> float:
    """Share of n simulations whose interval contains the mean."""
    rng, held = np.random.default_rng([r, seed]), 0
    rates, cap = RATES[name]
    for _ in range(n):
        p = np.maximum(rates(rng), 1e-12)
        low, high = mean_rate_interval(*stopped(rng, p, r, cap), r, 0.9)
        held += low <= p.mean() <= high
    return held / n


def test_the_variance_of_the_unbiased_rate_is_its_closed_form() -> None:
    """Best 1974, compared with simulation."""
    from scipy.special import hyp2f1

    for r, p in ((2, 0.8), (2, 0.3), (5, 0.6)):
        found = rate(*stopped(np.random.default_rng(r), np.full(400_000, p), r, np.inf), r)
        assert found.var() == pytest.approx(p**2 * (hyp2f1(1, 1, r, 1 - p) - 1), rel=0.02)


@pytest.mark.slow
def test_the_place_of_a_pass_is_negative_hypergeometric() -> None:
    rng = np.random.default_rng(0)
    places = [place_of(2, 5, 30, rng) for _ in range(10_000)]
    found = np.bincount(places, minlength=31)[1:]
    # The second of five passes is at place k: one comes before it and three after.
    from math import comb

    each = np.array([comb(k - 1, 1) * comb(30 - k, 3) / comb(30, 5) for k in range(1, 31)])
    common = each * 10_000 >= 5
    observed = np.append(found[common], found[~common].sum())
    expected = np.append(each[common], each[~common].sum()) * 10_000
    assert stats.chisquare(observed, expected).pvalue > 1e-3


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> LabBackend:
    run = RunConfig(ModelConfig(8), steps=300, shares={"sort-digits": 1.0})
    return LabBackend(train(run, tmp_path_factory.mktemp("claims") / "run")[-1])


@pytest.mark.slow
@pytest.mark.parametrize("n", [3_000, pytest.param(10_000, marks=pytest.mark.claims)])
@pytest.mark.parametrize(("method", "r"), [("tree", 3), ("independent", 1)])
def test_tree_and_independent_have_the_law_of_the_exact_probability(
    backend: LabBackend, method: Method, r: int, n: int
) -> None:
    """Repetitions: instances with one prompt, each with its own stream."""
    asked = lab_instances("sort-digits", 200)
    exact = exact_scores(backend, asked).passing
    which = int(np.argmin(abs(np.log(exact / 0.05))))
    one, p = asked.instances[which], float(exact[which])
    task = Task("same", tuple(Instance(str(i), one.prompt, one.answers) for i in range(n)), 0)
    cap = 80
    found = pass_until(backend, task, r=r, max_samples=cap, method=method)
    assert found.method == method
    # (passes, samples) under "r passes or the cap": r at K samples, or fewer at the cap.
    places = np.arange(r, cap + 1)
    ended = stats.nbinom.pmf(places - r, r, p)
    capped = stats.binom.pmf(np.arange(r), cap, p)
    expected = n * np.concatenate([ended, capped])
    done = found.passes == r
    observed = np.concatenate(
        [
            np.bincount(found.samples[done], minlength=cap + 1)[r:],
            np.bincount(found.passes[~done], minlength=r),
        ]
    )
    assert (found.samples[~done] == cap).all()
    rare = expected < 5
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    if expected[-1] < 1:
        observed, expected = observed[:-1], expected[:-1]
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3
    computed = pass_until(backend, task, method="exact")
    assert computed.rates == pytest.approx(np.full(n, p))
