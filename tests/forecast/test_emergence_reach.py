"""From a point of emergence to parameters, tokens, FLOPs, corpora, and what to run next."""

from __future__ import annotations

import numpy as np
import pytest

from augury.errors import UsageError
from augury.fitting import Fit, fit
from augury.forecast.emergence import (
    EmergenceFit,
    PlannedRun,
    Truth,
    emergence_data,
    emergence_point,
    emerges_first,
    fit_emergence,
    in_flops,
    in_params,
    in_tokens,
    planned_losses,
    probability_emerged,
    rank_units,
)
from tests.emergence_studies import LOSSES, study


def chinchilla_fit() -> Fit:
    rng = np.random.default_rng(0)
    params = 10 ** rng.uniform(7.5, 9.7, 60)
    tokens = params * 10 ** rng.uniform(0.5, 2.0, 60)
    loss = 1.69 + 406.4 / params**0.34 + 410.7 / tokens**0.28
    noisy = loss * np.exp(0.003 * rng.standard_normal(60))
    return fit("chinchilla", {"params": params, "tokens": tokens, "loss": noisy})


@pytest.mark.slow
def test_parameters_tokens_and_flops() -> None:
    """The chain of both laws, compared with the loss law's closed form at the truth."""
    truth = Truth(elbow=2.05, shift=0.3, alpha=1.2, slope=0.9, run=3e-4)
    found = fit_emergence(emergence_data(study(truth, losses=LOSSES + 0.15)), laws="relu")
    loss = chinchilla_fit()
    tokens = 2e12
    expected = (406.4 / (2.05 - 1.69 - 410.7 / tokens**0.28)) ** (1 / 0.34)
    reach = in_params(found, loss, tokens)
    assert reach.interval[0] < expected < reach.interval[1]
    value = emergence_point(found).value
    p = loss.parameters
    middle = (p["A"] / (value - p["E"] - p["B"] / tokens ** p["beta"])) ** (1 / p["alpha"])
    assert reach.value == pytest.approx(middle, rel=0.3)
    back = in_tokens(found, loss, reach.value)
    assert np.log(back.value) == pytest.approx(np.log(tokens), abs=0.7)
    flops = in_flops(found, loss)
    assert flops.value == pytest.approx(6 * flops.params * flops.tokens, rel=0.5)
    assert flops.value < 6 * reach.value * tokens * 1.5
    assert set(flops.to_dict()) >= {"value", "interval", "level", "never"}
    # A planned model: certain on either side, uncertain at the point.
    sure = probability_emerged(found, planned_losses(loss, 1e12, 2e13))
    not_yet = probability_emerged(found, planned_losses(loss, 1e8, 2e9))
    assert sure > 0.9
    assert not_yet < 0.1
    assert 0.3 < probability_emerged(found, emergence_point(found).value) < 0.7


@pytest.mark.slow
def test_out_of_reach_is_said() -> None:
    """A point below the loss law's floor is never reached."""
    low = Truth(elbow=1.5, shift=0.3, alpha=1.0, slope=0.9, run=3e-4)
    found = fit_emergence(emergence_data(study(low, losses=LOSSES - 0.4)), laws="relu")
    reach = in_params(found, chinchilla_fit(), 1e12)
    assert reach.never > 0.5
    assert np.isinf(reach.value)
    assert "out of reach" in str(reach)
    assert reach.to_dict()["value"] is None


@pytest.mark.slow
def test_loss_laws_that_do_not_fit_are_refused(fitted: EmergenceFit) -> None:
    n = np.geomspace(1e7, 1e9, 12)
    bare = fit(
        "chinchilla",
        {"params": n, "tokens": 20 * n, "loss": 2 + 400 / n**0.34},
        uncertainty="none",
    )
    with pytest.raises(UsageError, match="no draws"):
        in_params(fitted, bare, 1e12)
    with pytest.raises(UsageError, match="tokens must be positive"):
        in_params(fitted, bare, -1)


def test_which_corpus_emerges_first(fitted: EmergenceFit) -> None:
    sooner = Truth(elbow=2.15, shift=0.3, alpha=1.2, slope=0.9, run=3e-4)
    better = fit_emergence(emergence_data(study(sooner, losses=LOSSES + 0.26)), laws="relu")
    order = emerges_first(fitted, better, names=("V1", "V2"))
    assert order.first == "V2"
    assert order.sure
    assert order.interval[0] < 0.25 < order.interval[1]
    same = emerges_first(fitted, fit_emergence(emergence_data(study(seed=5)), laws="relu"))
    assert not same.sure
    assert "cannot say" in str(same)


def test_units_are_ranked_by_what_they_tell_per_flop(fitted: EmergenceFit) -> None:
    best = float(LOSSES.min())
    units = [
        PlannedRun(best, 120, 1e18, name="cheap and telling"),
        PlannedRun(best, 120, 1e20, name="the same, dear"),
        PlannedRun(2.4, 30, 1e18, name="far before any elbow"),
    ]
    table = rank_units(fitted, units)
    assert table["name"][0] == "cheap and telling"
    assert table["rank"].to_list() == [1, 2, 3]
    assert table["width"].is_sorted(descending=True)
    far = table.filter(name="far before any elbow")["gain"][0]
    assert far < 0.05 * table["gain"][0]
    assert rank_units(fitted, units, first=1).height == 1
    with pytest.raises(UsageError, match="price"):
        rank_units(fitted, [PlannedRun(best, 120, 0.0)])
    with pytest.raises(UsageError, match="no units"):
        rank_units(fitted, [])
