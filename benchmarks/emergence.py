"""Emergence laws: 200 studies in one call against one by one, and one posterior from cold."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from augury.forecast.emergence import (
    EmergenceData,
    Truth,
    emergence_data,
    fit_emergence,
    fit_emergence_many,
    simulate_study,
)

STUDIES = 200
ONE_BY_ONE = 20
COLD = "import benchmarks.emergence as b; b.posterior({how!r}, {laws!r})"


def main() -> None:
    """Print times and their ratio."""
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
    for how, laws in (("importance", "relu"), ("importance", "average"), ("nuts", "relu")):
        wall, cores = fresh(how, laws)
        what = f"from a fresh process, all compiled: {how}, {laws}; seconds, and of all cores"
        print(f"{what:66s} {wall:8.3g}s {cores:9.4g}s", flush=True)


def study(seed: int) -> EmergenceData:
    """Ten checkpoints, five amounts, two subsets: 100 scores."""
    rng = np.random.default_rng(seed)
    losses = np.linspace(2.4, 1.95, 10)
    table = simulate_study(Truth(), rng, losses=losses, amounts=(30, 120, 480, 1900, 7500))
    return emergence_data(table)


def posterior(how: str, laws: str = "relu") -> None:
    """One study by one law, or by the average of five."""
    fit_emergence(study(0), laws=laws, uncertainty=how)  # type: ignore[arg-type]


def fresh(how: str, laws: str) -> tuple[float, float]:
    """Wall seconds, and seconds of all cores, of a process that has compiled nothing before."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": folder}
        command = [sys.executable, "-c", COLD.format(how=how, laws=laws)]
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
    main()
