"""Emergence laws: what goes in, what comes out, and what is said when the data cannot say."""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np
import polars as pl
import pytest
from scipy import stats

from augury.errors import DataError, FitError, UsageError
from augury.fitting import Fit, fit
from augury.forecast.emergence import (
    LAWS,
    EmergenceFit,
    EmergenceLaw,
    EmergenceStatus,
    PlannedRun,
    Truth,
    emergence_data,
    emergence_law,
    emergence_point,
    emerges_first,
    fit_emergence,
    fit_emergence_many,
    in_flops,
    in_params,
    in_tokens,
    planned_losses,
    probability_emerged,
    rank_units,
    simulate_study,
)
from augury.forecast.emergence.averaging import pseudo_weights
from augury.forecast.emergence.density import log_posterior, row_terms
from augury.forecast.emergence.laws import (
    Member,
    Scales,
    elbow,
    natural,
    past_for,
    score_above_base,
    shift_fraction,
)
from augury.forecast.emergence.observations import stacked

TRUTH = Truth(elbow=1.9, shift=0.3, alpha=1.2, slope=0.9, run=3e-4)
LOSSES = np.linspace(2.4, 1.94, 10)
AMOUNTS = (30, 120, 480, 1900, 7500)


def study(truth: Truth = TRUTH, seed: int = 0, **options: Any) -> pl.DataFrame:
    options = {"losses": LOSSES, "amounts": AMOUNTS} | options
    return simulate_study(truth, np.random.default_rng(seed), **options)


@pytest.fixture(scope="module")
def fitted() -> EmergenceFit:
    return fit_emergence(emergence_data(study()), laws="relu")


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
    """log10 FLOPs falls in step with the loss: the same study, seen on the other axis."""
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


@pytest.mark.parametrize("name", list(LAWS))
def test_more_finetuning_never_moves_the_elbow_back(name: str) -> None:
    """Monotone by construction: for any coordinates whatever."""
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
    with jax.enable_x64(True):
        p = natural(z, Member(*law.member), scales)
        ours = -np.asarray(elbow(p, logs, law.member.kind, scales))
        k = p.shift / (scales.log_high**p.alpha - scales.log_low**p.alpha)
        c = -(p.end + p.shift) - k * scales.log_low**p.alpha
        assert np.allclose(ours, k * logs**p.alpha + c)


def test_counts_are_binomial_when_runs_do_not_differ() -> None:
    """The double binomial at no spread is the binomial; score and information are its own."""
    rows = jax.tree.map(lambda a: a[0], stacked([emergence_data(study())], [LAWS["relu"]]))
    n = rows.trials
    rate = np.linspace(0.05, 0.6, len(n))

    class P:
        run, luck = 0.0, 0.0

    with jax.enable_x64(True):
        terms, score, information = row_terms(P, rate, 0.0 * rate, rows, counts=True)
    passes = np.round(rows.y * n)
    expected = stats.binom.logpmf(passes, n, rate) - stats.binom.logpmf(passes, n, rows.y)
    live = rows.weight > 0
    assert np.allclose(np.asarray(terms)[live], expected[live], atol=1e-8)
    assert np.allclose(score, (rows.y - rate) * n / (rate * (1 - rate)))
    assert np.allclose(information, n / (rate * (1 - rate)))


@pytest.mark.slow
def test_subsets_are_integrated_out() -> None:
    """Against brute force: one subset's shift, integrated on a fine grid, normal scores."""
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
    # Rows that the shift carries over the corner are what is left of the difference.
    assert ours == pytest.approx(brute, abs=0.2)


def test_weights_follow_held_out_scores() -> None:
    rng = np.random.default_rng(0)
    even = pseudo_weights(np.zeros((3, 8)), rng)
    assert np.allclose(even, 1 / 3)
    better = np.array([[0.0] * 8, [-2.0] * 8])
    assert pseudo_weights(better, rng)[0] > 0.99
    # A lead that rests on one checkpoint is not certain.
    lucky = np.zeros((2, 8))
    lucky[0, 0] = 4.0
    assert 0.6 < pseudo_weights(lucky, rng)[0] < 0.95


# ------------------------------------------------------------------ thin data, said plainly


def test_everything_at_chance() -> None:
    flat = emergence_data(study(Truth(elbow=1.0, shift=0.3)))
    found = fit_emergence(flat, laws="relu")
    assert found.status is EmergenceStatus.AT_CHANCE
    point = emergence_point(found)
    assert np.isnan(point.value)
    assert point.interval[1] == pytest.approx(LOSSES.min())
    assert "everything is at chance" in str(point)
    assert "clearly above 0.25" in str(point)
    assert point.to_dict()["point"]["value"] is None
    with pytest.raises(UsageError, match="nothing is known"):
        probability_emerged(found, 1.9)
    with pytest.raises(FitError, match="everything is at chance"):
        fit_emergence(flat, laws="relu", throw=True)


@pytest.mark.slow
def test_fewer_than_three_amounts() -> None:
    found = fit_emergence(emergence_data(study(amounts=(480, 7500))), laws="relu")
    assert found.status is EmergenceStatus.TOO_FEW_AMOUNTS
    note = next(n for n in found.notes if n.code == "few-amounts")
    assert "480, 7500" in note.message
    assert "at least three amounts" in note.message
    full = fit_emergence(emergence_data(study()), laws="relu")
    wide, narrow = (emergence_point(f).interval for f in (found, full))
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


def test_no_finetuned_model_past_its_elbow() -> None:
    """The best checkpoints only just leave chance: the point is the prior's, and said so."""
    barely = study(losses=np.linspace(2.7, 2.19, 10), items=300)
    found = fit_emergence(emergence_data(barely), laws="relu")
    assert found.status in (
        EmergenceStatus.NOT_EMERGED,
        EmergenceStatus.AT_CHANCE,
        EmergenceStatus.VAGUE,
    )
    assert any(n.severity == "serious" for n in found.notes)


def test_low_data_limit_is_told(fitted: EmergenceFit) -> None:
    note = next(n for n in fitted.notes if n.code == "low-data")
    assert set(note.details) == {"1x", "3x", "10x"}
    assert note.details["1x"] < note.details["3x"] < note.details["10x"]
    # Fitting with another D_0 moves the point as the note says it would.
    other = fit_emergence(emergence_data(study(), low_data=50), laws="relu")
    assert emergence_point(other).value == pytest.approx(note.details["10x"], abs=0.06)


def test_a_drift_with_model_size_is_noted() -> None:
    drifting = Truth(elbow=1.9, shift=0.3, slope=0.9, by_size=0.04, run=3e-4)
    noted = fit_emergence(emergence_data(study(drifting, sizes=3)), laws="relu")
    assert any(n.code == "by-size" for n in noted.notes), noted.notes
    straight = fit_emergence(emergence_data(study(seed=4)), laws="relu")
    assert not any(n.code == "by-size" for n in straight.notes)


# ------------------------------------------------------------------ bad input


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


# ------------------------------------------------------------------ through a loss law


def chinchilla_fit() -> Fit:
    rng = np.random.default_rng(0)
    params = 10 ** rng.uniform(7.5, 9.7, 60)
    tokens = params * 10 ** rng.uniform(0.5, 2.0, 60)
    loss = 1.69 + 406.4 / params**0.34 + 410.7 / tokens**0.28
    noisy = loss * np.exp(0.003 * rng.standard_normal(60))
    return fit("chinchilla", {"params": params, "tokens": tokens, "loss": noisy})


@pytest.mark.slow
def test_parameters_tokens_and_flops() -> None:
    """The chain of both laws, against the loss law's closed form at the truth."""
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
    # A planned model: sure on either side, unsure at the point.
    sure = probability_emerged(found, planned_losses(loss, 1e12, 2e13))
    not_yet = probability_emerged(found, planned_losses(loss, 1e8, 2e9))
    assert sure > 0.9
    assert not_yet < 0.1
    assert 0.3 < probability_emerged(found, emergence_point(found).value) < 0.7


def test_out_of_reach_is_said() -> None:
    """A point below the loss law's floor is never reached."""
    low = Truth(elbow=1.5, shift=0.3, alpha=1.0, slope=0.9, run=3e-4)
    found = fit_emergence(emergence_data(study(low, losses=LOSSES - 0.4)), laws="relu")
    reach = in_params(found, chinchilla_fit(), 1e12)
    assert reach.never > 0.5
    assert np.isinf(reach.value)
    assert "out of reach" in str(reach)
    assert reach.to_dict()["value"] is None


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


# ------------------------------------------------------------------ what to run next


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
    """Finetuned curves alone, elbows far apart: the point is sought above what no model reaches."""
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


def test_few_shot_scores_that_contradict_the_law_are_told() -> None:
    """Finetuned curves say: not before 1.5 nats; few-shot scores rise from 2.1 on."""
    truth = Truth(elbow=1.5, shift=0.6, slope=0.8, chance=0.0)
    table = simulate_study(
        truth, np.random.default_rng(1), losses=np.linspace(2.4, 1.9, 10), items=2000
    )
    agrees = fit_emergence(emergence_data(table), laws="relu")
    assert agrees.status is not EmergenceStatus.CONTRADICTED
    few = pl.col("finetune_examples") == 0
    early = (2000 * 0.15 * (2.1 - pl.col("loss")).clip(0)).round()
    table = table.with_columns(passes=pl.when(few).then(early).otherwise(pl.col("passes")))
    found = fit_emergence(emergence_data(table), laws="relu")
    (note,) = [n for n in found.notes if n.code == "few-shot-misfit"]
    assert note.severity == "serious"
    assert note.details["score"] > note.details["expected"]
    assert found.status is EmergenceStatus.CONTRADICTED
    assert "contradict" in str(emergence_point(found))


def test_what_never_comes_is_told_so() -> None:
    """.9 above chance, by a slope of .2 a nat: no loss is low enough."""
    truth = Truth(elbow=1.9, shift=0.3, slope=0.2, chance=0.0)
    table = simulate_study(truth, np.random.default_rng(2), losses=np.linspace(2.4, 1.92, 10))
    point = emergence_point(
        fit_emergence(emergence_data(table), laws="relu"), "above", distance=0.9
    )
    assert "never" in str(point)
    assert point.to_dict()["point"]["value"] is None


def test_a_point_farther_off_than_the_checkpoints_span_is_not_answered() -> None:
    """Elbows that move a nat for each amount, seen over half a nat."""
    truth = Truth(elbow=0.9, shift=1.4, slope=0.5, chance=0.0, subset=1e-3, checkpoint=1e-3)
    table = simulate_study(
        truth,
        np.random.default_rng(3),
        losses=np.linspace(2.4, 1.9, 12),
        amounts=(1800, 3600, 7500),
        items=20_000,
    )
    found = fit_emergence(emergence_data(table), laws="relu")
    assert found.status in (EmergenceStatus.FAR, EmergenceStatus.VAGUE)
    assert "beyond the best checkpoint" in " ".join(n.message for n in found.notes)
    assert found.status.remedy


def test_finetuned_scores_that_do_not_hang_on_the_loss_are_no_answer() -> None:
    """As in the lab's sorting of letters: so many examples teach so much, whatever the model."""
    table = study()
    amounts = sorted(table["finetune_examples"].unique())
    rates = {amount: 0.15 * k for k, amount in enumerate(amounts)}
    rng = np.random.default_rng(0)
    passes = [
        float(rng.binomial(int(n), rates[a]))
        for a, n in zip(table["finetune_examples"], table["samples"], strict=True)
    ]
    table = table.with_columns(passes=pl.Series(passes), chance=0.0)
    found = fit_emergence(emergence_data(table), laws="relu")
    assert found.status is EmergenceStatus.NO_ELBOW
    assert any(n.code == "no-elbow" for n in found.notes)
