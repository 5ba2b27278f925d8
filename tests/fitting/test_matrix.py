"""Law x likelihood x data: the truth is recovered within bounds, and results survive saving."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from augury.fitting import Gaussian, Likelihood, fit, load_fit, save_fit
from augury.fitting.law_check import example_table
from augury.laws import Law, check_law
from tests.laws.cases import LAWS, inputs, truth

N = 120
pytestmark = pytest.mark.slow


def likelihoods(law: Law) -> list[Likelihood | str]:
    if law.output == "value":
        return ["gaussian", "binomial", "beta-binomial"]
    return ["huber", Gaussian("log"), Gaussian("linear")]


def simulated(law: Law, likelihood: Likelihood | str, noise: float, seed: int) -> pl.DataFrame:
    """Points of the law with the noise that the likelihood assumes."""
    rng = np.random.default_rng(seed)
    x = inputs(law, N, seed)
    mu = law(truth(law), **x)
    columns = example_table(law, x, mu, 0.0).drop(law.output).to_dict(as_series=False)
    if likelihood in ("binomial", "beta-binomial"):
        samples = np.full(N, 4000.0)
        rate = mu
        if likelihood == "beta-binomial" and noise:
            total = 1 / 0.02 - 1
            rate = rng.beta(mu * total + 1e-9, (1 - mu) * total + 1e-9)
        passes = rng.binomial(4000, np.clip(rate, 0, 1)) if noise else np.round(mu * 4000)
        return pl.DataFrame({**columns, "samples": samples, "passes": passes.astype(float)})
    if law.output == "value":
        y = mu + noise * rng.standard_normal(N)
    else:
        y = mu * np.exp(noise * rng.standard_normal(N))
    return pl.DataFrame({**columns, law.output: y})


# Here each likelihood with one law; every law passes `check_law` (with recovery) with its own.
# The whole grid, and recovery without noise by another fit, are in `make claims`.
PAIRS = {"chinchilla", "logistic-task"}
CASES = [
    pytest.param(law, lik, marks=() if law.name in PAIRS else pytest.mark.claims)
    for law in LAWS
    for lik in likelihoods(law)
]
named = [
    f"{law}-{getattr(lik, 'name', lik)}-{getattr(lik, 'scale', '')}"
    for law in LAWS
    for lik in likelihoods(law)
]


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_every_law_keeps_the_contract(law: Law) -> None:
    assert len(check_law(law)) == 8


@pytest.mark.parametrize(("law", "likelihood"), CASES, ids=named)
def test_recovery_bounds_and_storage(
    law: Law, likelihood: Likelihood | str, tmp_path: Path
) -> None:
    table = simulated(law, likelihood, 0.004, seed=1)
    fitted = fit(law, table, likelihood=likelihood, resamples=200)
    assert fitted.usable, fitted.status
    x = inputs(law, N, 1)
    expected = law(truth(law), **x)
    own = {name: fitted.parameters[name] for name in law.parameters}
    # The curve over the data, to well below the noise of single points: sqrt(P / N) of it is .2.
    off = law(own, **x) - expected
    if likelihood in ("binomial", "beta-binomial"):
        spread = np.sqrt(expected * (1 - expected) / 4000 + 1e-7)
        if likelihood == "beta-binomial":
            spread = np.sqrt(expected * (1 - expected) * 0.02 + 1e-7)
        assert np.sqrt(np.mean((off / spread) ** 2)) < 0.6
    elif law.output == "value":
        assert np.sqrt(np.mean(off**2)) < 0.6 * 0.004
    else:
        assert np.sqrt(np.mean((off / expected) ** 2)) < 0.6 * 0.004
    for name, p in law.parameters.items():
        low, high = fitted.intervals[name]
        slack = 1e-9 * max(1.0, abs(p.bounds[0]))
        assert p.bounds[0] - slack <= low <= high <= p.bounds[1] * (1 + 1e-9)
    save_fit(fitted, tmp_path / "fit")
    again = load_fit(tmp_path / "fit")
    assert again.to_dict() == fitted.to_dict()
    assert np.array_equal(again.draws, fitted.draws)
    assert np.array_equal(again.residuals, fitted.residuals)
    assert again.data.equals(fitted.data)
    assert again.law == fitted.law
    assert again.likelihood == fitted.likelihood


@pytest.mark.claims
@pytest.mark.parametrize("law", LAWS, ids=str)
def test_noise_free_parameters_come_back(law: Law) -> None:
    likelihood: Likelihood = Gaussian("linear" if law.output == "value" else "log")
    fitted = fit(law, simulated(law, likelihood, 0.0, 2), likelihood=likelihood, uncertainty="none")
    if any(p.prior for p in law.parameters.values()):
        x = inputs(law, N, 2)  # a valley, bounded by priors: only the curve is recovered
        own = {name: fitted.parameters[name] for name in law.parameters}
        assert np.allclose(law(own, **x), law(truth(law), **x), rtol=5e-3)
        return
    for name, value in truth(law).items():
        assert fitted.parameters[name] == pytest.approx(value, rel=2e-3, abs=1e-6), name
