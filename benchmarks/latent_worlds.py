"""The lab's worlds of latent attributes: record forecasts, then train models that show the truth.

python -m benchmarks.latent_worlds ladder h2 0 [--width 12]
trains the ladder of a world with a seed and finetunes every checkpoint; finished work is kept.

python -m benchmarks.latent_worlds forecast h2 0
forecasts every task from the ladder as visible at each cut, and writes the record.

python -m benchmarks.latent_worlds others h2 0
forecasts each task with known shifts of the other tasks.

python -m benchmarks.latent_worlds later h2 0 [--width 32]
trains the larger models, but only after the forecast is on record.

python -m benchmarks.latent_worlds relu
forecasts all worlds by the paper's ReLU.

python -m benchmarks.latent_worlds collect
writes everything to benchmarks/records/latent_worlds.parquet and latent_forecasts.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# One thread: on a busy machine, two would spin at barriers.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import polars as pl

from augury.lab.latent import WORLDS, LatentText, LatentWorld, latent_run, latent_world
from benchmarks.latent_forecasts import CUTS, forecasts, leave_one_out, relu_forecasts

RECORDS = Path(__file__).parent / "records"
OUT = Path("out/latent")


def main() -> None:
    """Train, forecast, or collect."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what", choices=["ladder", "forecast", "others", "later", "relu", "collect"]
    )
    parser.add_argument("world", nargs="?", choices=list(WORLDS))
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--width", type=int)
    parser.add_argument("--cut", type=float, choices=CUTS)
    asked = parser.parse_args()
    if asked.what in ("relu", "collect"):
        relu() if asked.what == "relu" else collect()
        return
    world = latent_world(asked.world)
    if asked.what == "forecast":
        forecast(world, asked.seed, asked.cut)
        return
    if asked.what == "others":
        others(world, asked.seed)
        return
    later = asked.what == "later"
    recorded = {(r["world"], r["seed"]) for r in on_record()}
    known = (world.name, asked.seed) in recorded or forecast_file(world, asked.seed).exists()
    if later and not known:
        raise SystemExit("the forecast is not on record yet")
    for width in world.later if later else world.widths:
        if asked.width in (None, width):
            train(world, width, asked.seed, later=later)


def run_file(world: LatentWorld, width: int, seed: int) -> Path:
    """Path of a run's measurements."""
    return OUT / f"{world.name}-{seed}" / f"w{width}.parquet"


def on_record() -> list[dict[str, Any]]:
    """The forecasts that are committed, one record per world and seed."""
    made: list[dict[str, Any]] = json.loads((RECORDS / "latent_forecasts.json").read_text())
    return made


def forecast_file(world: LatentWorld, seed: int) -> Path:
    """Path of a recorded forecast."""
    return OUT / f"{world.name}-{seed}" / "forecast.json"


def train(world: LatentWorld, width: int, seed: int, *, later: bool) -> None:
    """Do one run, unless it exists."""
    file = run_file(world, width, seed)
    if file.exists():
        return
    began = time.process_time()
    table = latent_run(world, width, seed, later=later)
    spent = time.process_time() - began
    file.parent.mkdir(parents=True, exist_ok=True)
    table.with_columns(
        cpu_seconds=pl.lit(spent), floor=pl.lit(LatentText(world, seed).floor())
    ).write_parquet(file)
    print(f"{world.name} width {width} seed {seed}: {spent:.0f} CPU-seconds", flush=True)


def forecast(world: LatentWorld, seed: int, only: float | None = None) -> None:
    """Forecast every task from the ladder as visible at each cut, and record it.

    The record is written after the last cut.
    """
    file = forecast_file(world, seed)
    if file.exists():
        return
    cuts = CUTS
    parts = {cut: file.with_name(f"forecast-{cut:g}.json") for cut in cuts}
    sweep = pl.concat([pl.read_parquet(run_file(world, w, seed)) for w in world.widths])
    floor = LatentText(world, seed).floor()
    for cut in cuts if only is None else (only,):
        if not parts[cut].exists():
            parts[cut].write_text(json.dumps(forecasts(sweep, floor, cut)))
    if not all(part.exists() for part in parts.values()):
        return
    rows = [row for part in parts.values() for row in json.loads(part.read_text())]
    record = {
        "world": world.name,
        "seed": seed,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "sweep": hashlib.sha256(sweep.write_csv().encode()).hexdigest()[:16],
        "forecasts": rows,
    }
    file.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{file}: {len(rows)} forecasts", flush=True)


def others(world: LatentWorld, seed: int) -> None:
    """Forecast each task from the ladder alone, with known shifts of the others."""
    sweep = pl.concat([pl.read_parquet(run_file(world, w, seed)) for w in world.widths])
    rows = leave_one_out(sweep, LatentText(world, seed).floor())
    forecast_file(world, seed).with_name("others.json").write_text(json.dumps(rows))


def relu() -> None:
    """Forecasts by the paper's ReLU for every world and seed with a ladder."""
    sweeps = {}
    for world in WORLDS.values():
        for seed in range(3):
            files = [run_file(world, w, seed) for w in world.widths]
            if all(file.exists() for file in files):
                sweep = pl.concat([pl.read_parquet(file) for file in files])
                sweeps[world.name, seed] = sweep, LatentText(world, seed).floor()
    for (name, seed), rows in relu_forecasts(sweeps).items():
        (OUT / f"{name}-{seed}" / "relu.json").write_text(json.dumps(rows))


def collect() -> None:
    """Write measurements and forecasts into the records; what is not here stays as it is there.

    A forecast on record is never replaced.
    """
    files = sorted(OUT.glob("*/w*.parquet"))
    table = pl.concat([pl.read_parquet(file) for file in files], how="diagonal_relaxed")
    kept = ("model", "family", "step", "seed", "params", "tokens", "flops", "loss", "shots", "task",
            "metric", "finetune_examples", "subset", "value", "n", "chance", "reference_logprob",
            "reference_rank", "choice_probability", "floor", "cpu_seconds")  # fmt: skip
    table = table.select(kept).with_columns(
        pl.col(n).round(5) for n in ("reference_logprob", "reference_rank", "choice_probability")
    )
    old = pl.read_parquet(RECORDS / "latent_worlds.parquet")
    table = table.join(old.select("model", "seed").unique(), on=["model", "seed"], how="anti")
    table = pl.concat([old, table], how="vertical_relaxed")
    table = table.sort("family", "seed", maintain_order=True)
    table.write_parquet(RECORDS / "latent_worlds.parquet", compression_level=19)
    records = {(r["world"], r["seed"]): r for r in on_record()}
    for file in sorted(OUT.glob("*/forecast.json")):
        record = json.loads(file.read_text())
        if (record["world"], record["seed"]) in records:
            continue
        for beside in (file.with_name("others.json"), file.with_name("relu.json")):
            if beside.exists():
                record["forecasts"] += json.loads(beside.read_text())
        for row in record["forecasts"]:
            row.update({k: round(v, 5) for k, v in row.items() if isinstance(v, float)})
        records[record["world"], record["seed"]] = record
    lines = ",\n".join(json.dumps(records[key]) for key in sorted(records))
    (RECORDS / "latent_forecasts.json").write_text(f"[\n{lines}\n]\n")
    print(f"{table.height} rows, {len(records)} worlds and seeds forecast")


if __name__ == "__main__":
    main()
