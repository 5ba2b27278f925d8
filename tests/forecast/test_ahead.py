"""The average of simple forecasts: its parts, its allowances, and what it refuses."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from augury.data.scores import at_chance
from augury.errors import DataError, UsageError
from augury.forecast.ahead import forecast_ahead
from augury.forecast.ahead.line import Ladder, Walk, last_value, line_ahead
from augury.forecast.ahead.powers import powers_ahead
from augury.forecast.ahead.runs import points_per_run
from augury.forecast.links import LOG, LOGIT, POINTS, log_above
from augury.forecast.questions import ladder_outlook

STILL = Walk(share=0.0, step=0.0, spread=1.0)
LEVELS = np.array([0.05, 0.5, 0.95])


def straight(seed: int = 0, n: int = 12, bend: float = 0.0) -> Ladder:
    """y = 2 + .5 z + bend z^2 with noise of .1, and three points beyond."""
    rng = np.random.default_rng(seed)
    z, far = np.linspace(0.0, 5.0, n), np.array([6.0, 7.0, 8.0])
    y = 2 + 0.5 * z + bend * z**2 + 0.1 * rng.standard_normal(n)
    return Ladder(z[:, None], far[:, None], z, far, y)


def table(n: int = 9, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    params = np.geomspace(1e8, 1e10, n)
    tokens = 20 * params * np.exp(0.3 * rng.standard_normal(n))
    loss = 1.7 + 400 * params**-0.34 + 1500 * tokens**-0.37
    return pl.DataFrame({"params": params, "tokens": tokens, "loss": loss})


def test_a_line_without_a_walk_is_that_of_textbooks() -> None:
    ladder = straight()
    found = line_ahead(ladder, POINTS, STILL)
    z, y = ladder.size, ladder.y
    line = stats.linregress(z, y)
    middle = line.intercept + line.slope * ladder.far
    off = y - line.intercept - line.slope * z
    s2 = off @ off / (len(z) - 2)
    leverage = 1 / len(z) + (ladder.far - z.mean()) ** 2 / ((z - z.mean()) ** 2).sum()
    t = stats.t.ppf(0.95, len(z) - 2)
    assert found.middle == pytest.approx(middle)
    assert found.quantiles(LEVELS)[2] == pytest.approx(middle + t * np.sqrt(s2 * (1 + leverage)))
    mean = found.quantiles(LEVELS, new_run=False)
    assert mean[2] == pytest.approx(middle + t * np.sqrt(s2 * leverage))


def test_a_prior_of_the_noise_is_so_many_residuals() -> None:
    ladder = straight()
    alone = line_ahead(ladder, POINTS, STILL)
    held = line_ahead(ladder, POINTS, Walk(0.0, 0.0, 1.0, noise=0.3, worth=5.0))
    assert held.freedom == alone.freedom + 5
    expected = (alone.noise * alone.freedom + 5 * 0.3**2) / held.freedom
    assert held.noise == pytest.approx(expected)


def test_intervals_of_straight_ladders_hold() -> None:
    """300 forecasts of 100 ladders whose noise is drawn from the prior: 90 % +- 3 %."""
    walk = Walk(0.0, 0.0, 1.0, noise=0.1, worth=4.0)
    held = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        noise = 0.1 / np.sqrt(rng.chisquare(4) / 4)
        z, far = np.linspace(0, 5, 6), np.array([6.0, 7.0, 8.0])
        y, truth = (1 + 0.5 * x + noise * rng.standard_normal(len(x)) for x in (z, far))
        low, _, high = line_ahead(
            Ladder(z[:, None], far[:, None], z, far, y), POINTS, walk
        ).quantiles(LEVELS)
        held += ((low <= truth) & (truth <= high)).tolist()
    assert 0.85 <= np.mean(held) <= 0.95


def test_a_ladder_that_bent_before_is_trusted_less() -> None:
    """The past sets the walk's multiple: lower for a straight ladder, higher for a bent one."""
    walk = Walk(share=0.3, step=0.0, spread=0.7)
    usual = line_ahead(straight(), POINTS, STILL)
    still = [line_ahead(straight(seed, 24), POINTS, walk).walk for seed in range(5)]
    bent = [line_ahead(straight(seed, 24, bend=0.1), POINTS, walk).walk for seed in range(5)]
    unit = (0.3 * (usual.middle - 4.5)) ** 2
    assert (np.mean(still, 0) < unit).all()
    assert (np.mean(bent, 0) > 4 * np.mean(still, 0)).all()
    for found in (*still, *bent):
        assert (np.diff(found) > 0).all()


def test_late_weights_follow_a_late_slope() -> None:
    z = np.linspace(0.0, 6.0, 25)
    y = np.where(z < 4, 0.0, z - 4)
    far = np.array([7.0])
    ladder = Ladder(z[:, None], far[:, None], z, far, y)
    every, late, later = (
        line_ahead(ladder, POINTS, STILL, near).middle[0] for near in (None, 0.5, 0.2)
    )
    assert every < late < later < 3.0


def test_the_last_value_walks_as_the_ladder_did() -> None:
    rng = np.random.default_rng(1)
    size = np.cumsum(rng.uniform(0.5, 1.5, 40))
    y = np.cumsum(rng.standard_normal(40) * np.sqrt(np.diff(size, prepend=0.0)))
    far = size[-1] + np.array([1.0, 4.0])
    found = last_value(Ladder(size[:, None], far[:, None], size, far, y), POINTS, LEVELS)
    assert found[1] == pytest.approx(y[-1])
    assert (found[2] - y[-1])[1] == pytest.approx(2 * (found[2] - y[-1])[0])
    assert (found[2] - y[-1])[0] == pytest.approx(1.68, rel=0.35)  # 40 steps of variance 1


def rising(slope: float, chance: float | None = None, first: float = 0.0) -> pl.DataFrame:
    """Scores of six models that rise by a slope each, over a sixfold range."""
    scores = [{"params": i * 1e8, "tokens": i * 1e9, "value": min(first + slope * i, 1.0)}
              for i in range(1, 7)]  # fmt: skip
    return pl.DataFrame([row | {"task": "t", "chance": chance} for row in scores])


@pytest.mark.parametrize("times", [3, 30, 3000])
def test_a_line_far_above_one_leaves_an_interval(times: float) -> None:
    """It was [1, 1]: lines far above 1 were averaged before they were cut off."""
    at = {"params": times * 1e9, "tokens": times * 1e10}
    (found,) = forecast_ahead(rising(0.15), at, output="value")
    low, high = found.interval
    assert 0.6 <= low < found.value <= high <= 1
    assert high - low > 0.02
    assert found.mean_interval[0] < found.mean_interval[1] <= 1


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (rising(0.0), True),
        (rising(0.003), False),  # a rate of 2 % that nobody can guess
        (rising(0.003, chance=0.25, first=0.25), True),
        (rising(0.02, chance=0.25, first=0.25), False),
    ],
)
def test_scores_at_chance_cannot_show_what_is_coming(scores: pl.DataFrame, said: bool) -> None:
    (found,) = forecast_ahead(scores, {"params": 1e9, "tokens": 1e10}, output="value")
    notes = [note for note in found.notes if note.code == "scores-at-chance"]
    assert [note.details["tasks"] for note in notes] == [["t"]] * said
    rows = pl.concat(
        [scores, rising(0.1, chance=scores["chance"][0]).with_columns(task=pl.lit("u"))]
    )
    outlook = ladder_outlook(
        rows.with_columns(model=pl.col("params").cast(pl.String)), {"params": 1e9, "tokens": 1e10}
    )
    assert not at_chance(scores.with_columns(metric=pl.lit("brier")))  # 0 is as good as can be
    assert {one["task"]: one["at_chance"] for one in outlook.to_list()} == {"t": said, "u": False}
    assert [note.code for note in outlook.notes if note.code == "scores-at-chance"] == [
        "scores-at-chance"
    ] * said


def test_instances_keep_what_guessing_scores() -> None:
    rows = rising(0.0, chance=0.25, first=0.25).with_columns(
        model=pl.col("params").cast(pl.String), instance=pl.lit("i")
    )
    both = pl.concat([rows, rows.with_columns(instance=pl.lit("j"))])
    (found,) = forecast_ahead(both, {"params": 1e9, "tokens": 1e10}, output="value")
    assert [note.code for note in found.notes if note.code == "scores-at-chance"]


@pytest.mark.parametrize("link", [POINTS, LOG, LOGIT, log_above(0.05)])
def test_links_lead_back(link: object) -> None:
    y = np.array([0.1, 0.5, 0.9])
    assert link.back(link.to(y)) == pytest.approx(y)  # type: ignore[attr-defined]


def test_a_law_of_two_scales_is_forecast() -> None:
    runs = table()
    n, d = 2e10, 4e11
    (found,) = forecast_ahead(runs, {"params": n, "tokens": d})
    truth = 1.7 + 400 * n**-0.34 + 1500 * d**-0.37
    assert found.interval[0] < truth < found.interval[1]
    assert found.value == pytest.approx(truth, rel=0.05)
    assert found.interval[0] <= found.mean_interval[0] < found.mean_interval[1] <= found.interval[1]
    rng = np.random.default_rng(1)
    loose = runs.with_columns(loss=pl.col("loss") * np.exp(0.05 * rng.standard_normal(runs.height)))
    (scattered,) = forecast_ahead(loose, {"params": n, "tokens": d})
    assert (
        0 < found.run_share < scattered.run_share < 1
    )  # for models on the law, more belongs to the trend
    assert "new model" in str(found)
    assert found.to_dict()["task"] is None
    narrow = forecast_ahead(runs, {"params": n, "tokens": d}, level=0.5)[0]
    assert found.interval[0] < narrow.interval[0] < narrow.interval[1] < found.interval[1]
    assert narrow.value == pytest.approx(found.value)


def test_tasks_and_points_each_have_a_forecast() -> None:
    params = np.geomspace(1e8, 1e10, 8)
    score = 1 / (1 + np.exp(-0.5 * np.log(params / 2e9)))
    rows = pl.DataFrame(
        {
            "task": ["hard"] * 8 + ["easy"] * 8,
            "params": np.tile(params, 2),
            "value": np.concatenate([score**2, score**0.5]),
        }
    )
    found = forecast_ahead(rows, [{"params": 3e10}, {"params": 1e12}])
    assert [(f.task, f.at["params"]) for f in found] == [
        ("hard", 3e10), ("hard", 1e12), ("easy", 3e10), ("easy", 1e12),
    ]  # fmt: skip
    assert all(0 <= f.interval[0] <= f.value <= f.interval[1] <= 1 for f in found)
    assert [[n.code for n in f.notes] for f in found[:2]] == [[], []]
    far = forecast_ahead(rows, {"params": 1e13})[0]
    assert [n.code for n in far.notes] == ["far"]


def test_instances_are_averaged_before() -> None:
    runs = pl.DataFrame(
        {"model": [f"m{i}" for i in range(6)], "params": np.geomspace(1e8, 1e10, 6),
         "value": np.linspace(0.2, 0.7, 6)}
    )  # fmt: skip
    halves = [runs.with_columns(instance=pl.lit(i), value=pl.col("value") + off)
              for i, off in (("a", -0.1), ("b", 0.1))]  # fmt: skip
    one = forecast_ahead(runs, {"params": 3e10})[0]
    two = forecast_ahead(pl.concat(halves), {"params": 3e10})[0]
    assert (two.value, *two.interval) == pytest.approx((one.value, *one.interval))
    assert two.models == 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.head(3), "too few"),
        (lambda t: t.rename({"loss": "value"}), "scores from 0 to 1"),
        (lambda t: t.with_columns(params=1e9, tokens=1e10).drop("flops", strict=False), "no scale"),
        (lambda t: t.drop("loss"), "column is missing"),
        (lambda t: t.rename({"params": "N"}).drop("tokens"), r"\(N, loss\) mapped to it"),
    ],
)
def test_what_cannot_be_forecast_is_refused(change: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        forecast_ahead(change(table()), {"params": 1e11, "tokens": 1e12})  # type: ignore[operator]


def test_a_point_without_the_scale_is_refused() -> None:
    with pytest.raises(UsageError, match="has no flops"):
        forecast_ahead(table(), {"params": 1e11})
    with pytest.raises(UsageError, match="level"):
        forecast_ahead(table(), {"params": 1e11, "tokens": 1e12}, level=90)


@settings(max_examples=20, deadline=None)
@given(st.integers(4, 14), st.integers(0, 10**6), st.floats(-2, 2), st.floats(0, 1))
def test_any_ladder_has_an_interval_around_its_value(
    n: int, seed: int, slope: float, noise: float
) -> None:
    rng = np.random.default_rng(seed)
    params = np.sort(rng.uniform(1e8, 1e10, n))
    loss = np.exp(1 + slope * np.log(params / 1e9) + noise * rng.standard_normal(n))
    score = loss / (1 + loss)
    for output, y in (("loss", loss), ("value", score)):
        (found,) = forecast_ahead(
            pl.DataFrame({"params": params, output: y}), {"params": 4e10}, output=output
        )
        ends = (*found.interval, *found.mean_interval)
        assert np.isfinite([found.value, *ends]).all()
        assert found.interval[0] <= found.value <= found.interval[1]
        if found.interval[0] < found.interval[1]:
            assert found.run_share is not None
            assert 0 <= found.run_share <= 1
        else:
            assert found.run_share is None


def test_checkpoints_count_as_their_correlation_says() -> None:
    """Kish's design effect, compared with intervals of simulated ladders whose runs differ."""
    assert points_per_run(np.ones(4), np.ones(4), np.arange(4)) == 1.0
    run = np.repeat(np.arange(200), 4)
    rng = np.random.default_rng(0)
    alike = rng.standard_normal(200)[run]
    mixed = alike + rng.standard_normal(800)
    assert points_per_run(alike, np.ones(800), run) == pytest.approx(4.0, abs=0.1)
    assert points_per_run(mixed, np.ones(800), run) == pytest.approx(2.5, abs=0.3)
    held = {True: 0, False: 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        run = np.repeat(np.arange(8), 4)
        size = np.linspace(0.0, 5.0, 8)[run]
        y = size + rng.standard_normal(8)[run] + 0.3 * rng.standard_normal(32)
        far = np.array([7.0])
        truth = 7.0 + rng.standard_normal() + 0.3 * rng.standard_normal()
        for known in held:
            ladder = Ladder(size[:, None], far[:, None], size, far, y, run if known else None)
            low, _, high = line_ahead(ladder, POINTS, STILL).quantiles(LEVELS)
            held[known] += int(low[0] <= truth <= high[0])
    assert 170 <= held[True] <= 190
    assert held[False] < 160


def test_powers_find_a_law_and_say_what_few_runs_leave_open() -> None:
    z = np.linspace(np.log(1e8), np.log(1e10), 16)
    far = np.log([3e10])
    y = 1.7 + 400 * np.exp(-0.34 * z)
    truth = np.log(1.7 + 400 * np.exp(-0.34 * far[0]))
    none = Walk(0.0, 0.0, 1.0, noise=0.002, worth=2.0)
    many = Ladder(z[:, None], far[:, None], z, far, y, names=("params",))
    found = powers_ahead(many, none)
    assert found.middle[0] == pytest.approx(truth, abs=0.003)
    few = powers_ahead(
        Ladder(z[:5, None], far[:, None], z[:5], far, y[:5], names=("params",)), none
    )
    low, _, high = few.quantiles(LEVELS)
    assert low[0] < truth < high[0]
    assert few.trend[0] > 10 * found.trend[0]
