"""Trends over 1,000 tasks of 200 checkpoints, against a loop that fits only lines and parabolas."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
from scipy import stats

from augury.forecast.trends import trends

TASKS, RUNS, CHECKPOINTS = 1000, 8, 25


def main() -> None:
    """Print both times and their ratio."""
    table = simulated(np.random.default_rng(0))
    began = time.perf_counter()
    found = trends(table)
    ours = time.perf_counter() - began
    began = time.perf_counter()
    loop(table)
    other = time.perf_counter() - began
    what = f"trends of {TASKS:,} tasks x {RUNS * CHECKPOINTS} checkpoints; SciPy loop of lines"
    print(f"{what:66s} {ours:8.3g}s {other:9.4g}s {other / ours:7.1f}x", flush=True)
    named = sum(t.shape != "flat" for t in found.trends)
    print(f"    ours compares five shapes over 33 knots, over training and size: {named} named")


def simulated(rng: np.random.Generator) -> pl.DataFrame:
    """A third of the tasks rise, a third fall, a third stay flat."""
    x = np.linspace(0, 1, CHECKPOINTS)
    slope = np.repeat([0.2, -0.2, 0.0], [334, 333, 333])
    noise = 0.02 * rng.standard_normal((TASKS, RUNS, CHECKPOINTS)).cumsum(2) * 0.3
    value = np.clip(0.5 + slope[:, None, None] * x + noise, 0, 1)
    task, run, step = (i.ravel() for i in np.indices(value.shape))
    return pl.DataFrame(
        {
            "model": run.astype(str),
            "params": 1e8 * 2.0**run,
            "tokens": 1e9 * 1.2**step,
            "task": task.astype(str),
            "value": value.ravel(),
        }
    )


def loop(table: pl.DataFrame) -> None:
    """A notebook's method: per task, regress on log tokens and on its square, and keep p."""
    for _, own in table.group_by("task"):
        x, y = np.log(own["tokens"].to_numpy()), own["value"].to_numpy()
        stats.linregress(x, y)
        np.polyfit(x, y, 2)


if __name__ == "__main__":
    main()
