"""Wordings of one benchmark move levels: each model counts once, and the wordings are a sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.special import expit

from augury.forecast.ahead import AheadForecast, forecast_ahead
from augury.forecast.links import ARCSINE, POINTS
from augury.forecast.wordings import Wordings, additive, over_wordings
from tests.sequential import coverage

LEVELS = np.array([0.05, 0.5, 0.95])
# The ladder of the simulations: logit of the score over the logarithm of the scale.
SLOPE, RUN, OWN, FAR = 0.35, 0.08, 0.05, 200.0


def ladder(rng: np.random.Generator, words: int, spread: float, models: int = 20) -> pl.DataFrame:
    """Models over two decades, each asked in every wording."""
    z = np.linspace(0.0, np.log(100.0), models)
    own = OWN * rng.standard_normal((models, words)) + RUN * rng.standard_normal((models, 1))
    v = -1 + SLOPE * z[:, None] + own + spread * rng.standard_normal(words)
    i, w = (x.ravel() for x in np.indices(v.shape))
    return pl.DataFrame(
        {"model": [f"m{k}" for k in i], "params": 1e7 * np.exp(z)[i],
         "prompt": [f"wording {k}" for k in w], "value": expit(v.ravel())}
    )  # fmt: skip


def truths(rng: np.random.Generator, spread: float) -> tuple[float, float, float]:
    """A new model's mean over all wordings, the same of many models, and a new model in one."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    middle, run = -1 + SLOPE * np.log(FAR), RUN * rng.standard_normal()

    def mean(v: float) -> float:
        return float(weights @ expit(v + spread * nodes) / weights.sum())

    asked = spread * rng.standard_normal() + OWN * rng.standard_normal()
    return mean(middle + run), mean(middle), float(expit(middle + run + asked))


def ahead(table: pl.DataFrame) -> AheadForecast:
    return forecast_ahead(table, {"params": 1e7 * FAR})[0]


def test_effects_are_those_of_least_squares_on_dummies() -> None:
    rng = np.random.default_rng(0)
    unit, word = (x.ravel() for x in np.indices((7, 4)))
    kept = rng.random(28) < 0.7
    unit, word = unit[kept], word[kept]
    v, weight = rng.standard_normal(kept.sum()), rng.uniform(0.5, 2.0, kept.sum())
    design = np.column_stack([unit == k for k in range(7)] + [word == k for k in range(1, 4)])
    root = np.sqrt(weight)
    best = np.linalg.lstsq(design * root[:, None], v * root, rcond=None)[0]
    level = np.append(0.0, best[7:])
    model, found, words = additive(v, unit, word, weight)
    assert found == pytest.approx(level - level.mean())
    assert model == pytest.approx(best[:7] + level.mean())
    assert words.spread == pytest.approx(level.std(ddof=1))
    left = root * (v - design @ best)
    assert words.rest == pytest.approx(np.sqrt(left @ left / weight.mean() / (len(v) - 10)))
    assert (words.count, words.freedom) == (4, 3)


def test_the_interval_of_exact_models_is_that_of_a_sample_of_wordings() -> None:
    """Without other errors: Student's t of the wordings' levels, for their mean and a new one."""
    levels = np.array([0.1, 0.4, 0.2, 0.6])
    unit, word = (x.ravel() for x in np.indices((5, 4)))
    _, _, found = additive((unit + levels[word]).astype(float), unit, word, np.ones(20))
    exact = np.full((3, 1), 0.3)
    mean = stats.t.interval(0.9, 3, 0.3, levels.std(ddof=1) / 2)
    assert found.widen(exact, LEVELS, POINTS)[[0, 2], 0] == pytest.approx(mean)
    new = stats.t.interval(0.9, 3, 0.3, levels.std(ddof=1) * np.sqrt(1.25))
    assert found.widen(exact, LEVELS, POINTS, new=True)[[0, 2], 0] == pytest.approx(new)
    assert found.widen(exact, LEVELS, POINTS)[1, 0] == 0.3


def test_a_model_counts_once_with_the_mean_of_its_wordings() -> None:
    table = ladder(np.random.default_rng(1), 3, 0.4, 6)
    rows, words = over_wordings(table.sample(fraction=1.0, shuffle=True, seed=0), "value", ARCSINE)
    means = table.group_by("model").agg(pl.col("value").mean())
    assert rows.columns == ["model", "params", "value"]
    assert rows.sort("model")["value"].to_numpy() == pytest.approx(means.sort("model")["value"])
    assert words is not None
    assert words.count == 3
    # A model that lacks the easiest wording is not judged as weaker for it.
    easy = table.group_by("prompt").agg(pl.col("value").mean()).sort("value")["prompt"][-1]
    lacking = table.filter((pl.col("model") != "m5") | (pl.col("prompt") != easy))
    filled = over_wordings(lacking, "value", ARCSINE)[0].filter(model="m5")["value"][0]
    plain = lacking.filter(model="m5")["value"].mean()
    whole = means.filter(model="m5")["value"][0]
    assert abs(filled - whole) < 0.2 * abs(plain - whole)


def test_seeds_without_a_name_stay_apart() -> None:
    seeds = [{"params": p, "prompt": w, "value": 0.3 + d}
             for p in (1e8, 1e9) for d in (0.0, 0.1) for w in ("a", "b")]  # fmt: skip
    assert over_wordings(pl.DataFrame(seeds), "value", ARCSINE)[0]["value"].to_list() == (
        pytest.approx([0.3, 0.4, 0.3, 0.4])
    )


def test_tables_that_tell_of_no_wording_keep_their_numbers() -> None:
    plain = ladder(np.random.default_rng(2), 1, 0.0).drop("prompt")
    before = ahead(plain)
    assert before.wordings is None
    assert not before.notes
    empty = ahead(plain.with_columns(prompt=pl.lit(None, pl.String)))
    assert empty == before
    one = ahead(plain.with_columns(prompt=pl.lit("Is it true?")))
    assert (one.value, one.interval) == (before.value, before.interval)
    assert [n.code for n in one.notes] == ["one-wording"]
    assert one.to_dict()["wordings"] == {"count": 1, "interval": None, "share": None}
    apart = ahead(plain.with_columns(prompt=pl.col("model")))
    assert apart.interval == before.interval
    assert [n.code for n in apart.notes] == ["wordings-apart"]


def test_the_texts_of_instances_are_not_wordings() -> None:
    rows = ladder(np.random.default_rng(3), 4, 0.4).with_columns(instance=pl.col("prompt"))
    texts, plain = ahead(rows), ahead(rows.drop("prompt"))
    assert texts == plain


def test_instances_asked_in_several_wordings() -> None:
    """Averaged over instances first: the same as scores of the task."""
    whole = ladder(np.random.default_rng(4), 3, 0.4)
    halves = [whole.with_columns(instance=pl.lit(i), value=pl.col("value") + d)
              for i, d in (("a", -0.02), ("b", 0.02))]  # fmt: skip
    one, two = ahead(whole), ahead(pl.concat(halves))
    assert two.interval == pytest.approx(one.interval)
    assert two.wordings is not None
    assert one.wordings is not None
    assert two.wordings.interval == pytest.approx(one.wordings.interval)


def test_more_wordings_narrow_the_interval_and_their_share() -> None:
    few, many = (ahead(ladder(np.random.default_rng(5), n, 0.4)) for n in (3, 30))
    assert few.wordings is not None
    assert many.wordings is not None
    assert few.wordings.share is not None
    assert many.wordings.share is not None
    assert few.wordings.share > 0.5 > many.wordings.share
    ends = few.wordings.interval
    assert ends is not None
    assert ends[0] < few.interval[0] < few.interval[1] < ends[1]
    assert "one new wording" in str(few)
    assert not Wordings(1, np.nan).counted


def held(seed: int, words: int, spread: float, count: int) -> Iterator[list[bool]]:
    """Which intervals held: for the three truths; then with wordings taken for runs."""
    for i in range(count):
        rng = np.random.default_rng([seed, words, i])
        table = ladder(rng, words, spread)
        model, mean, asked = truths(rng, spread)
        found, apart = ahead(table), ahead(table.drop("prompt"))
        assert found.wordings is not None
        assert found.wordings.interval is not None
        pairs = ((model, found.interval), (mean, found.mean_interval),
                 (asked, found.wordings.interval),
                 (model, apart.interval), (mean, apart.mean_interval))  # fmt: skip
        yield [low <= y <= high for y, (low, high) in pairs]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [3, *(pytest.param(n, marks=pytest.mark.claims) for n in (2, 5, 10))]
)
def test_intervals_hold_for_the_mean_over_wordings_and_for_a_new_one(words: int) -> None:
    """Of 200 ladders; without the column, wordings pass for runs and the mean is missed."""
    apart = []

    def ours() -> Iterator[list[bool]]:
        for draw in held(0, words, 0.6, 200):
            apart.append(draw[4])
            yield draw[:3]

    found = coverage(ours(), of=200, least=0.84, whole=words != 3)
    assert found.passed, found
    assert np.mean(apart) < 0.8
