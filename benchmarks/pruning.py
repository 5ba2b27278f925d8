"""`python -m benchmarks.pruning`: pruned lab models against dense ones of equal average size.

Jin et al. 2025 (arXiv 2501.12486) say that a model pruned during training is as good as a dense one
with its average number of parameters. A ladder of dense lab models gives a law of the loss in
parameters; pruned models are compared with it at their average. They are dense for the first
quarter; then the smallest weights are cut every 50 steps, along a cubic ramp, until three quarters;
the last quarter has the final density. Embeddings and norms are kept.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import augury
from augury.lab import LENGTH, ModelConfig, RunConfig
from augury.lab.config import BATCH, BLOCK
from augury.lab.corpus import training_text, validation_text
from augury.lab.model import init
from augury.lab.trainer import _optimiser, course_of, mean_loss
from augury.laws import mean_params

RECORD = Path(__file__).parent / "records" / "pruning.json"
STEPS, SEEDS = 500, (0,)
DENSE = (8, 10, 12, 16, 20, 24)
# Width, and the share of the matrices' weights left at the end.
PRUNED = ((16, 0.4), (20, 0.4), (24, 0.4), (20, 0.2), (24, 0.2))
START, END = 0.25, 0.75
MATRICES = ("query_key_value", "out", "up", "down")


def density_at(share: float, final: float) -> float:
    """Density after a given share of the run."""
    u = np.clip((share - START) / (END - START), 0.0, 1.0)
    return float(1.0 - (1.0 - final) * (1.0 - (1.0 - u) ** 3))


def masks_of(weights: dict[str, Any], masks: dict[str, Any], density: float) -> dict[str, Any]:
    """Weights to keep: the largest of every matrix; a removed weight never returns."""
    found = {}
    for name, mask in masks.items():
        if name.split(".")[-1] in MATRICES:
            size = np.abs(np.asarray(weights[name])) * np.asarray(mask)
            keep = round(density * size.size)
            least = np.sort(size.ravel())[-keep]
            found[name] = (size >= least).astype(np.float32)
        else:
            found[name] = mask
    return found


def train(width: int, final: float, seed: int) -> dict[str, float]:
    """One run: its loss, its parameters, and their mean over the run."""
    import jax
    import optax

    config = RunConfig(ModelConfig(width), steps=STEPS, seed=seed)
    optimiser = _optimiser(config.model, course_of(STEPS))
    weights: Any = init(config.model, seed)
    masks: Any = {n: np.ones_like(x) for n, x in weights.items()}
    state = optimiser.init(weights)

    def one(carry: Any, batch: Any) -> Any:
        weights, state, masks = carry
        gradient = jax.grad(partial(mean_loss, config.model))(weights, batch)
        updates, state = optimiser.update(gradient, state, weights)
        moved = optax.apply_updates(weights, updates)
        return ({n: x * masks[n] for n, x in moved.items()}, state, masks), None

    block = jax.jit(lambda carry, batches: jax.lax.scan(one, carry, batches)[0])
    active = []
    for start in range(0, STEPS, BLOCK):
        density = density_at(start / STEPS, final)
        if density < 1.0:
            masks = masks_of(weights, masks, density)
            weights = {n: x * masks[n] for n, x in weights.items()}
        active.append(sum(float(np.sum(m)) for m in masks.values()))
        text = training_text(seed, start, BLOCK * BATCH, config.shares)
        text = text.reshape(BLOCK, BATCH, LENGTH).astype("int32")
        weights, state, masks = block((weights, state, masks), text)
    held = validation_text(config.shares).astype("int32")
    loss = float(jax.jit(partial(mean_loss, config.model))(weights, held))
    prunable = sum(x.size for n, x in masks.items() if n.split(".")[-1] in MATRICES)
    fixed = config.model.params - prunable
    return {
        "width": width, "density": final, "seed": seed, "loss": loss,
        "params": float(config.model.params), "left": active[-1],
        "params_mean": float(np.mean(active)),
        "closed_form": fixed + float(mean_params(prunable, final, START, END, "cubic")),
    }  # fmt: skip


def run_all() -> pl.DataFrame:
    """Every run of the ladder."""
    rows = []
    for width, final in [(w, 1.0) for w in DENSE] + list(PRUNED):
        for seed in SEEDS:
            began = time.process_time()
            rows.append(train(width, final, seed))
            print(f"{rows[-1]} ({time.process_time() - began:.0f} s)", file=sys.stderr, flush=True)
    return pl.DataFrame(rows)


def compared(runs: pl.DataFrame) -> dict[str, Any]:
    """Pruned runs compared with the dense law at their average and final sizes."""
    dense, pruned = runs.filter(pl.col("density") == 1.0), runs.filter(pl.col("density") < 1.0)
    fitted = augury.fit("power", dense.select("params", "loss"), likelihood="gaussian")

    def off(column: str) -> np.ndarray:
        at = augury.predict(fitted, pruned.select(params=column))
        return np.log(pruned["loss"].to_numpy() / np.array([f.value for f in at]))

    noise = np.log(dense["loss"].to_numpy()) - np.log(
        [f.value for f in augury.predict(fitted, dense.select("params"))]
    )
    return {
        "law": {n: fitted.parameters[n] for n in ("E", "A", "alpha")},
        "dense_residual": float(np.sqrt(np.mean(noise**2))),
        **{
            f"off_at_{column}": {"mean": float(off(column).mean()),
                                 "rms": float(np.sqrt(np.mean(off(column) ** 2)))}
            for column in ("params_mean", "left", "params")
        },
    }  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Show the record, or train the ladder again with --run."""
    if "--run" in arguments:
        runs = run_all()
        record = {"runs": runs.to_dicts(), **compared(runs)}
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({k: v for k, v in json.loads(RECORD.read_text()).items() if k != "runs"},
                     indent=2))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
