"""`make bench`: every claim of speed as a ratio to what it is compared with.

Both sides run in this process (for the command line, one after the other). Single calls are timed
after a first call that compiles; the slow side is timed on a stated sample and scaled.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.data import read_table
from augury.fitting import Fit, fit, fit_many
from augury.fitting.optimise import solve as batch_solve
from augury.fitting.problem import problem_of
from augury.fitting.single import optimum
from augury.fitting.uncertainty import RESAMPLE_TOLERANCE, bootstrap, run_weights
from augury.laws import Chinchilla
from benchmarks import backends, emergence, readers, sandbox, trends
from benchmarks.published import GRID, objective, solve

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
POINTS = SHARED / "chinchilla-epoch" / "svg_extracted_data.csv"
MAP = {"params": "Model Size", "flops": "Training FLOP"}
WHERE = "loss < 3.43"
BOOTSTRAPS = 4000
GROUPS, EACH = 2000, 50
# L-BFGS-B until it gains nothing more: its defaults stop at an absolute change of 2e-9, which is
# 2e-6 of this objective per step.
TO_THE_END = {"ftol": 0.0, "gtol": 1e-12, "maxiter": 20_000, "maxfun": 200_000}
TRUTH = {"A": 477.8, "B": 2143.0, "E": 1.8172, "alpha": 0.3473, "beta": 0.3672}


def main() -> None:
    """Run every benchmark and print one line per benchmark."""
    table = chinchilla()
    print(f"{os.cpu_count()} cores. Ratios: how many times longer the other side takes.\n")
    print(f"{'what':66s} {'ours':>9s} {'other':>10s} {'ratio':>8s}")
    single(table)
    bootstraps(table)
    groups()
    shell(table)
    trends.main()
    emergence.main([])
    readers.main()
    backends.main()
    sandbox.main()


def line(what: str, ours: float, other: float) -> None:
    """One comparison, in seconds."""
    print(f"{what:66s} {ours:8.3g}s {other:9.4g}s {other / ours:7.1f}x", flush=True)


def timed(call: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Median seconds of a call, and its last result."""
    seconds, answer = [], None
    for _ in range(repeats):
        began = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)), answer


def chinchilla() -> pl.DataFrame:
    """The 240 points of Besiroglu et al., or as many simulated ones if the file is absent."""
    if POINTS.exists():
        return read_table(POINTS, columns=MAP, where=WHERE)
    print(f"{POINTS.name} is absent: simulated points stand in for it.")
    return simulated(240, np.random.default_rng(0))


def simulated(n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Runs of a Chinchilla law with 1 % of noise."""
    params = 10 ** rng.uniform(7.5, 10, n)
    tokens = params * 10 ** rng.uniform(0.3, 2, n)
    loss = Chinchilla()(TRUTH, params=params, tokens=tokens)
    noisy = loss * np.exp(0.01 * rng.standard_normal(n))
    return pl.DataFrame({"params": params, "tokens": tokens, "loss": noisy})


def arrays(table: pl.DataFrame) -> tuple[Any, ...]:
    """Inputs of the published method: logs, and weights of one."""
    columns = [np.log(table[name].to_numpy()) for name in ("params", "tokens", "loss")]
    return (*columns, np.ones(table.height))


def single(table: pl.DataFrame, sample: int = 90) -> None:
    """One fit against the published method's 4,500 starts, every fiftieth of which is run."""

    def ours() -> Any:
        return fit("chinchilla", table, uncertainty="none")

    problem = problem_of(Chinchilla(), table)
    optimum(problem)
    search, _ = timed(lambda: optimum(problem), 20)
    ours()
    seconds, fitted = timed(ours, 20)
    data = arrays(table)
    rng = np.random.default_rng(0)
    starts = GRID[rng.permutation(len(GRID))[:sample]]
    other, found = timed(lambda: [solve(x, data, analytic=False) for x in starts])
    line(f"optimum of 240 points; L-BFGS-B, 4,500 starts ({sample} run)", search, other * 50)
    line("the same with leave-one-out and all notes", seconds, other * 50)
    # The sample's best start stops at the limit of finite differences; analytic gradients finish.
    best = min(found, key=lambda r: r.fun)
    end = solve(best.x, data, analytic=True, **TO_THE_END)
    ours_at = coordinates(fitted)
    gap = np.abs(ours_at - end.x).max()
    print(
        f"    objective: ours {objective(ours_at, *data):.10g}, the sample's best {best.fun:.10g},"
        f" finished {end.fun:.10g};\n    largest difference of log A, log B, log E, alpha, beta "
        f"{gap:.1e}"
    )


def coordinates(fitted: Fit) -> Any:
    """The published coordinates: log A, log B, log E, alpha, beta."""
    p = fitted.parameters
    return np.array([np.log(p["A"]), np.log(p["B"]), np.log(p["E"]), p["alpha"], p["beta"]])


def bootstraps(table: pl.DataFrame, sample: int = 60) -> None:
    """4,000 resamples from the optimum; the gain that either side leaves is printed too."""
    law = Chinchilla()
    problem = problem_of(law, table)
    _, solution, best = optimum(problem)
    u = solution.u[best]

    def ours() -> Any:
        return bootstrap(problem, u, BOOTSTRAPS, np.random.default_rng(0))

    ours()
    seconds, _ = timed(ours, 3)
    fitted = fit(law, table, uncertainty="none")
    *logs, _ = arrays(table)
    weights = run_weights(problem, sample, np.random.default_rng(1))
    starts = np.repeat(u[None], sample, 0)
    tight = batch_solve(law, problem.likelihood, starts, problem.points, weights)
    loose = batch_solve(
        law, problem.likelihood, starts, problem.points, weights, tolerance=RESAMPLE_TOLERANCE
    )
    print(f"    ours end {above(loose.objective, tight.objective)}")
    for tolerances, options in (("to the optimum", TO_THE_END), ("default tolerances", {})):
        for kind in ("numerical", "analytic"):

            def loop(kind: str = kind, options: dict[str, float] = options) -> list[float]:
                return [
                    solve(
                        coordinates(fitted), (*logs, w), analytic=kind == "analytic", **options
                    ).fun
                    for w in weights
                ]

            other, ends = timed(loop)
            what = f"4,000 bootstraps; warm L-BFGS-B, {kind}, {tolerances}"
            line(what, seconds, other / sample * BOOTSTRAPS)
            print(f"    its {sample} end {above(ends, tight.objective)}")


def above(found: Any, optimum: Any) -> str:
    """How far objectives are above the optimum."""
    gap = np.asarray(found) / np.asarray(optimum) - 1
    return f"{np.median(gap):.1e} above the optimum (median), {gap.max():.1e} (worst)"


def groups(sample: int = 20, starts: int = 10) -> None:
    """2,000 groups of 50 points in one call, against a loop with ten starts per group."""
    rng = np.random.default_rng(2)
    parts = [simulated(EACH, rng).with_columns(task=pl.lit(f"task-{g:04d}")) for g in range(GROUPS)]
    table = pl.concat(parts)

    def ours() -> Any:
        return fit_many("chinchilla", table, by="task")

    ours()
    seconds, fitted = timed(ours)
    chosen = rng.permutation(GROUPS)[:sample]
    tried = GRID[rng.permutation(len(GRID))[:starts]]
    for kind in ("numerical", "analytic"):
        best: list[float] = []

        def loop(kind: str = kind, best: list[float] = best) -> None:
            for g in chosen:
                data = arrays(parts[g])
                ends = [solve(x, data, analytic=kind == "analytic") for x in tried]
                best.append(min(end.fun for end in ends))

        other, _ = timed(loop)
        what = f"2,000 x 50 points; loop of {starts} starts, {kind} ({sample} run)"
        line(what, seconds, other / sample * GROUPS)
        found = np.array([fitted.objective[g] for g in chosen])
        print(f"    groups where the loop ends above ours: {np.sum(best > found * (1 + 1e-6))} of "
              f"{sample}; below: {np.sum(best < found * (1 - 1e-6))}")  # fmt: skip


def shell(table: pl.DataFrame) -> None:
    """Cold `augury fit`, relative to the time of importing its libraries."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        table.select("params", "tokens", "loss").write_csv(path)
        command = [sys.executable, "-m", "augury", "fit", str(path), "--law", "chinchilla"]
        environment = {**os.environ, "XDG_CACHE_HOME": folder}

        def run(args: list[str]) -> None:
            subprocess.run(args, check=True, stdout=subprocess.DEVNULL, env=environment)

        imports = "import typer, numpy, polars, scipy.optimize, scipy.stats, jax, jax.numpy"
        library, _ = timed(lambda: run([sys.executable, "-c", imports]), 3)
        first, _ = timed(lambda: run(command))
        again, _ = timed(lambda: run(command), 3)
        line("importing the libraries; `augury fit`, first call ever", library, first)
        line("importing the libraries; `augury fit`, later calls", library, again)
        helped, _ = timed(lambda: run([sys.executable, "-m", "augury", "--help"]), 3)
        line("`augury --help`; importing the libraries", helped, library)


if __name__ == "__main__":
    main()
