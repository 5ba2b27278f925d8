"""Effective parameters of training mixtures: recovered, with intervals, better than separately."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

import augury
from augury.errors import DataError, UsageError
from augury.fitting import fit, fit_many
from augury.forecast.families import effective_fractions
from augury.laws import PowerLaw, SamplingShare

SIZES = np.geomspace(2e7, 1e9, 5)
SHARES = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
TRUTH = {"E": 1.4, "A": 60.0, "alpha": 0.22, "c_1": 0.4, "c_2": 0.6, "c_3": 0.8}


def runs(noise: float, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    size, share = (a.ravel() for a in np.meshgrid(SIZES, SHARES))
    loss = SamplingShare()(TRUTH, params=size, sampling_share=share)
    loss = loss * np.exp(noise * rng.standard_normal(len(size)))
    return pl.DataFrame({"params": size, "sampling_share": share, "loss": loss,
                         "mixture": [f"{x:g}" for x in share]})  # fmt: skip


def fractions(share: np.ndarray) -> np.ndarray:
    return np.asarray(SamplingShare.fraction(SimpleNamespace(**TRUTH), share), float)


def test_f_is_1_at_the_task_alone_and_p_without_help() -> None:
    assert fractions(np.array([1.0])) == pytest.approx([1.0])
    none = SimpleNamespace(**(TRUTH | {"c_1": 0.0}))
    share = np.array([0.1, 0.4, 1.0])
    assert np.asarray(SamplingShare.fraction(none, share)) == pytest.approx(share)


@pytest.mark.slow
def test_effective_parameters_come_back_from_a_joint_fit() -> None:
    joint = fit("effective-params", runs(0.002, 0), likelihood="gaussian", influence=False)
    assert joint.usable
    found = effective_fractions(joint, "1")
    truth = fractions(np.array(SHARES))
    assert found["value"].to_numpy() == pytest.approx(truth, rel=0.1)
    assert found.filter(pl.col("mixture") == "1")["value"][0] == 1.0
    low, high = found["low"].to_numpy(), found["high"].to_numpy()
    held = ((low <= truth + 1e-12) & (truth - 1e-12 <= high)).sum()
    assert held >= 6
    with pytest.raises(UsageError, match="no mixture is called '2'"):
        effective_fractions(joint, "2")


@pytest.mark.slow
def test_a_joint_fit_forecasts_a_larger_model_better_than_a_power_law_of_each_mixture() -> None:
    """Seven mixtures of four sizes with noise of .3 %: forecast the fifth, 2.7 times larger."""
    joint_off, apart_off = [], []
    for seed in range(4):
        table = runs(0.003, seed)
        large = pl.col("params") > 9e8
        past, future = table.filter(~large), table.filter(large)
        joint = fit("effective-params", past, likelihood="gaussian", uncertainty="none",
                    influence=False)  # fmt: skip
        apart = fit_many("power", past, by="mixture", likelihood="gaussian")
        truth = SamplingShare()(TRUTH, params=future["params"].to_numpy(),
                                sampling_share=future["sampling_share"].to_numpy())  # fmt: skip
        values = [f.value for f in augury.predict(joint, future.select("params", "mixture"))]
        joint_off += list(np.log(values / truth))
        for key, p in zip(apart.groups["mixture"], apart.parameters, strict=True):
            at = future["mixture"].to_list().index(key)
            value = apart.law(dict(zip(apart.names, p, strict=True)), params=future["params"][at])
            apart_off.append(float(np.log(value / truth[at])))
    assert np.sqrt(np.mean(np.square(joint_off))) < 0.6 * np.sqrt(np.mean(np.square(apart_off)))


@pytest.mark.slow
def test_a_share_that_was_not_trained_is_forecast() -> None:
    table = runs(0.002, 1)
    held = pl.col("sampling_share") == 0.5
    fitted = fit("sampling-share", table.filter(~held), likelihood="gaussian", influence=False)
    assert fitted.usable
    values = [f.value for f in augury.predict(fitted, table.filter(held).select(
        "params", "sampling_share"))]  # fmt: skip
    assert np.log(values) == pytest.approx(np.log(table.filter(held)["loss"]), abs=0.008)


def test_bad_tables_are_named() -> None:
    table = runs(0.0, 0)
    with pytest.raises(DataError, match="column 'mixture'"):
        fit("effective-params", table.drop("mixture"))
    with pytest.raises(DataError, match=r"row 1, column 'sampling_share'.*up to 1"):
        fit("sampling-share", table.with_columns(pl.col("sampling_share") * 40))
    with pytest.raises(UsageError, match="need a fit of 'effective-params'"):
        effective_fractions(SimpleNamespace(law=PowerLaw()), "1")  # type: ignore[arg-type]
