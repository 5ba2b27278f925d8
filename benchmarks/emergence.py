"""Emergence laws: 200 studies in one call or one by one, and one posterior in a new process.

`python -m benchmarks.emergence` prints wall seconds, and processor seconds where cores are shared;
`--cold` measures only a fresh process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from tests.moved_studies import families_table, moved_table

from augury.forecast.emergence import (
    EmergenceData,
    Truth,
    emergence_data,
    fit_emergence,
    fit_emergence_many,
    fit_moved,
    moved_study,
    simulate_study,
)

STUDIES = 200
ONE_BY_ONE = 20
COLD = "import benchmarks.emergence as b; b.posterior({how!r}, {laws!r})"
COLD_MOVED = "import benchmarks.emergence as b; b.moved({scale!r})"


def main(words: list[str]) -> None:
    """Print times and their ratio."""
    if "--cold" not in words:
        warm()
    for how, laws in (("importance", "relu"), ("importance", "average"), ("nuts", "relu")):
        told(f"{how}, {laws}", COLD.format(how=how, laws=laws))
    for scale, what in (("loss", "moved curve and control, one ladder"),
                        ("flops", "moved curve and control, eight families")):  # fmt: skip
        told(what, COLD_MOVED.format(scale=scale))


def told(what: str, code: str) -> None:
    """Print the times of a fresh process."""
    wall, cores = fresh(code)
    what = f"from a fresh process: {what}; seconds, and of all cores"
    print(f"{what:90s} {wall:8.3g}s {cores:9.4g}s", flush=True)


def warm() -> None:
    """Times of fits after everything is compiled."""
    studies = [study(seed) for seed in range(STUDIES)]
    fit_emergence_many(studies[:16], uncertainty="laplace")
    fit_emergence_many(studies[:1], uncertainty="laplace")
    together = seconds(lambda: fit_emergence_many(studies, uncertainty="laplace"))
    alone = seconds(
        lambda: [fit_emergence_many([s], uncertainty="laplace") for s in studies[:ONE_BY_ONE]]
    )
    other = alone / ONE_BY_ONE * STUDIES
    what = f"MAP and Laplace of {STUDIES} studies in a call; one by one ({ONE_BY_ONE} run)"
    print(f"{what:66s} {together:8.3g}s {other:9.4g}s {other / together:7.1f}x", flush=True)
    posterior("nuts")
    warm_nuts = seconds(lambda: posterior("nuts"))
    posterior("importance")
    warm = seconds(lambda: posterior("importance"))
    what = "posterior of one study, warm: importance sampling; NUTS"
    print(f"{what:66s} {warm:8.3g}s {warm_nuts:9.4g}s {warm_nuts / warm:7.1f}x", flush=True)
    each_kind(studies)


def each_kind(studies: list[EmergenceData]) -> None:
    """Processor seconds per study: in one call, with one call each, and by `fit_emergence`."""
    fit_emergence_many(studies[:1])
    fit_emergence(studies[0], laws="relu")
    one: dict[str, Callable[[], list[Any]]] = {
        "in one call": lambda: fit_emergence_many(studies),
        "a call each": lambda: [fit_emergence_many([s]) for s in studies[:ONE_BY_ONE]],
        "by fit_emergence": lambda: [fit_emergence(s, laws="relu") for s in studies[:ONE_BY_ONE]],
    }
    for what, call in one.items():
        began = time.process_time()
        count = len(call())
        spent = (time.process_time() - began) / count
        print(f"{f'draws of a study, {what}; processor seconds':66s} {spent:8.3g}s", flush=True)


def study(seed: int) -> EmergenceData:
    """Ten checkpoints, five amounts, two subsets: 100 scores."""
    rng = np.random.default_rng(seed)
    losses = np.linspace(2.4, 1.95, 10)
    table = simulate_study(Truth(), rng, losses=losses, amounts=(30, 120, 480, 1900, 7500))
    return emergence_data(table)


def posterior(how: str, laws: str = "relu") -> None:
    """One study by one law, or by the average of five."""
    fit_emergence(study(0), laws=laws, uncertainty=how)  # type: ignore[arg-type]


def moved(scale: str) -> None:
    """One simulated study by the moved curve: 27 checkpoints, or some 40 models of families."""
    rng = np.random.default_rng(4)
    table = moved_table(rng)[1] if scale == "loss" else families_table(rng)[1]
    fit_moved(moved_study(table, scale))  # type: ignore[arg-type]


def fresh(code: str) -> tuple[float, float]:
    """Wall seconds, and seconds of all cores, of a process with nothing compiled."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": folder}
        command = [sys.executable, "-c", code]
        before = os.times()
        wall = seconds(lambda: subprocess.run(command, check=True, env=environment))
        after = os.times()
    used = after.children_user + after.children_system
    return wall, used - before.children_user - before.children_system


def seconds(call: Callable[[], object]) -> float:
    """Wall time of a call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1:])
