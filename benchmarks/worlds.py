"""The lab's emergence experiment: forecast and true points of an ability in six small worlds.

python -m benchmarks.worlds sort-digits 0 --out out/worlds
trains one world's ladder (15 % of the documents are its task), finetunes every checkpoint, then
trains the larger models that show the few-shot ability; a stopped run resumes.

python -m benchmarks.worlds collect --out out/worlds
writes all measurements to docs/experiments/worlds.parquet, one row per evaluation.

python -m benchmarks.worlds report
forecasts every world of that file from its ladder alone, and prints the table of
docs/experiments/emergence.md.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy import optimize
from tests.emergence_studies import plain_relu

import augury
from augury.evaluate import measure
from augury.finetune import finetune_sweep
from augury.forecast.emergence import emergence_data, emergence_point, fit_emergence
from augury.lab import ModelConfig, RunConfig, lab_instances, train_ladder

MEASURED = Path(__file__).parents[1] / "docs" / "experiments" / "worlds.parquet"
INSTANCES = 1024
# An ability has emerged if its pass probability is this far above chance.
DISTANCE = 0.03
# Forecasts are made twice: from all checkpoints at chance by this rule, and from those
# at chance by a tenth of it, whose best guess fails on every instance.
SEEN = (DISTANCE, DISTANCE / 10)


@dataclass(frozen=True)
class World:
    """A task's ladder, its finetuning amounts, and the later models.

    Attributes:
        widths, steps, checkpoints: the ladder that forecasts may see.
        amounts: finetuning examples.
        later: width and steps of each model that forecasts may not see.
        every: steps between their checkpoints.
    """

    widths: tuple[int, ...]
    steps: int
    checkpoints: tuple[int, ...]
    amounts: tuple[int, ...]
    later: tuple[tuple[int, int], ...]
    every: int


WORLDS = {
    "sort-digits": World(
        (4, 6, 8, 10, 12, 14, 16, 20),
        600,
        (150, 300, 450),
        (30, 60, 120, 240),
        ((24, 1000), (32, 1000), (48, 1000)),
        100,
    ),
    "sort-letters": World(
        (6, 8, 10, 12, 16, 20, 24, 32),
        1500,
        (350, 750, 1100),
        (125, 250, 500, 1000),
        ((48, 3000), (64, 2500)),
        250,
    ),
}


def main() -> None:
    """Run a world, collect its measurements, or report on it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=[*WORLDS, "collect", "report"])
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--out", type=Path, default=Path("out/worlds"))
    asked = parser.parse_args()
    if asked.task == "collect":
        collect(asked.out)
    elif asked.task == "report":
        report()
    else:
        began = time.perf_counter()
        run(asked.task, asked.seed, asked.out / f"{asked.task}-{asked.seed}")
        print(f"{asked.task} {asked.seed}: {time.perf_counter() - began:.0f} s")


def run(task: str, seed: int, out: Path) -> None:
    """Train, finetune, train the larger models: `sweep.parquet` and `truth.parquet`."""
    world, shares = WORLDS[task], {task: 0.15}
    ladder = [
        RunConfig(ModelConfig(w), world.steps, seed, shares, world.checkpoints)
        for w in world.widths
    ]
    train_ladder(ladder, out / "runs")
    finetune_sweep(
        [f"lab:{out / 'runs'}"],
        task,
        world.amounts,
        subsets=2,
        seeds=2,
        out=out / "sweep",
        every=25,
        patience=6,
        instances=INSTANCES,
    ).write_parquet(out / "sweep.parquet")
    later = [
        RunConfig(ModelConfig(w), s, seed, shares, tuple(range(world.every, s, world.every)))
        for w, s in world.later
    ]
    folders = train_ladder(later, out / "truth")
    paths = [path for of in folders.values() for path in of]
    measure(paths, lab_instances(task, INSTANCES)).write_parquet(out / "truth.parquet")


def collect(out: Path) -> None:
    """Write `MEASURED`: column `world` says which, `part` "sweep" or "truth"."""
    parts = [
        pl.read_parquet(file)
        .filter(pl.col("metric") == "pass")
        .with_columns(world=pl.lit(file.parent.name), part=pl.lit(file.stem))
        for file in sorted(out.glob("*/*.parquet"))
    ]
    table = pl.concat(parts, how="diagonal_relaxed")
    table.write_parquet(MEASURED, compression_level=19)
    print(f"{MEASURED}: {table.height} rows")


def report() -> None:
    """Forecast every world from its ladder, and report the outcome."""
    table = pl.read_parquet(MEASURED)
    for (world,), own in table.group_by("world", maintain_order=True):
        sweep, truth = (own.filter(part=part) for part in ("sweep", "truth"))
        for most in SEEN:
            for row in forecasts(str(world), sweep, truth, most):
                print(" | ".join(map(str, row.values())), flush=True)


def forecasts(
    world: str, whole: pl.DataFrame, later: pl.DataFrame, most: float
) -> list[dict[str, object]]:
    """One row per method: the loss at which the ability appears, forecast and true.

    Only checkpoints that score less than `most` above chance are used.
    """
    few = whole.filter(pl.col("finetune_examples") == 0)
    every = pl.concat([few, later], how="diagonal_relaxed")
    came, elbow = crossings(every), relu_elbow(every)
    few = few.filter(pl.col("value") - pl.col("chance") < most)
    seen = whole.join(few.select("run", "step"), on=["run", "step"], how="semi")
    best = float(few["flops"].max())  # type: ignore[arg-type]
    ahead = min((c["flops"] for c in came), default=np.inf) / best
    lowest = float(every["loss"].min())  # type: ignore[arg-type]
    losses = sorted(c["loss"] for c in came) or [-np.inf, lowest]
    fitted = fit_emergence(emergence_data(seen))
    made: list[tuple[str, str, float, tuple[float, float]]] = []
    for definition in ("elbow", "above"):
        point = emergence_point(fitted, definition)
        made.append((f"finetuning, {definition}", str(point.status), point.value, point.interval))
    plain = plain_relu(emergence_data(seen))
    made.append(("finetuning, plain ReLU, elbow", "", plain, (np.nan, np.nan)))
    made.append(("few-shot alone, above", "", *alone(few)))
    out = []
    for method, status, value, (low, high) in made:
        true = (elbow, elbow) if "elbow" in method else (losses[0], losses[-1])
        out.append(
            {
                "world": world,
                "checkpoints": few.height,
                "best seen": float(few["loss"].min()),  # type: ignore[arg-type]
                "method": method,
                "forecast": round(value, 3),
                "low": round(low, 3),
                "high": round(high, 3),
                "truth": f"{true[0]:.3f}-{true[1]:.3f}",
                "error": round(value - float(np.clip(value, *true)), 3),
                "held": None if np.isnan(low) else bool(low <= true[1] and high >= true[0]),
                "FLOPs ahead": round(ahead, 1),
                "status": status,
            }
        )
    return out


def crossings(table: pl.DataFrame) -> list[dict[str, float]]:
    """Loss and FLOPs at which each successful run first scores `DISTANCE` above chance."""
    found = []
    for _, run in table.group_by("model", "seed"):
        own = run.sort("step")
        above = (own["value"] - own["chance"] >= DISTANCE).to_numpy()
        if above.any() and not above[0]:
            k = int(np.argmax(above))
            gap = np.log(own["value"].to_numpy()[k - 1 : k + 1])
            goal = np.log(DISTANCE + float(own["chance"][k]))
            way = float((goal - gap[0]) / (gap[1] - gap[0]))
            found.append(
                {
                    name: float(own[name][k - 1] + way * (own[name][k] - own[name][k - 1]))
                    for name in ("loss", "flops")
                }
            )
    return found


def relu_elbow(table: pl.DataFrame) -> float:
    """Elbow of all few-shot scores by least squares, as the truth of Snell et al. 2024."""
    loss, y = table["loss"].to_numpy(), table["value"].to_numpy()

    def cost(e: float) -> float:
        design = np.stack([np.maximum(e - loss, 0.0), np.ones_like(loss)], 1)
        return float(np.linalg.lstsq(design, y, rcond=None)[1].sum())

    grid = np.linspace(np.quantile(loss, 0.05), loss.max(), 200)
    best = grid[int(np.argmin([cost(e) for e in grid]))]
    step = grid[1] - grid[0]
    return float(
        optimize.minimize_scalar(cost, bounds=(best - step, best + step), method="bounded").x
    )


def alone(few: pl.DataFrame) -> tuple[float, tuple[float, float]]:
    """Loss at which the pass-rate law over loss, fitted to few-shot scores, reaches that."""
    fitted = augury.fit(
        "pass-rate:over=loss",
        few.select("loss", "value", "chance"),
        likelihood=augury.Gaussian("log"),
    )
    grid = np.linspace(float(few["loss"].max()), 0.5, 400)  # type: ignore[arg-type]
    chance = float(few["chance"][0])
    made = augury.predict(fitted, pl.DataFrame({"loss": grid, "chance": np.full(400, chance)}))

    def first(values: list[float]) -> float:
        above = np.array(values) >= DISTANCE + chance
        return float(grid[int(np.argmax(above))]) if above.any() else -np.inf

    value = first([f.value for f in made])
    ends = (first([f.mean_interval[0] for f in made]), first([f.mean_interval[1] for f in made]))
    return value, ends


if __name__ == "__main__":
    main()
