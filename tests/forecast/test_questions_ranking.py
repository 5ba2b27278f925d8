"""Ranking mixtures for a larger model: the true order, RegMix's order, and wrong requests."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from augury.errors import DataError, UsageError
from augury.forecast.questions import ranking
from augury.forecast.questions.ranking import LAW, TREES, rank_mixtures
from tests.shared import DATA


@pytest.fixture(scope="module", autouse=True)
def trees() -> None:
    """Here, not at the top of the file: every worker would import it, whoever runs these tests."""
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError):  # the wheel needs libgomp
        pytest.skip("needs the extra mixtures")


DOMAINS = ("web", "code", "books")
WORTH = np.array([1.0, 0.2, 0.5])


def truth(share: np.ndarray, size: float) -> np.ndarray:
    """A law unknown to trees, plus a little that the law does not describe."""
    own = 1.5 + 40 * size**-0.2 * (share @ WORTH + 0.05) ** -0.3
    return own + 0.03 * (share[:, 1] > 0.5)


def runs(n: int, size: float, seed: int, noise: float = 0.002) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(3), n)
    loss = truth(share, size) * np.exp(noise * rng.normal(size=n))
    columns = {f"share_{d}": share[:, j] for j, d in enumerate(DOMAINS)}
    return pl.DataFrame({**columns, "params": np.full(n, size), "loss": loss})


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return pl.concat([runs(80, 1e6, 0), runs(80, 6e7, 1)])


@pytest.mark.slow
def test_the_order_of_a_larger_model_is_forecast(table: pl.DataFrame) -> None:
    asked = runs(50, 1e9, 2)
    found = rank_mixtures(table, asked.drop("params", "loss"), minimise=["loss"])
    assert found.tested == ((1e6, 6e7),)
    assert found.fitted_at == 6e7
    order = found.ranking.sort("mixture")
    assert spearmanr(order["rank"], asked["loss"]).statistic > 0.98
    weight = found.weights["loss"]
    assert sum(weight.values()) == pytest.approx(1.0)
    # The smaller error has more weight, tempered because one test is little evidence.
    errors = found.errors["loss"]
    ratio = (errors[TREES] / errors[LAW]) ** (2 / 3)
    assert weight[LAW] / weight[TREES] == pytest.approx(ratio)
    assert found.ranking["rank"].to_list() == list(range(1, 51))
    assert (found.ranking["low"] <= found.ranking["value"]).all()
    assert found.to_dict()["ranking"][0]["rank"] == 1
    assert "ranked" in str(found)
    assert "best" in found.chart().to_dict()["title"]["text"][0]


def test_a_mixture_that_was_trained_at_both_sizes_is_not_fitted_in_the_test() -> None:
    share = runs(90, 1e6, 3)
    both = pl.concat([share, share.head(40).with_columns(params=pl.lit(6e7))])
    shares = both.select(pl.col("^share_.*$")).to_numpy()
    ((past, future),) = ranking._tests(shares, both["params"].to_numpy(), 0)
    assert future.sum() == 40
    assert not past[:40].any()
    assert past[40:90].all()


def test_one_size_is_told_by_folds(table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    def cheap(past: pl.DataFrame, future: pl.DataFrame, seed: int) -> dict[str, np.ndarray]:
        web = future["share_web"].to_numpy()
        return {LAW: -web, TREES: -(web**2)}

    monkeypatch.setattr(ranking, "_forecasts", cheap)
    one = table.filter(pl.col("params") == 1e6).drop("params")
    found = rank_mixtures(one, one.head(5), minimise=["loss"])
    assert [n.code for n in found.notes] == ["one-size"]
    assert found.tested == ()
    assert found.fitted_at is None


def test_what_is_asked_wrongly_is_said(table: pl.DataFrame) -> None:
    with pytest.raises(UsageError, match="either what to minimise"):
        rank_mixtures(table, table)
    with pytest.raises(DataError, match="column 'share_web'"):
        rank_mixtures(table, table.drop("share_web"), minimise=["loss"])
    with pytest.raises(DataError, match="30 runs are too few to rank"):
        rank_mixtures(table.head(30), table, minimise=["loss"])
    with pytest.raises(UsageError, match="level must lie"):
        rank_mixtures(table, table, minimise=["loss"], level=1.0)


@pytest.mark.claims
@pytest.mark.skipif(not (DATA / "regmix").exists(), reason="the shared data are absent")
def test_regmix_at_1b_from_1m_and_60m() -> None:
    """LightGBM on the runs at 1M alone: .950 and .968; the law: .947 and .990."""
    from benchmarks.regmix import run

    found = run()
    assert found["mean"]["spearman"] > 0.955
    assert found["columns"]["pile_cc"]["spearman"] > 0.98
