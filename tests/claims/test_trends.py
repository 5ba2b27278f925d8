"""Trends: false discoveries, power, and intervals of turning points."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from augury.forecast.trends import adjusted, published_trends, trends

pytestmark = pytest.mark.slow
SIZES = np.array([7e7, 1.6e8, 4.1e8, 1e9, 1.4e9, 2.8e9, 6.9e9, 1.2e10])
STEPS = np.array([2, 4, 8, 16, 32, 64, 128, 143]) * 1e3
TOKENS = STEPS * 2097152.0
ITEMS = 800


def noisy(
    rng: np.random.Generator,
    curves: np.ndarray,
    spread: float,
    share: float = 0.8,
    reach: float = 2.0,
    tokens: np.ndarray = TOKENS,
) -> pl.DataFrame:
    """A table of tasks whose (T, R, m) curves (on 2 arcsin sqrt) have serially dependent noise.

    Each run has its own level, slow noise that decays over `reach` e-foldings of tokens, fast
    noise, and counting of 800 items. The published data have spreads of .02 to .6.
    """
    tasks, runs, m = curves.shape
    gap = np.abs(np.log(tokens)[:, None] - np.log(tokens)[None, :])
    root = np.linalg.cholesky(share * np.exp(-gap / reach) + (1 - share) * np.eye(m))
    noise = spread * rng.standard_normal((tasks, runs, m)) @ root.T
    level = 0.1 * rng.standard_normal((tasks, runs, 1))
    rate = np.sin(np.clip(curves + level + noise, 0.05, np.pi - 0.05) / 2) ** 2
    value = rng.binomial(ITEMS, rate) / ITEMS
    task, run, step = (i.ravel() for i in np.indices(curves.shape))
    return pl.DataFrame(
        {
            "family": "pythia",
            "model": run.astype(str),
            "params": SIZES[run],
            "tokens": tokens[step],
            "task": task.astype(str),
            "metric": "acc",
            "value": value.ravel(),
            "n": float(ITEMS),
        }
    )


def flat(tasks: int) -> np.ndarray:
    return np.full((tasks, len(SIZES), len(TOKENS)), 1.4)


@pytest.mark.parametrize(
    ("share", "reach", "spread"), [(0.8, 2.0, 0.08), (0.9, 6.0, 0.15), (0.0, 1.0, 0.05)]
)
def test_no_trend_no_discoveries(share: float, reach: float, spread: float) -> None:
    """Without a trend, p values are uniform, while the published analysis calls most tasks."""
    rng = np.random.default_rng(0)
    table = noisy(rng, flat(400), spread, share, reach)
    found = trends(table)
    over = [t for t in found.trends if t.axis == "tokens"]
    p = np.array([t.p for t in over])
    assert 0.06 <= np.mean(p < 0.1) <= 0.14
    assert np.mean(p < 0.01) <= 0.02
    assert np.mean([t.shape != "flat" for t in over]) <= 0.02
    # Reports of 10 tasks: how often is anything called at a false-discovery rate of 10 %?
    ols = published_trends(table).sort(pl.col("task").cast(int), maintain_order=True)
    theirs = ols["p"].to_numpy().reshape(40, 30)
    by_task = {t.task: t.p for t in over}
    ours = np.array([by_task[str(i)] for i in range(400)]).reshape(40, 10)
    called = [np.mean([adjusted(r).min() <= 0.1 for r in rows]) for rows in (ours, theirs)]
    assert called[0] <= 0.1 + 2 * np.sqrt(0.09 / 40), called
    assert called[1] >= 0.7, called


def test_power_and_shapes() -> None:
    """Planted shapes are found, and called by their names."""
    rng = np.random.default_rng(1)
    x = np.log(TOKENS / TOKENS[0])
    x = x / x[-1]
    per = 60
    planted = {
        "falling": -0.3 * x,
        "rising": 0.3 * x,
        "inverted U": 0.35 * np.minimum(x, 0.5) / 0.5 - 0.35 * np.maximum(x - 0.5, 0) / 0.5,
        "U": -0.35 * np.minimum(x, 0.5) / 0.5 + 0.35 * np.maximum(x - 0.5, 0) / 0.5,
        "threshold": 0.4 * np.maximum(x - 0.6, 0) / 0.4,
    }
    shapes = np.concatenate([np.repeat(c[None, None], per, 0) for c in planted.values()])
    curves = flat(per * len(planted)) + shapes
    table = noisy(rng, np.concatenate([curves, flat(300)]), 0.08)
    named = {t.task: t.shape for t in trends(table).trends if t.axis == "tokens"}
    for k, shape in enumerate(planted):
        called = [named[str(i)] for i in range(k * per, (k + 1) * per)]
        assert np.mean([c == shape for c in called]) >= 0.7, (shape, called)
        assert np.mean([c != "flat" for c in called]) >= 0.8, shape
    # At most about a tenth of the discoveries are false.
    false = sum(named[str(i)] != "flat" for i in range(300, 600))
    assert false / sum(s != "flat" for s in named.values()) <= 0.12


@pytest.mark.parametrize("points", [8, pytest.param(24, marks=pytest.mark.claims)])
def test_turning_points_hold(points: int) -> None:
    """90 % intervals of the turning point of an inverted U."""
    rng = np.random.default_rng(2)
    tokens = np.geomspace(TOKENS[0], TOKENS[-1], points)
    x = np.log(tokens / tokens[0])
    held, count = 0, 300
    turns = rng.uniform(0.3, 0.7, count) * x[-1]
    curves = np.stack(
        [np.where(x < c, 0.45 * x / c, 0.45 * (1 - (x - c) / (x[-1] - c))) for c in turns]
    )
    table = noisy(
        rng, 1.2 + np.repeat(curves[:, None], len(SIZES), 1), 0.06, 0.7, 1.0, tokens=tokens
    )
    found = {t.task: t for t in trends(table).trends if t.axis == "tokens"}
    named = 0
    for i, c in enumerate(turns):
        trend = found[str(i)]
        if trend.shape == "inverted U" and trend.turning_interval is not None:
            named += 1
            low, high = trend.turning_interval
            held += low <= tokens[0] * np.exp(c) <= high
    assert named >= 0.8 * count
    assert 0.85 <= held / named <= 0.95
