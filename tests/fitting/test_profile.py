"""Profiles: exact for a line, and for Skaling's k on Chinchilla's points."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from augury.errors import UsageError
from augury.fitting import Gaussian, fit, profile
from augury.laws import PowerLaw
from tests.shared import chinchilla, needs_chinchilla


@pytest.mark.slow
def test_a_profile_is_that_of_refits_one_by_one() -> None:
    """Compared with SciPy at fixed exponents: the law is linear in the rest."""
    rng = np.random.default_rng(0)
    x = np.geomspace(1e7, 1e10, 40)
    y = 2.0 + 400 * x**-0.34 + 0.01 * rng.standard_normal(40)
    table = pl.DataFrame({"params": x, "loss": y})
    fitted = fit(PowerLaw(), table, likelihood=Gaussian("linear"), influence=False)
    found = profile(fitted, "alpha", between=(0.2, 0.6))

    def squares(alpha: float) -> float:
        design = np.column_stack([np.ones(40), x**-alpha])
        return float(np.linalg.lstsq(design, y, rcond=None)[1][0])

    least = 2 * fitted.objective
    expected = [(squares(a) - least) / (2 * least / 37) for a in found.values]
    assert found.rise == pytest.approx(expected, rel=1e-4, abs=1e-5)
    low, high = found.interval
    allowed = stats.f.ppf(0.9, 1, 37) / 2
    for end in (low, high):
        assert (squares(end) - least) / (2 * least / 37) == pytest.approx(allowed, rel=0.02)
    assert low < fitted.parameters["alpha"] < high
    with pytest.raises(UsageError, match="has no parameter 'beta'"):
        profile(fitted, "beta")


@pytest.mark.slow
@needs_chinchilla
def test_the_profile_of_skalings_k_on_chinchilla_meets_chinchilla_at_1() -> None:
    """k = 1 is Chinchilla: the profile at 1 is Chinchilla's own fit."""
    table = chinchilla()
    own = fit("chinchilla", table, influence=False, uncertainty="none")
    wide = fit("skaling", table, influence=False, uncertainty="none")
    assert wide.objective <= own.objective
    found = profile(wide, "k", between=(0.3, 2.0))
    assert found.rise.min() == 0.0
    noise = wide.likelihood.noise(wide.objective, wide.n, 6)
    at_one = float(np.interp(0.0, np.log(found.values), found.rise))
    assert at_one == pytest.approx((own.objective - wide.objective) / noise, abs=0.15)
    # Huber: k is .77, and 1 is ten units of log-likelihood away.
    low, high = found.interval
    assert 0.65 < low < wide.parameters["k"] < high < 0.9
    assert wide.parameters["k"] == pytest.approx(0.774, abs=0.005)
