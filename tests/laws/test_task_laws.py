"""Laws of tasks and of finetuning: figures on public data, limits, and what is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import augury
from augury.errors import DataError, UsageError
from augury.fitting import fit_many
from augury.laws import (
    DirectTask,
    LossToLoss,
    PassAtK,
    PassRate,
    Rectified,
    ShotsMixture,
    pair_losses,
)
from tests.shared import DATA, OLMO_TARGET, OLMO_TASKS, needs_olmo, olmo_ladder

RECTIFIED = DATA / "ft-rectified"
GADRE = DATA / "gadre"
CHANCE = {"piqa": 1 / 2, "csqa": 1 / 5, "socialiqa": 1 / 3}
QUESTIONS = {"mmlu": 14042, "hellaswag": 10042, "arc_challenge": 1172, "arc_easy": 2376,
             "piqa": 1838, "csqa": 1221, "socialiqa": 1954, "openbookqa": 500}  # fmt: skip


@pytest.mark.slow
@needs_olmo
def test_the_direct_law_alone_misses_the_7b_target_by_less_than_3_points() -> None:
    finals, _ = olmo_ladder()
    off = []
    for task, (_, _, truth) in OLMO_TASKS.items():
        chance = CHANCE.get(task, 1 / 4)
        own = finals.filter(pl.col("task") == task).select(
            "task", "params", "tokens", "value", chance=pl.lit(chance), n=pl.lit(QUESTIONS[task])
        )
        fitted = augury.fit("direct-task", own, influence=False, uncertainty="none")
        at = {name: np.array([x]) for name, x in OLMO_TARGET.items()}
        value = fitted.law(fitted.parameters, **at, chance=np.array([chance]))
        off.append(abs(100 * float(value[0]) - truth))
    assert np.mean(off) == pytest.approx(2.86, abs=0.05)


def test_the_direct_law_without_tokens_is_the_pass_rate() -> None:
    n = np.array([1e8, 1e9])
    direct = DirectTask()({"A": 50.0, "alpha": 0.2, "B": 0.0, "beta": 0.3},
                          params=n, tokens=1e9, chance=0.25)  # fmt: skip
    alone = PassRate()({"c": 50.0, "alpha": 0.2}, params=n, chance=0.25)
    assert direct == pytest.approx(alone, rel=1e-12)


@pytest.mark.slow
@pytest.mark.skipif(not RECTIFIED.exists(), reason="the shared data are absent")
@pytest.mark.parametrize(
    ("task", "published"), [("wmt19", 0.01228), ("flan", 0.00648), ("gigaword", 0.00515)]
)
def test_the_rectified_law_leaves_no_more_than_its_authors(task: str, published: float) -> None:
    wide = pl.read_csv(RECTIFIED / f"{task}.csv")
    amounts = [c for c in wide.columns if c.isdigit() and c != "0"]
    table = (
        wide.unpivot(amounts, index="config name", variable_name="finetune_examples",
                     value_name="loss")
        .rename({"config name": "model"})
        .with_columns(pl.col("finetune_examples").cast(pl.Float64))
    )  # fmt: skip
    fits = fit_many("rectified", table, by="model", likelihood="log-gaussian")
    off = []
    for (model,), row in zip(fits.groups.iter_rows(), fits.parameters, strict=True):
        own = table.filter(pl.col("model") == model)
        x, loss = own["finetune_examples"].to_numpy(), own["loss"].to_numpy()
        value = fits.law(dict(zip(fits.names, row, strict=True)), finetune_examples=x)
        off.append(np.sqrt(np.mean(np.log(value / loss) ** 2)))
    assert len(off) == 30
    assert published * 0.9 < np.mean(off) < published


def test_no_example_leaves_the_loss_before_finetuning() -> None:
    p = {"E": 1.0, "B": 30.0, "D_l": 20.0, "beta": 0.6}
    at = Rectified()(p, finetune_examples=np.array([0.0, 1e12]))
    assert at == pytest.approx([1.0 + 30 / 20, 1.0], abs=1e-5)


def paired(table: pl.DataFrame, first: str, second: str) -> pl.DataFrame:
    """Losses of two corpora at equal size and tokens per parameter, smallest compute first."""
    both = pair_losses(table, "dataset", first, second, by=("params", "ratio"))
    return both.sort(pl.col("params") ** 2 * pl.col("ratio"))


@pytest.mark.slow
@pytest.mark.skipif(not GADRE.exists(), reason="the shared data are absent")
def test_a_loss_is_forecast_from_another_corpus() -> None:
    losses = pl.read_csv(GADRE / "losses.csv").filter(pl.col("val_set") == "c4_val")
    runs = pl.read_csv(GADRE / "models_downstream.csv").select(
        "name", "dataset", pl.col("params").cast(pl.Float64), ratio="chinchilla_multiplier"
    )
    table = runs.join(losses, on="name")
    off = []
    for first, second in (("c4_original", "rpj"), ("rpj", "rw_original")):
        both = paired(table, first, second)
        past, future = both[: int(0.7 * both.height)], both[int(0.7 * both.height) :]
        fitted = augury.fit("loss-to-loss", past.select("loss", "loss_other"), influence=False,
                            uncertainty="none")  # fmt: skip
        value = fitted.law(fitted.parameters, loss_other=future["loss_other"].to_numpy())
        off.append(np.mean(np.abs(value / future["loss"].to_numpy() - 1)))
    assert np.mean(off) < 0.015


def test_pairs_agree_and_what_has_none_is_said() -> None:
    table = pl.DataFrame({"corpus": ["a", "b", "b", "c"], "params": [1e8, 1e8, 1e8, 1e9],
                          "tokens": [1e9] * 4, "loss": [3.0, 3.2, 3.4, 2.5]})  # fmt: skip
    (row,) = pair_losses(table, "corpus", "a", "b").to_dicts()
    assert row == {"params": 1e8, "tokens": 1e9, "loss": pytest.approx(3.3), "loss_other": 3.0}
    with pytest.raises(DataError, match="no loss of 'a' has a matching loss of 'c'"):
        pair_losses(table, "corpus", "a", "c")
    with pytest.raises(DataError, match="'set'"):
        pair_losses(table, "set", "a", "b")
    line = LossToLoss()({"E": 0.2, "K": 0.9, "kappa": 1.0}, loss_other=np.array([2.0, 3.0]))
    assert line == pytest.approx([2.0, 2.9])


@pytest.mark.slow
def test_pass_at_k_follows_from_a_beta_distribution_of_problems() -> None:
    """Problems with pass rate p ~ Beta(b, .): -log E[pass@k] falls as k^-b for large k."""
    p = np.random.default_rng(0).beta(0.4, 3.0, 400_000)
    k = np.geomspace(300, 30000, 12)
    mean = np.array([np.mean(1 - (1 - p) ** each) for each in k])
    table = pl.DataFrame({"k": k, "value": mean})
    fitted = augury.fit("pass-at-k", table, uncertainty="none", influence=False)
    assert fitted.parameters["b"] == pytest.approx(0.4, abs=0.03)
    assert PassAtK()({"a": 2.0, "b": 0.5}, k=np.array([1.0]))[0] == pytest.approx(np.exp(-2))


def test_shots_move_the_answer_to_the_best_hypothesis() -> None:
    law = ShotsMixture()
    p = {"d1": 0.1, "d2": 1.5, "r2": 3.0, "K": 0.5}
    at = law(p, shots=np.array([0.0, 1.0, 4.0, 16.0, 1e6]))
    assert np.all(np.diff(at) > 0)
    assert at[-1] == pytest.approx(np.exp(-0.1))
    prior = 1 / (1 + np.exp(3.0))
    assert at[0] == pytest.approx(prior * np.exp(-0.1) + (1 - prior) * np.exp(-1.6))
    with pytest.raises(UsageError, match="2 to 4 hypotheses, not 9"):
        augury.law("shots-mixture", hypotheses=9)


@pytest.mark.slow
@pytest.mark.skipif(not GADRE.exists(), reason="the shared data are absent")
def test_eight_losses_forecast_tasks_better_than_one() -> None:
    """Fit the 73 smaller runs of three corpora, forecast the 31 larger; errors in points."""
    wide = pl.read_csv(GADRE / "losses.csv").pivot("val_set", index="name", values="loss")
    losses = [n for n in wide.columns if n != "name"]
    wide = wide.rename({n: f"loss_{n.replace('-', '_')}" for n in losses})
    runs = pl.read_csv(GADRE / "models_downstream.csv").join(wide, on="name")
    runs = runs.sort(pl.col("params").cast(float) * pl.col("tokens").cast(float))
    names = [n for n in runs.columns if n.startswith("loss_")]
    past, future = runs[:72], runs[72:]
    off = []
    for task in ("arc_easy", "hellaswag", "coqa"):
        truth = future[f"icl/{task}"].to_numpy()
        rows = past.select(*names, loss="loss_c4_val", value=f"icl/{task}")
        for law in ("loss-perceptron", "logistic-task"):
            fitted = augury.fit(law, rows, likelihood="gaussian", uncertainty="none",
                                influence=False)  # fmt: skip
            ahead = future.with_columns(loss="loss_c4_val")
            value = fitted.law(
                fitted.parameters, **{n: ahead[n].to_numpy() for n in fitted.law.inputs}
            )
            off.append(100 * np.mean(np.abs(value - truth)))
    several, one = off[::2], off[1::2]
    assert all(a < b for a, b in zip(several, one, strict=True))
    assert np.mean(several) < 5.0
    assert np.mean(one) > 5.5


def test_a_perceptron_needs_losses() -> None:
    table = pl.DataFrame({"value": [0.1, 0.2], "loss_set": ["a", "b"]})
    with pytest.raises(DataError, match=r"loss_\*"):
        augury.fit("loss-perceptron", table)
    with pytest.raises(UsageError, match="1 to 6 hidden, not 9"):
        augury.law("loss-perceptron", hidden=9)
