"""Emergence laws: their inputs and outputs."""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np
import polars as pl
import pytest
from scipy import stats

from augury.errors import DataError, UsageError
from augury.forecast.emergence import (
    LAWS,
    EmergenceFit,
    EmergenceLaw,
    EmergenceStatus,
    Truth,
    emergence_data,
    emergence_law,
    emergence_point,
    fit_emergence,
    fit_emergence_many,
    simulate_study,
)
from augury.forecast.emergence.averaging import pseudo_weights
from augury.forecast.emergence.compiled import FEW, placed, slopes, subset_rows, values
from augury.forecast.emergence.density import log_posterior, row_terms
from augury.forecast.emergence.importance import KEPT
from augury.forecast.emergence.laws import (
    Member,
    Scales,
    elbow,
    natural,
    past_for,
    score_above_base,
    shift_fraction,
)
from augury.forecast.emergence.observations import LEAST_SUBSETS, join, stacked
from augury.runtime.compiling import jit
from tests.emergence_studies import TRUTH, study


def test_the_point_is_found(fitted: EmergenceFit) -> None:
    point = emergence_point(fitted)
    assert point.status is EmergenceStatus.ANSWERED
    assert point.interval[0] < TRUTH.elbow < point.interval[1]
    assert point.value == pytest.approx(TRUTH.elbow, abs=0.1)
    assert point.law == "relu"
    told = json.loads(json.dumps(point.to_dict()))
    assert set(told) >= {"point", "law", "status", "notes", "methods"}
    assert set(told["point"]) == {"value", "interval", "level"}
    assert "leaves chance at" in str(point)
    wider = emergence_point(fitted, level=0.99).interval
    assert wider[0] < point.interval[0] < point.interval[1] < wider[1]


def test_emerged_means_what_the_user_says(fitted: EmergenceFit) -> None:
    elbow_at = emergence_point(fitted).value
    above = [emergence_point(fitted, "above", distance=d).value for d in (0.01, 0.05, 0.2)]
    assert elbow_at > above[1] > above[2]
    assert above[0] > above[1]
    # .1 of score at slope .9 is a ninth of a nat past the elbow.
    assert above[1] - above[2] == pytest.approx(0.15 / TRUTH.slope, rel=0.3)
    with pytest.raises(UsageError, match="distance belongs to"):
        emergence_point(fitted, distance=0.1)
    with pytest.raises(UsageError, match="positive"):
        emergence_point(fitted, "above", distance=-0.1)
    with pytest.raises(UsageError, match="there are: elbow, above"):
        emergence_point(fitted, "knee")  # type: ignore[arg-type]


def test_same_data_same_answer(fitted: EmergenceFit) -> None:
    again = fit_emergence(emergence_data(study()), laws="relu")
    assert np.array_equal(fitted.point_draws(), again.point_draws())


@pytest.mark.slow
def test_many_studies_are_fitted_as_one_is(fitted: EmergenceFit) -> None:
    batch = fit_emergence_many([emergence_data(study(seed=s)) for s in (0, 1)], law="relu")
    alone = emergence_point(fitted)
    assert emergence_point(batch[0]).value == pytest.approx(alone.value, abs=0.02)
    assert batch[0].fits[0].density == pytest.approx(fitted.fits[0].density, abs=1e-3)


def test_flops_where_the_loss_is_missing() -> None:
    """log10 FLOPs is linear in the loss: the same study, seen on the other axis."""
    table = study().with_columns(flops=10 ** (21 + (2.4 - pl.col("loss")) * 5)).drop("loss")
    point = emergence_point(fit_emergence(emergence_data(table, "flops"), laws="relu"))
    truth = 21 + (2.4 - TRUTH.elbow) * 5
    low, high = np.log10(point.interval)
    assert low < truth < high
    assert np.log10(point.value) == pytest.approx(truth, abs=0.5)
    with pytest.raises(DataError, match=r"'loss'.*missing"):
        emergence_data(table)


@pytest.mark.slow
def test_scores_without_counts() -> None:
    counted = study()
    plain = counted.with_columns(value=pl.col("passes") / pl.col("samples")).drop(
        "passes", "samples"
    )
    data = emergence_data(plain)
    assert not data.counts
    point = emergence_point(fit_emergence(data, laws="relu"))
    assert point.interval[0] < TRUTH.elbow < point.interval[1]
    shares = plain.with_columns(n=pl.lit(1200.0))
    assert emergence_data(shares).counts


@pytest.mark.slow
@pytest.mark.parametrize("name", list(LAWS))
def test_more_finetuning_never_moves_the_elbow_back(name: str) -> None:
    """Monotone by construction, for any coordinates."""
    law = LAWS[name]
    scales = emergence_data(study()).scales
    z = np.random.default_rng(1).standard_normal((200, len(law.member.mean)))
    amounts = np.linspace(scales.log_low, scales.log_high, 50)
    member = Member(*(a[None, None] for a in law.member))
    with jax.enable_x64(True):
        p = natural(z[:, None], member, scales)
        way = np.asarray(shift_fraction(p, amounts[None], member.kind[0, 0], scales))
        at = np.asarray(elbow(p, amounts[None], member.kind[0, 0], scales))
        assert np.allclose(way[:, 0], 0, atol=1e-9)
        assert np.allclose(way[:, -1], 1, atol=1e-6)
        assert (np.diff(at, axis=1) <= 1e-9).all()
        # `past_for` is the inverse of `rise`.
        up, slope = score_above_base(p, np.full((1, 1), 0.2), p.slope)
        back = past_for(p, up, p.slope)
        reached = np.asarray(up < 0.99 * p.plateau)
        assert np.allclose(np.asarray(back)[reached], 0.2, atol=1e-6)
        ahead, _ = score_above_base(p, np.full((1, 1), 0.2 + 1e-6), p.slope)
        assert np.allclose((ahead - up) / 1e-6, slope, rtol=1e-3, atol=1e-6)


def test_the_paper_s_form() -> None:
    """e(D) with f built of (log D)^alpha is k (log D)^alpha + C."""
    scales = Scales(-2.4, 0.5, 0.5, 0.25, 0.02, 0.0, 0.4, 0.0, np.log(5.0), np.log(7500.0))
    law = EmergenceLaw()
    z = np.random.default_rng(2).standard_normal(len(law.member.mean))
    logs = np.log([5.0, 40.0, 300.0, 7500.0])
    many = np.broadcast_to(z, (KEPT, len(z)))  # compiled by fits as well
    found = [placed(many, law.member, scales, log) for log in logs]
    ours = -np.array([where[0] for where, _, _ in found])
    p = found[0][2]
    k = (p.shift / (scales.log_high**p.alpha - scales.log_low**p.alpha))[0]
    c = -(p.end + p.shift)[0] - k * scales.log_low ** p.alpha[0]
    assert np.allclose(ours, k * logs ** p.alpha[0] + c)


def test_counts_are_binomial_when_runs_do_not_differ() -> None:
    """Without extra spread, the double binomial is the binomial, with its score and information."""
    rows = jax.tree.map(lambda a: a[0], stacked([emergence_data(study())], [LAWS["relu"]]))
    n = rows.trials
    rate = np.linspace(0.05, 0.6, len(n))

    class P:
        run, luck = 0.0, 0.0

    terms_of = jit(lambda *at: row_terms(P, *at, counts=True), brief=True)
    with jax.enable_x64(True):
        terms, score, information = terms_of(rate, 0.0 * rate, rows)
    passes = np.round(rows.y * n)
    expected = stats.binom.logpmf(passes, n, rate) - stats.binom.logpmf(passes, n, rows.y)
    live = rows.weight > 0
    assert np.allclose(np.asarray(terms)[live], expected[live], atol=1e-8)
    assert np.allclose(score, (rows.y - rate) * n / (rate * (1 - rate)))
    assert np.allclose(information, n / (rate * (1 - rate)))


@pytest.mark.slow
def test_padding_is_no_evidence_and_sizes_are_few() -> None:
    """Density and gradient of a study do not depend on its padded size."""
    data = emergence_data(study())
    law = LAWS["full"]
    small, large = (join([data.rows(law, room, LEAST_SUBSETS)]) for room in (128, 384))
    size = len(law.member.mean)
    z = np.random.default_rng(3).standard_normal((FEW, size + 1, size))  # as in searches
    at = np.zeros(FEW, int)
    found, again = (
        (values(z[0], subset_rows(rows, 0), counts=True), *slopes(z, rows, at, counts=True))
        for rows in (small, large)
    )
    for one, other in zip(found, again, strict=True):
        assert np.allclose(one, other, rtol=1e-12, atol=1e-9)
    parts = [data.subset_rows(np.arange(len(data.y)) < n) for n in range(10, 101, 10)]
    assert {stacked([part], [law]).groups.shape for part in parts} == {(1, 128, LEAST_SUBSETS)}


@pytest.mark.slow
def test_subsets_are_integrated_out() -> None:
    """Compared with brute force: one subset's shift on a fine grid, with normal scores."""
    table = study(amounts=(480,), subsets=1).filter(pl.col("finetune_examples") > 0)
    table = table.with_columns(value=pl.col("passes") / pl.col("samples")).drop("passes", "samples")
    data = emergence_data(table)
    rows = jax.tree.map(lambda a: a[0], stacked([data], [LAWS["relu"]]))
    z = fit_emergence(data, laws="relu", uncertainty="laplace").fits[0].peak
    wide = rows._replace(groups=np.zeros_like(rows.groups))
    with jax.enable_x64(True):
        ours = float(log_posterior(z, rows, counts=False))
        p = natural(z, rows.law, rows.scales)
        sd = float(p.subset)
        grid = np.linspace(-8, 8, 4001) * sd
        shifted = [
            float(log_posterior(z, wide._replace(progress=wide.progress + u), counts=False))
            for u in grid[::20]
        ]
    density = np.array(shifted) + stats.norm.logpdf(grid[::20], scale=sd)
    brute = np.log(np.exp(density - density.max()).sum() * (grid[20] - grid[0])) + density.max()
    # The remaining difference comes from rows that the shift moves past the corner.
    assert ours == pytest.approx(brute, abs=0.2)


def test_weights_follow_held_out_scores() -> None:
    rng = np.random.default_rng(0)
    even = pseudo_weights(np.zeros((3, 8)), rng)
    assert np.allclose(even, 1 / 3)
    better = np.array([[0.0] * 8, [-2.0] * 8])
    assert pseudo_weights(better, rng)[0] > 0.99
    # A lead that rests on one checkpoint does not decide.
    lucky = np.zeros((2, 8))
    lucky[0, 0] = 4.0
    assert 0.6 < pseudo_weights(lucky, rng)[0] < 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"passes": pl.lit(1e9)}, "row 1, column 'passes': more passes than samples"),
        ({"loss": pl.lit(-1.0)}, "row 1, column 'loss': not usable .got -1.0."),
        ({"task": pl.Series(["a", "b"] * 50)}, "column 'task': several tasks"),
        ({"chance": pl.Series([0.1, 0.25] * 50)}, "differs between rows"),
        ({"finetune_examples": pl.lit("many")}, "text in a number column"),
    ],
)
def test_bad_tables(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        emergence_data(study().head(100).with_columns(**change))


def test_bad_options(fitted: EmergenceFit) -> None:
    table = study()
    with pytest.raises(DataError, match="'value': the column is missing"):
        emergence_data(table.drop("passes", "samples"))
    with pytest.raises(UsageError, match="there are: loss, flops"):
        emergence_data(table, "tokens")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least 2 examples"):
        emergence_data(table, low_data=1)
    with pytest.raises(UsageError, match="there are: relu, relu-power"):
        emergence_law("rectifier")
    with pytest.raises(UsageError, match="importance, laplace, nuts"):
        fit_emergence(fitted.data, uncertainty="bootstrap")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="between 0 and 1"):
        fit_emergence(fitted.data, level=90)
    with pytest.raises(UsageError, match="no studies"):
        fit_emergence_many([])


def test_means_of_probabilities_are_not_counted_as_shares() -> None:
    """2,048 exact probabilities of 1e-4 are a mean with its standard error, not 0 of 2,048."""
    table = pl.DataFrame(
        {
            "loss": [2.0, 1.9, 1.8],
            "finetune_examples": [0, 100, 400],
            "value": [1e-4, 2e-4, 4e-4],
            "n": [2048.0] * 3,
            "stderr": [1e-5, 2e-5, 4e-5],
        }
    )
    read = emergence_data(table)
    assert not read.counts
    assert read.y == pytest.approx([1e-4, 2e-4, 4e-4])
    counted = table.with_columns(value=pl.Series([0.25, 0.3, 0.4]))
    shares = counted.with_columns(stderr=(pl.col("value") * (1 - pl.col("value")) / 2048).sqrt())
    assert emergence_data(shares).counts


@pytest.mark.slow
def test_a_loss_stays_above_the_lowest() -> None:
    """Finetuned curves alone, elbows far apart: the point is searched above the lowest loss."""
    truth = Truth(elbow=0.2, shift=2.0, slope=0.2, chance=0.0)
    table = simulate_study(
        truth, np.random.default_rng(0), losses=np.linspace(2.4, 1.9, 10), amounts=(60, 480, 7500)
    )
    table = table.filter(pl.col("finetune_examples") > 0)
    free, bound = (
        emergence_point(fit_emergence(emergence_data(table, lowest_loss=low), laws="relu"))
        for low in (0.0, 1.2)
    )
    assert free.interval[0] > -0.1
    assert bound.interval[0] > 1.15 > free.interval[0]
    with pytest.raises(UsageError, match=r"between 0 and the lowest loss seen, 1\.9, not 1\.95"):
        emergence_data(table, lowest_loss=1.95)
