"""Wordings in pass rates, ladders of tasks and trends: the same rule, on each one's own scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from augury.errors import DataError
from augury.fitting.space import Floats
from augury.forecast.ladder import RECIPES, forecast_ladder
from augury.forecast.passrate import forecast_pass_rate, series
from augury.forecast.passrate.bent_lines import average_of_lines
from augury.forecast.passrate.rate_series import GROWING, to_f
from augury.forecast.questions import ladder_outlook
from augury.forecast.trends import outlook, trends
from tests.sequential import coverage

LEVELS = np.array([0.05, 0.5, 0.95])
FAR, RUN = 2e10, 0.05


def counts(seed: int, words: int, spread: float, models: int = 10) -> tuple[pl.DataFrame, Floats]:
    """Six instances in several wordings; and a new model's rate, and that of many, at `FAR`."""
    rng = np.random.default_rng([seed, words])
    x, s = np.geomspace(1e8, 1e10, models), 0.3 * rng.standard_normal(6)
    u = spread * rng.standard_normal(words)
    f = (1.6 - 0.2 * np.log(x / 1e9) + RUN * rng.standard_normal(models))[:, None, None]
    passes = rng.binomial(2000, np.exp(-np.exp(f + s[:, None] + u)))
    m, i, w = (a.ravel() for a in np.indices(passes.shape))
    table = pl.DataFrame(
        {"model": [f"m{k}" for k in m], "params": x[m], "instance": [f"i{k}" for k in i],
         "prompt": [f"w{k}" for k in w], "passes": passes.ravel().astype(float), "samples": 2000.0}
    )  # fmt: skip
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    ahead = 1.6 - 0.2 * np.log(FAR / 1e9) + np.array([RUN * rng.standard_normal(), 0.0])
    rates = np.exp(-np.exp(ahead[:, None, None] + s[:, None] + spread * nodes))
    return table, (rates @ weights / weights.sum()).mean(1)


def averaged(table: pl.DataFrame) -> tuple[Floats, Floats]:
    """The (3,) quantiles of a new model and of the mean, as `forecast_pass_rate` reports them."""
    found = series(table, ("params",))
    words, made = found.wordings(), average_of_lines(found, np.array([[FAR]]), LEVELS)
    ends = [q if words is None else words.widen(q, LEVELS, GROWING) for q in (made.run, made.mean)]
    return ends[0][:, 0], ends[1][:, 0]


def pooled(table: pl.DataFrame) -> pl.DataFrame:
    """The same counts as if there were one wording."""
    keys = ("model", "params", "instance")
    return table.group_by(keys, maintain_order=True).agg(pl.col("passes", "samples").sum())


@pytest.mark.slow
@pytest.mark.parametrize("words", [3, pytest.param(5, marks=pytest.mark.claims)])
def test_intervals_of_pass_rates_hold_for_the_mean_over_wordings(words: int) -> None:
    """Of 150 tables; with the wordings' counts added up, the mean is missed more often."""
    apart = []

    def draws() -> Iterator[tuple[bool, bool]]:
        for seed in range(150):
            table, (new, mean) = counts(seed, words, 0.4)
            (run, sure), (_, added) = averaged(table), averaged(pooled(table))
            apart.append(added[0] <= mean <= added[2])
            yield run[0] <= new <= run[2], sure[0] <= mean <= sure[2]

    held = coverage(draws(), of=150, least=0.84, whole=words != 3)
    assert held.passed, held
    assert np.mean(apart) < min(0.8, held.shares[1])


def test_a_pass_rate_is_the_mean_over_wordings() -> None:
    table, _ = counts(0, 4, 0.3)
    found, plain = series(table, ("params",)), series(pooled(table), ("params",))
    assert found.instances == plain.instances == 6
    assert found.rate == pytest.approx(plain.rate, rel=1e-6)
    words = found.wordings()
    assert words is not None
    often = table.filter(pl.col("params") > 1e9)  # fewer passes than these tell little of a level
    each = often.group_by("model", "prompt").agg((pl.col("passes") / pl.col("samples")).mean())
    wide = each.pivot("prompt", index="model", values="passes").drop("model").to_numpy()
    level = -to_f(wide).mean(0)
    assert words.spread == pytest.approx(level.std(ddof=1), rel=0.1)  # ours weighs by precision


def test_wordings_that_a_model_lacks_are_left_out_if_two_others_remain() -> None:
    table, _ = counts(0, 4, 0.3)
    lacking = table.filter((pl.col("model") != "m3") | (pl.col("prompt") != "w1"))
    unasked = table.with_columns(
        pl.when((pl.col("model") == "m3") & (pl.col("prompt") == "w1")).then(0.0)
        .otherwise(pl.col(name)).alias(name) for name in ("passes", "samples")
    )  # fmt: skip
    without = series(table.filter(pl.col("prompt") != "w1"), ("params",))
    for part in (lacking, unasked):
        found = series(part, ("params",))
        assert found.left_out == (("w1", "m3"),)
        assert found.rate == pytest.approx(without.rate)
        assert found.wordings() == without.wordings()
    (made,) = forecast_pass_rate(lacking, [{"params": FAR}])
    (note,) = [note for note in made.notes if note.code == "wordings-left-out"]
    assert note.message.startswith("1 wording not asked of every model, left out: 'w1'")
    nameless = lacking.with_columns(prompt=pl.col("prompt").replace("w1", None))
    (made,) = forecast_pass_rate(nameless, [{"params": FAR}])
    (note,) = [note for note in made.notes if note.code == "wordings-left-out"]
    assert note.message.endswith("left out: rows without a name (of model 'm3')")
    two = lacking.filter(pl.col("prompt").is_in(["w0", "w1"]))
    with pytest.raises(DataError, match="model 'm3' was not asked in every wording"):
        series(two, ("params",))


@pytest.mark.slow
def test_forecasts_of_pass_rates_say_what_is_known_about_wordings() -> None:
    table, _ = counts(1, 3, 0.3)
    (found,) = forecast_pass_rate(table, [{"params": FAR}])
    assert found.leading.interval == pytest.approx(averaged(table)[0][[0, 2]])
    assert found.mean_interval == pytest.approx(averaged(table)[1][[0, 2]])
    assert found.wordings is not None
    assert found.wordings.interval is not None
    (low, high), (new_low, new_high) = found.leading.interval, found.wordings.interval
    assert new_low < low < high < new_high
    assert found.to_dict()["wordings"]["count"] == 3
    assert "one new wording" in str(found)
    one = table.filter(prompt="w0")
    (single,) = forecast_pass_rate(one, [{"params": FAR}])
    (plain,) = forecast_pass_rate(one.drop("prompt"), [{"params": FAR}])
    assert single.leading.interval == plain.leading.interval
    assert "one-wording" in [n.code for n in single.notes]


def tasks(words: int = 4, spread: float = 0.3) -> pl.DataFrame:
    """Nine runs of three sizes, two tasks, several wordings that move the logit of a score."""
    rng = np.random.default_rng(0)
    u = spread * rng.standard_normal(words)
    rows = []
    for n in (1e8, 3e8, 1e9):
        for ratio in (20, 40, 80):
            for task, a in (("easy", 6.0), ("hard", 12.0)):
                bpb = 0.4 + a * n**-0.15 + 40 * (ratio * n) ** -0.25 + 0.002 * rng.normal()
                for w in range(words):
                    value = expit(6 * (0.9 - bpb) + u[w])
                    rows.append((f"{n:g}-{ratio}", task, f"w{w}", n, ratio * n, bpb, value))
    names = ["run", "task", "prompt", "params", "tokens", "bpb", "value"]
    return pl.DataFrame(rows, schema=names, orient="row")


@pytest.mark.slow
def test_a_ladder_of_tasks_is_forecast_for_the_mean_over_wordings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("augury.forecast.ladder.RESAMPLES", 100)
    table, at = tasks(), {"params": 7e9, "tokens": 4e11}
    mean = table.group_by("run", "task", "params", "tokens", "bpb", maintain_order=True).agg(
        pl.col("value").mean()
    )
    ours, plain = (forecast_ladder(t, t, at, recipes=RECIPES[2:3]) for t in (table, mean))
    assert ours.table["value"].to_numpy() == pytest.approx(plain.table["value"].to_numpy())
    for low, high in (("low", "high"), ("mean_low", "mean_high")):
        assert (ours.table[low] < plain.table[low]).all()
        assert (ours.table[high] > plain.table[high]).all()
    assert (plain.table["run_share"] > ours.table["run_share"]).all()
    assert set(ours.wordings) == {"easy", "hard"}
    assert not plain.wordings


def test_a_ladder_without_bits_per_byte_knows_its_wordings() -> None:
    table, at = tasks().drop("bpb"), {"params": 7e9, "tokens": 4e11}
    found = ladder_outlook(table, at)
    best = table.filter(run="1e+09-80").group_by("task").agg(pl.col("value").mean())
    assert dict(found.table.select("task", "now").rows()) == pytest.approx(dict(best.rows()))
    for row in found.to_list():
        (low, high), (mean_low, mean_high) = row["interval"], row["mean_interval"]
        assert low < mean_low < row["value"] < mean_high < high
        assert 0 < row["run_share"] < 1
        assert row["wordings"]["count"] == 4
    assert "one new wording" in str(found)
    one = ladder_outlook(table.filter(prompt="w1"), at)
    assert [n.code for n in one.notes].count("one-wording") == 1
    assert one.table.equals(ladder_outlook(table.filter(prompt="w1").drop("prompt"), at).table)


def test_trends_are_those_of_the_mean_over_wordings() -> None:
    rng = np.random.default_rng(0)
    tokens, u = np.geomspace(1e9, 1e11, 10), np.array([-0.2, 0.0, 0.25])
    rows = [
        {"model": f"m{n:g}", "params": n, "tokens": t, "task": f"t{k}", "prompt": f"w{w}",
         "value": expit(0.1 * k + 0.2 * np.log(t / 1e10) + u[w] + 0.02 * rng.standard_normal())}
        for n in (1e8, 1e9) for k in range(4) for t in tokens for w in range(3)
    ]  # fmt: skip
    table = pl.DataFrame(rows)
    keys = ("model", "params", "tokens", "task")
    mean = table.group_by(keys, maintain_order=True).agg(pl.col("value").mean())
    ours, plain = (trends(t) for t in (table, mean))
    assert [t.p for t in ours.trends] == pytest.approx([t.p for t in plain.trends])
    ours_ahead, plain_ahead = (outlook(t) for t in (table, mean))
    assert ours_ahead["value"].to_numpy() == pytest.approx(plain_ahead["value"].to_numpy())
    assert ours_ahead["falls"].to_numpy() == pytest.approx(plain_ahead["falls"].to_numpy())
    assert (ours_ahead["low"] < plain_ahead["low"]).all()
    assert (ours_ahead["high"] > plain_ahead["high"]).all()
