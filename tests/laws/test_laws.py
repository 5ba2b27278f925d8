"""Every law keeps its contract: a formula, bounds, linear amplitudes, a source."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from augury.errors import DataError, UsageError
from augury.fitting import Gaussian, fit
from augury.laws import (
    Chain,
    Chinchilla,
    Grouped,
    Law,
    Parameter,
    Positive,
    Share,
    all_laws,
    check_law,
    law,
    law_from,
    law_record,
    parse_law,
    positive,
    real,
    register,
)
from tests.laws.cases import LAWS, inputs, truth

every_law = pytest.mark.parametrize("law_", LAWS, ids=str)


@every_law
def test_a_law_says_what_it_is(law_: Law) -> None:
    assert law_.equation
    assert "20" in law_.source or "ours" in law_.source
    assert set(truth(law_)) == set(law_.parameters)
    assert all(p.meaning for p in law_.parameters.values())
    assert type(law_).__doc__
    if not isinstance(law_, Grouped):
        assert parse_law(str(law_)) == law_


class Bent(Law):
    """Declares a square as an amplitude: `check_law` has to notice."""

    name = "bent"
    output = "loss"
    equation = "y = a^2 x"
    source = "ours, 2026"
    inputs = {"params": Positive()}  # noqa: RUF012
    a = positive((0.5, 2.0), "not linear", amplitude=True)

    def formula(self, p: Any, x: Any) -> Any:
        return p.a**2 * x.params


def test_check_law_finds_an_amplitude_that_is_none() -> None:
    with pytest.raises(UsageError, match="linear amplitudes failed"):
        check_law(Bent())


class Mixed(Law):
    """A formula with a matrix product, as written for one problem."""

    name = "mixed"
    output = "loss"
    equation = "y = c + t . r"
    source = "ours, 2026"
    inputs = {"share": Share(labels=("a", "b", "c"))}  # noqa: RUF012
    c = real((1.0, 3.0), "level")
    t_a = real((0.1, 1.0), "slope")
    t_b = real((0.1, 1.0), "slope", prior=(0.0, 3.0))

    def formula(self, p: Any, x: Any) -> Any:
        import jax.numpy as jnp

        return p.c + x.share[:, :2] @ jnp.stack([p.t_a, p.t_b])


@pytest.mark.slow
def test_a_formula_never_sees_a_batch_and_a_share_may_be_zero() -> None:
    law_ = Mixed()
    p, x = law_.example(60, 3)
    share = x["share"].copy()
    share[:20, 1] = 0.0
    share /= share.sum(1, keepdims=True)
    y = np.asarray(law_(p, share=share))
    table = pl.DataFrame({f"share_{n}": share[:, j] for j, n in enumerate("abc")}).with_columns(
        loss=y
    )
    fitted = fit(law_, table, likelihood=Gaussian("log"), uncertainty="bootstrap", resamples=50)
    assert fitted.parameters["c"] == pytest.approx(p["c"], rel=1e-3)
    wrong = table.with_columns(
        share_a=pl.when(pl.int_range(60) == 4).then(0.9).otherwise("share_a")
    )
    with pytest.raises(DataError, match=r"row 5.*shares of the row do not sum to 1"):
        fit(law_, wrong)


def test_a_tuple_setting_is_hashable_and_comes_back() -> None:
    law_ = law("effective-share", domains=("web", "code"))
    assert law_from(json.loads(json.dumps(law_record(law_)))) == law_
    assert hash(law_from(law_record(law_))) == hash(law_)
    chain = parse_law("chinchilla+logistic-task:over=bpb")
    assert isinstance(chain, Chain)
    assert law_from(json.loads(json.dumps(law_record(chain)))) == chain


OUTSIDE = """
from dataclasses import dataclass
from augury.laws import Law, Positive, positive, power

@dataclass(frozen=True)
class MyLaw(Law):
    "y = A / N^alpha, from a user's own package."
    name = "my-law"
    output = "loss"
    equation = "A N^{-a}"
    source = "ours, 2026"
    inputs = {"params": Positive(example=(1e7, 1e10))}
    A = positive((1.0, 1e5), "size", amplitude=True)
    alpha = positive((0.05, 1.0), "exponent")

    def formula(self, p, x):
        return p.A * power(x.params, -p.alpha)
"""


@pytest.mark.slow
def test_a_law_from_the_python_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside_laws").mkdir()
    (tmp_path / "outside_laws" / "__init__.py").write_text("")
    (tmp_path / "outside_laws" / "mine.py").write_text(OUTSIDE)
    monkeypatch.chdir(tmp_path)
    own = parse_law("outside_laws.mine:MyLaw")
    assert own.name == "my-law"
    assert "recovery of the curve" in check_law(own)
    assert law_from(law_record(own)) == own
    with pytest.raises(UsageError, match="has no class Other that is a Law"):
        parse_law("outside_laws.mine:Other")
    with pytest.raises(UsageError, match="cannot import no_such_package"):
        parse_law("no_such_package.laws:MyLaw")


@every_law
def test_a_guess_lies_in_the_bounds(law_: Law) -> None:
    x = inputs(law_, 30)
    for name, (low, high) in law_.guess(x, law_(truth(law_), **x)).items():
        bounds = law_.parameters[name].bounds
        assert low < high
        assert high > bounds[0]
        assert low < bounds[1]


def test_values_of_the_literature() -> None:
    # Hoffmann et al. 2022, approach 3, at Chinchilla's 70e9 parameters and 1.4e12 tokens
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
        "constant",
        "skaling",
        "effective-share",
        "exponential-mixing",
        "batch-trajectory",
    } <= names
