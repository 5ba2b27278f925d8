"""Every law keeps its promises: a formula, bounds, amplitudes that are linear, a source."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from augury.errors import UsageError
from augury.fitting.space import Space
from augury.laws import Chinchilla, Law, Parameter, all_laws, law, parse_law, register
from tests.laws.cases import LAWS, inputs, truth

every_law = pytest.mark.parametrize("law_", LAWS, ids=str)


@every_law
def test_a_law_says_what_it_is(law_: Law) -> None:
    assert law_.equation
    assert "20" in law_.source or "ours" in law_.source
    assert set(truth(law_)) == set(law_.parameters)
    assert all(p.meaning for p in law_.parameters.values())
    assert type(law_).__doc__
    assert parse_law(str(law_)) == law_


@every_law
def test_gradient_agrees_with_finite_differences(law_: Law) -> None:
    space = Space.of(law_, {})
    x = SimpleNamespace(**inputs(law_, 7))
    u0 = space.internal(np.array(list(truth(law_).values())))

    with jax.enable_x64(True):

        def predict(u: jax.Array) -> jax.Array:
            return law_.formula(space.unpack(u), x)

        exact = np.asarray(jax.jacfwd(predict)(u0))
        for j in range(len(u0)):
            h = 1e-5 * max(1.0, abs(u0[j]))
            step = np.eye(len(u0))[j] * h
            numeric = (np.asarray(predict(u0 + step)) - np.asarray(predict(u0 - step))) / (2 * h)
            assert np.allclose(exact[:, j], numeric, rtol=1e-5, atol=1e-7 * np.abs(exact).max())


@every_law
def test_amplitudes_are_linear(law_: Law) -> None:
    p, x = truth(law_), inputs(law_, 11)
    names = [n for n, q in law_.parameters.items() if q.amplitude]
    zero = {**p, **dict.fromkeys(names, 0.0)}
    base = law_(zero, **x)
    total = sum((law_({**zero, n: p[n]}, **x) - base for n in names), base * 1.0)
    if names:
        assert np.allclose(total, law_(p, **x), rtol=1e-10)


@every_law
def test_a_guess_lies_in_the_bounds(law_: Law) -> None:
    x = inputs(law_, 30)
    for name, (low, high) in law_.guess(x, law_(truth(law_), **x)).items():
        bounds = law_.parameters[name].bounds
        assert low < high
        assert high > bounds[0]
        assert low < bounds[1]


def test_values_of_the_literature() -> None:
    # Hoffmann et al. 2022, approach 3, at Chinchilla's own 70e9 parameters and 1.4e12 tokens
    p = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    at = Chinchilla()(p, params=np.array([70e9]), tokens=np.array([1.4e12]))
    assert at[0] == pytest.approx(1.69 + 406.4 / 70e9**0.34 + 410.7 / 1.4e12**0.28, rel=1e-12)
    assert at[0] == pytest.approx(1.936, abs=1e-3)


def test_a_pass_rate_rises_with_size_and_falls_with_loss() -> None:
    size = law("pass-rate")({"c": 2000.0, "alpha": 0.3}, params=np.array([1e8, 1e9]))
    loss = law("pass-rate", over="loss")({"c": 0.1, "alpha": 4.0}, loss=np.array([2.0, 3.0]))
    assert size[0] < size[1]
    assert loss[0] > loss[1]
    floor = law("pass-rate")({"c": 1e9, "alpha": 0.1}, params=np.array([1e8]), chance=0.25)
    assert floor[0] == pytest.approx(0.25)


def test_names_and_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="did you mean chinchilla"):
        law("chinchila")
    with pytest.raises(UsageError, match="has no setting 'brakes'; it has: over, breaks"):
        law("broken-power", brakes=2)
    with pytest.raises(UsageError, match="takes 1 to 6 breaks, not 9"):
        parse_law("broken-power:breaks=9")
    with pytest.raises(UsageError, match="expected setting=value"):
        parse_law("power:flops")
    assert len(parse_law("broken-power:breaks=2,over=flops").parameters) == 9
    with pytest.raises(UsageError, match="missing tokens; does not take toks"):
        Chinchilla()(truth(Chinchilla()), params=np.ones(1), toks=np.ones(1))
    with pytest.raises(UsageError, match="two laws are called 'chinchilla'"):
        register(type("Again", (Chinchilla,), {}))
    with pytest.raises(UsageError, match="inside the bounds"):
        Parameter((0.0, 2.0), (0.0, 1.0), "linear")


def test_the_first_members_are_there() -> None:
    names = {cls.name for cls in all_laws()}
    assert {
        "power",
        "kaplan",
        "chinchilla",
        "compute",
        "logistic-task",
        "threshold-task",
        "exponential-error",
        "pass-rate",
        "curved-pass-rate",
        "broken-power",
    } <= names
