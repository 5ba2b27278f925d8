"""Skills of families: recovered, derivatives, and Sloth's published splits."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from augury.errors import DataError, UsageError
from augury.forecast.families import fit_skills
from augury.forecast.families.skill_model import Skills, _jacobian, scores_at
from tests.shared import DATA

BENCHMARKS = ("quiz", "sums", "code", "logic")
FLOORS = {"quiz": 0.25}


def zoo(noise: float, seed: int = 0, families: int = 8) -> pl.DataFrame:
    """Families of four sizes with different strengths."""
    rng = np.random.default_rng(seed)
    rows = []
    loading = np.array([[1.0, 0.6, 0.8, 0.9], [0.2, 0.9, 0.4, 0.1]])
    level = np.array([0.0, -1.0, -0.5, 0.3])
    for f in range(families):
        bonus = rng.normal(0, 0.5, 2)
        tokens = 10 ** rng.uniform(11.5, 13)
        for params in 10 ** np.array([9.0, 9.5, 10.0, 10.6]):
            theta = 0.7 * np.log(params / 1e10) * np.array([1, 0.8]) + bonus
            theta = theta + 0.3 * np.log(tokens / 1e12)
            floor = np.array([FLOORS.get(b, 0.0) for b in BENCHMARKS])
            score = floor + (1 - floor) / (1 + np.exp(-(theta @ loading + level)))
            score = np.clip(score + noise * rng.normal(size=4), 0, 1)
            rows.append((f"f{f}", params, tokens, *score))
    return pl.DataFrame(rows, schema=["family", "params", "tokens", *BENCHMARKS], orient="row")


def split(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two families have only their smallest model."""
    held = pl.col("family").is_in(["f0", "f1"]) & (pl.col("params") > 2e9)
    return table.filter(~held), table.filter(held)


def test_derivatives_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    shapes = ((3, 2), (4, 2), (2, 3), (3,), (4, 3), (3,), (3,))
    p = Skills(*(rng.normal(0, 0.6, s) for s in shapes))
    x, family, floor = rng.normal(size=(5, 3)), rng.integers(4, size=5), np.array([0.0, 0.25, 0.5])
    value, jacobian = _jacobian(p, x, family, floor)
    assert value == pytest.approx(scores_at(p, x, family, floor))
    flat, step = p.flat(), 1e-6
    for k in range(len(flat)):
        moved = np.array([flat, flat])
        moved[0, k] += step
        moved[1, k] -= step
        up, down = (scores_at(p.like(v), x, family, floor) for v in moved)
        assert jacobian[:, k] == pytest.approx(((up - down) / (2 * step)).ravel(), abs=1e-7)


def test_larger_models_of_a_family_are_forecast_from_its_smallest() -> None:
    past, future = split(zoo(0.01))
    fitted = fit_skills(past, BENCHMARKS, floors=FLOORS)
    ahead = fitted.predict(future)
    truth = np.concatenate([future[b].to_numpy() for b in BENCHMARKS])
    error = np.abs(ahead["forecast"].to_numpy() - truth).mean()
    # The mean of other families at that size, which ignores the smallest model.
    others = past.filter(pl.col("params") > 2e9).group_by("params").agg(pl.col(BENCHMARKS).mean())
    plain = future.select("params").join(others, on="params", how="left", maintain_order="left")
    rival = np.abs(np.concatenate([plain[b].to_numpy() for b in BENCHMARKS]) - truth).mean()
    assert error < 0.5 * rival
    assert (ahead["low"] <= ahead["forecast"]).all()
    held = (ahead["low"].to_numpy() <= truth) & (truth <= ahead["high"].to_numpy())
    assert held.mean() > 0.6
    assert "2 skills of 8 families" in fitted._repr_html_()
    new = fitted.predict(future.head(1).with_columns(family=pl.lit("new")))
    assert new["benchmark"].to_list() == list(BENCHMARKS)


def test_what_is_asked_wrongly_is_said() -> None:
    table = zoo(0.01)
    with pytest.raises(DataError, match="column 'family'"):
        fit_skills(table.drop("family"), BENCHMARKS)
    with pytest.raises(DataError, match="row 1, column 'params'"):
        fit_skills(table.with_columns(pl.col("params") * -1), BENCHMARKS)
    with pytest.raises(DataError, match="is not a share"):
        fit_skills(table.with_columns(pl.col("quiz") * 100), BENCHMARKS)
    with pytest.raises(DataError, match="8 models are too few"):
        fit_skills(table.head(8), BENCHMARKS)
    with pytest.raises(DataError, match="no family has two models"):
        fit_skills(table.with_columns(family=pl.int_range(pl.len()).cast(pl.String)), BENCHMARKS)
    with pytest.raises(UsageError, match="skills must be 1 to 4"):
        fit_skills(table, BENCHMARKS, skills=5)
    with pytest.raises(UsageError, match="the floor of 'chess'"):
        fit_skills(table, BENCHMARKS, floors={"chess": 0.1})


@pytest.mark.claims
@pytest.mark.skipif(not (DATA / "sloth").exists(), reason="the shared data are absent")
def test_published_splits() -> None:
    """We beat the best published method in all six experiments, and the best of each in four."""
    from benchmarks.sloth import SPLITS, best_method, errors, published

    found = {key: errors(*key)[0] for key in SPLITS}
    methods = published()
    best = methods[best_method(methods)]
    assert all(error < best[key] for key, error in found.items())
    least = {key: min(method[key] for method in methods.values()) for key in SPLITS}
    assert sum(error < least[key] for key, error in found.items()) >= 4
    assert all(error < least[key] + 0.002 for key, error in found.items())
