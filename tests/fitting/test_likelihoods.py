"""Likelihoods contain everything special about them: one defined in a test works everywhere."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from scipy.optimize import linprog

from augury.errors import UsageError
from augury.fitting import LIKELIHOODS, Likelihood, Pinball, fit
from augury.fitting.likelihoods import Points, Terms
from augury.forecast.prediction import predict
from augury.laws import Law, Positive, positive, real
from augury.runtime.compiling import jit
from tests.sequential import coverage


class Line(Law):
    """A line for testing a likelihood."""

    name = "line-of-tests"
    output = "value"
    equation = "a + b x"
    source = "ours, 2026"
    inputs = {"x": Positive("x", example=(1.0, 3.0))}  # noqa: RUF012
    a = real((-1.0, 1.0), "level", amplitude=True)
    b = real((-1.0, 1.0), "slope", amplitude=True)

    def formula(self, p: Any, x: Any) -> Any:
        return p.a + p.b * x.x


def points(n: int, seed: int, noise: Any) -> tuple[Any, pl.DataFrame]:
    x = np.random.default_rng(seed).uniform(1, 3, n)
    return x, pl.DataFrame({"x": x, "value": 0.2 + 0.3 * x + noise})


@pytest.mark.parametrize("tau", [0.25, 0.9])
def test_pinball_is_quantile_regression(tau: float) -> None:
    """Compared with the linear programme of Koenker & Bassett 1978."""
    x, table = points(80, 1, np.random.default_rng(2).gumbel(0, 0.1, 80))
    y = table["value"].to_numpy()
    fitted = fit(Line(), table, likelihood=Pinball(tau, smoothing=1e-5), influence=False)
    n = len(x)
    design = np.column_stack([np.ones(n), x])
    programme = linprog(
        np.r_[np.zeros(4), np.full(n, tau), np.full(n, 1 - tau)],
        A_eq=np.hstack([design, -design, np.eye(n), -np.eye(n)]),
        b_eq=y,
    )
    exact = programme.x[:2] - programme.x[2:4]
    assert fitted.objective == pytest.approx(programme.fun, abs=n * 1e-5)
    # The programme ends in a corner; nearby, the loss is almost as low.
    found = np.array([fitted.parameters["a"], fitted.parameters["b"]])
    assert design @ found == pytest.approx(design @ exact, abs=5e-4)


@pytest.mark.slow
def test_intervals_of_a_quantile_hold() -> None:
    """90 % intervals of the upper quartile's slope, in 60 tables of skewed noise."""

    def held(seed: int) -> tuple[bool]:
        noise = np.random.default_rng(1000 + seed).exponential(0.1, 150)
        _, table = points(150, seed, noise)
        fitted = fit(Line(), table, likelihood=Pinball(0.75), influence=False, seed=seed)
        low, high = fitted.intervals["b"]
        return (low <= 0.3 <= high,)

    found = coverage(map(held, range(60)), of=60, least=0.8)
    assert found.passed, found


@pytest.mark.slow
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_slopes_are_those_of_the_loss_and_bounds_bound_it(name: str) -> None:
    likelihood = LIKELIHOODS[name]()
    rng = np.random.default_rng(0)
    y, trials = rng.uniform(0.2, 0.8, 9), np.full(9, 40.0)
    mu = rng.uniform(0.2, 0.8, 9)
    nuisance = SimpleNamespace(rho=0.05)
    steps = (-0.3, -1e-3, 1e-3, 0.3)

    # One function: separate operations would be compiled separately, forty per likelihood.
    @jit
    def evaluated(mu: Any) -> tuple[Terms, Any, list[Any]]:
        at = likelihood.predictor(mu)

        def terms(v: Any) -> Terms:
            return likelihood.terms(v, nuisance, Points((), y, trials))

        slope = jax.grad(lambda v: terms(v).loss.sum())(at)
        return terms(at), slope, [terms(at + step).loss for step in steps]

    with jax.enable_x64(True):
        terms, slope, losses = evaluated(mu)
        assert np.allclose(slope, terms.slope, rtol=1e-9)
        if not likelihood.counts:  # a parabola through the point with this curvature lies above
            for step, there in zip(steps, losses, strict=True):
                above = terms.loss + step * terms.slope + 0.5 * step**2 * terms.bound
                assert (np.asarray(there) <= np.asarray(above) + 1e-12).all()


@dataclass(frozen=True)
class LogCosh(Likelihood):
    """A user's likelihood, unknown to the package."""

    width: float = 0.05
    name: ClassVar[str] = "log-cosh"
    objective: ClassVar[str] = "sum of log cosh"

    def terms(self, predictor: Any, nuisance: Any, points: Points) -> Terms:
        r = (points.y - predictor) / self.width
        flat = jnp.where(jnp.abs(r) > 1e-4, jnp.tanh(r) / jnp.where(r == 0, 1.0, r), 1.0)
        loss = jnp.logaddexp(r, -r) - jnp.log(2.0)
        return Terms(
            loss, -jnp.tanh(r) / self.width, 1 / jnp.cosh(r) ** 2 / self.width**2,
            flat / self.width**2,
        )  # fmt: skip


@pytest.mark.slow
def test_a_likelihood_from_outside_fits_forecasts_and_draws() -> None:
    _, table = points(60, 3, 0.05 * np.random.default_rng(4).standard_normal(60))
    for uncertainty in ("laplace", "bootstrap", "nuts"):
        fitted = fit(Line(), table, likelihood=LogCosh(), uncertainty=uncertainty, resamples=200)  # type: ignore[arg-type]
        assert fitted.usable
        low, high = fitted.intervals["b"]
        assert low < 0.3 < high
        assert 0.01 < high - low < 0.2
        ahead = predict(fitted, {"x": 4.0})[0]
        assert ahead.run_interval[0] < 1.4 < ahead.run_interval[1]


class Looped(Law):
    """Solves its equation by a loop that JAX cannot differentiate in reverse."""

    name = "looped-of-tests"
    output = "loss"
    equation = "L = A / N^.3 by a loop"
    source = "ours, 2026"
    inputs = {"params": Positive()}  # noqa: RUF012
    A = positive((1.0, 1e4), "size")

    def formula(self, p: Any, x: Any) -> Any:
        aim = p.A * x.params**-0.3

        def halve(state: Any) -> Any:
            count, y = state
            return count + 1, 0.5 * (y + aim)

        return jax.lax.while_loop(lambda s: s[0] < 60, halve, (0, jnp.ones_like(aim)))[1]


def test_nuts_says_what_to_do_with_a_law_that_has_no_reverse_gradient() -> None:
    x = np.geomspace(1e7, 1e9, 20)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(20))
    table = pl.DataFrame({"params": x, "loss": 500 * x**-0.3 * noise})
    assert fit(Looped(), table, influence=False).parameters["A"] == pytest.approx(500, rel=0.02)
    with pytest.raises(UsageError, match=r"cannot be differentiated backwards.*implicit_root"):
        fit(Looped(), table, uncertainty="nuts", influence=False)
