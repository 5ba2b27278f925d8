"""Counts do not have equal errors: on small counts the binomial likelihood wins."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

from augury.fitting import fit
from augury.laws import PassRate
from tests.sequential import coverage

TRUE = {"c": 2000.0, "alpha": 0.3}


def counts(rng: np.random.Generator, samples: int) -> pl.DataFrame:
    n = np.geomspace(2e8, 2e10, 14)
    rate = PassRate()(TRUE, params=n)
    passes = rng.binomial(samples, rate).astype(float)
    return pl.DataFrame({"params": n, "passes": passes, "samples": [float(samples)] * len(n)})


@pytest.mark.slow
@pytest.mark.parametrize("samples", [60, pytest.param(200, marks=pytest.mark.claims)])
def test_binomial_beats_least_squares_on_small_counts(samples: int) -> None:
    """The pass rate of a small model (.5 %): the factor by which each likelihood misses it."""
    rng = np.random.default_rng(0)
    off: dict[str, list[float]] = {"binomial": [], "gaussian": []}
    target = np.array([4e8])
    truth = PassRate()(TRUE, params=target).item()
    for _ in range(100):
        table = counts(rng, samples)
        for likelihood, errors in off.items():
            p = fit(
                "pass-rate", table, likelihood=likelihood, uncertainty="none", influence=False
            ).parameters
            found = max(PassRate()(p, params=target).item(), 1e-12)  # least squares can give 0
            errors.append(abs(np.log(found / truth)))
    for share in (0.5, 0.9):
        worst = {name: float(np.quantile(e, share)) for name, e in off.items()}
        assert worst["binomial"] < 0.8 * worst["gaussian"], (share, worst)


def held(table: pl.DataFrame, seed: int) -> bool:
    """Whether the interval of alpha holds."""
    fitted = fit("pass-rate", table, resamples=400, influence=False, seed=seed)
    low, high = fitted.intervals["alpha"]
    return low <= TRUE["alpha"] <= high


def overdispersed(rng: np.random.Generator, table: pl.DataFrame) -> pl.DataFrame:
    """The same models, with correlated trials within each."""
    rate = PassRate()(TRUE, params=table["params"].to_numpy())
    total = 1 / 0.03 - 1
    spread = rng.binomial(300, rng.beta(rate * total, (1 - rate) * total)).astype(float)
    return table.with_columns(passes=spread)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spread", "least", "most"), [(False, 0.85, 0.95), (True, 0.83, 0.96)], ids=["plain", "wide"]
)
def test_binomial_intervals_hold_and_overdispersion_widens_them(
    spread: bool, least: float, most: float
) -> None:
    """None is refused: with plain rates, 30 of 200 overdispersed tables were."""
    rng = np.random.default_rng(1)

    def draws() -> Iterator[tuple[bool]]:
        for s in range(200):
            table = counts(rng, 300)
            yield (held(overdispersed(rng, table) if spread else table, s),)

    found = coverage(draws(), of=200, least=least, most=most)
    assert found.passed, found


@pytest.mark.slow
def test_beta_binomial_finds_the_correlation_of_trials() -> None:
    rng = np.random.default_rng(2)
    n = np.repeat(np.geomspace(2e8, 2e10, 20), 20)
    rate = PassRate()(TRUE, params=n)
    total = 1 / 0.05 - 1
    passes = rng.binomial(200, rng.beta(rate * total, (1 - rate) * total)).astype(float)
    table = pl.DataFrame({"params": n, "passes": passes, "samples": [200.0] * len(n)})
    fitted = fit("pass-rate", table, likelihood="beta-binomial", influence=False)
    assert fitted.parameters["rho"] == pytest.approx(0.05, rel=0.15)
    assert fitted.parameters["alpha"] == pytest.approx(0.3, rel=0.1)
