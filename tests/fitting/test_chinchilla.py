"""The published replication of Chinchilla's approach 3, to every digit."""

import numpy as np
import pytest
from scipy.optimize import minimize

from augury.fitting import Fit, fit
from tests.shared import chinchilla, needs_chinchilla

pytestmark = needs_chinchilla


def huber_sum(p: np.ndarray, n: np.ndarray, d: np.ndarray, loss: np.ndarray) -> float:
    """Hoffmann et al.'s objective, reimplemented."""
    mu = p[0] + np.exp(p[1]) / n ** p[3] + np.exp(p[2]) / d ** p[4]
    r = np.abs(np.log(loss) - np.log(mu))
    return float(np.where(r < 1e-3, 0.5 * r**2, 1e-3 * (r - 0.5e-3)).sum())


def test_the_optimum_of_240_points() -> None:
    table = chinchilla()
    fitted = fit("chinchilla", table, likelihood="huber", uncertainty="none")
    p = fitted.parameters
    assert fitted.n == 240
    assert fitted.status == "converged"
    assert fitted.objective <= 0.00101828
    assert p["A"] == pytest.approx(477.8, abs=0.05)
    assert p["B"] == pytest.approx(2143, abs=0.6)
    assert p["E"] == pytest.approx(1.8172, abs=5e-5)
    assert p["alpha"] == pytest.approx(0.3473, abs=5e-5)
    assert p["beta"] == pytest.approx(0.3672, abs=5e-5)
    assert fitted.diagnostics["starts_agree"] == fitted.diagnostics["starts"]
    # The same objective, implemented independently; Nelder-Mead finds nothing better nearby.
    data = (table["params"].to_numpy(), table["tokens"].to_numpy(), table["loss"].to_numpy())
    x = np.array([p["E"], np.log(p["A"]), np.log(p["B"]), p["alpha"], p["beta"]])
    assert huber_sum(x, *data) == pytest.approx(fitted.objective, rel=1e-9)
    around = minimize(huber_sum, x, args=data, method="Nelder-Mead", options={"maxiter": 4000})
    assert around.fun >= fitted.objective * (1 - 1e-7)


@pytest.mark.slow
def test_the_published_bootstrap() -> None:
    fitted = fit(
        "chinchilla",
        chinchilla(),
        likelihood="huber",
        uncertainty="bootstrap",
        resamples=4000,
        level=0.95,
    )
    assert fitted.diagnostics["converged_draws"] > 0.999
    assert fitted.intervals["alpha"] == pytest.approx((0.317, 0.373), abs=0.006)
    assert fitted.intervals["beta"] == pytest.approx((0.331, 0.415), abs=0.006)


@pytest.mark.slow
def test_least_squares_names_the_five_points_that_move_it() -> None:
    everything = chinchilla(where=None)
    gaussian = fit("chinchilla", everything, likelihood="gaussian", uncertainty="none")
    note = next(n for n in gaussian.notes if n.code == "influential-points")
    highest = everything.with_row_index("i", offset=1).sort("loss", descending=True)["i"][:5]
    assert note.details["rows"] == sorted(highest)
    change = note.details["parameters"]["beta"]
    without = fit("chinchilla", chinchilla(), likelihood="gaussian", uncertainty="none")
    assert change["with"] == pytest.approx(gaussian.parameters["beta"])
    assert change["without"] == pytest.approx(without.parameters["beta"], rel=1e-6)
    # Huber for comparison: the same five move it a third as far.
    huber = fit("chinchilla", everything, likelihood="huber", uncertainty="none")
    assert abs(huber.parameters["beta"] - 0.3672) < 0.4 * abs(change["with"] - 0.3672)


@pytest.mark.slow
def test_rows_are_those_of_the_file_after_a_filter() -> None:
    table = chinchilla(where="params > 1e8")
    fitted = fit("chinchilla", table, likelihood="gaussian", uncertainty="none")
    rows = fitted.data["row"].to_list()
    assert max(rows) > len(rows)


@pytest.fixture(scope="module")
def posterior() -> Fit:
    """All 245 rows: its noise has tails, so the five outliers hardly move it."""
    return fit("chinchilla", chinchilla(None), uncertainty="nuts", resamples=1000, influence=False)


@pytest.mark.slow
def test_the_posterior_mixes_and_agrees_with_laplace(posterior: Fit) -> None:
    assert max(posterior.diagnostics["rhat"].values()) < 1.02
    assert min(posterior.diagnostics["ess"].values()) > 150
    low, high = posterior.intervals["alpha"]
    assert low < 0.3473 < high
    assert 0.015 < high - low < 0.06


@pytest.mark.slow
def test_a_posteriors_value_is_one_of_its_draws(posterior: Fit) -> None:
    """On these rows, Huber's optimum has E = 1.891, and the posterior is 1.777 to 1.830."""
    value = np.array(list(posterior.parameters.values()))
    assert np.isclose(posterior.draws, value, rtol=1e-9).all(1).any()
    for name, (low, high) in posterior.intervals.items():
        assert low <= posterior.parameters[name] <= high
