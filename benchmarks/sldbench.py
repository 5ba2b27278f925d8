"""`python -m benchmarks.sldbench`: five tasks of SLDBench, the law chosen by `augury.choose`.

Each task's law is chosen from its training rows among all registered laws whose inputs it has; its
constants are fitted to the training rows of every group; R^2 is for the test rows. The task's rules
say along which columns the test extrapolates (the largest model, the most data), and the choice
cuts along these; nothing else of the test rows is used.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import augury
from augury.fitting import fit_many
from augury.laws import parse_law

FOLDER = Path(__file__).parent.parent.parent / "shared" / "data" / "sldbench"


@dataclass(frozen=True)
class SldTask:
    """A task: its columns by our names, where its test extrapolates, and the best agent's R^2.

    Attributes:
        columns: theirs -> ours.
        by: columns along which the test extrapolates, by the task's rules.
        published: R^2 of the best agent in the paper's table (published_scores.csv).
    """

    columns: dict[str, str]
    by: tuple[str, ...]
    published: float


TASKS = {
    "parallel": SldTask({"num_params": "params", "parallel_size": "streams"}, ("streams",), 1.0),
    "sft": SldTask(
        {"sft_data_size": "finetune_examples", "sft_loss": "loss"}, ("finetune_examples",), 0.993
    ),
    "moe": SldTask(
        {
            "num_experts": "experts",
            "dense_parameter_count": "params_active",
            "loss_validation": "loss",
        },
        ("params_active",),
        0.773,
    ),
    "data_constrained": SldTask({}, ("params", "unique_tokens"), 0.944),
    "u_shape": SldTask({"brier_score": "value", "log_flops": "flops"}, ("flops",), -0.305),
}


def rows_of(name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and test rows of a task; log compute becomes compute, in its unit."""
    table = pl.read_csv(FOLDER / f"{name}.csv").rename(TASKS[name].columns)
    if name == "u_shape":
        table = table.with_columns(flops=10 ** pl.col("flops"))
    train = pl.col("split") == "train"
    return table.filter(train), table.filter(~train)


def run_task(name: str) -> dict[str, Any]:
    """R^2 on the test rows, the law, its weight, and the runner-up."""
    task = TASKS[name]
    train, test = rows_of(name)
    target = "loss" if "loss" in train.columns else "value"
    groups = "group" if train["group"].n_unique() > 1 else None
    choice = augury.choose(train, by=task.by, groups=groups)
    law = parse_law(choice.law)
    fitted = fit_many(law, train, by="group")
    value = np.full(test.height, np.nan)
    for key, p in zip(fitted.groups["group"], fitted.parameters, strict=True):
        at = (test["group"] == key).to_numpy()
        inputs = {n: test[n].to_numpy()[at].astype(float) for n in fitted.law.inputs}
        value[at] = fitted.law(dict(zip(fitted.names, p, strict=True)), **inputs)
    truth = test[target].to_numpy()
    r2 = 1.0 - np.mean((value - truth) ** 2) / np.var(truth)
    second = next((x for x in choice.scores["law"] if x != choice.law), None)
    return {
        "r2": float(r2),
        "law": choice.law,
        "weight": choice.weights.get(choice.law, 0.0),
        "runner_up": second,
        "published_best_agent": task.published,
    }


def main(arguments: Sequence[str]) -> None:
    """All tasks, or those named: one line each, or JSON."""
    named = [x for x in arguments if not x.startswith("-")] or list(TASKS)
    unknown = [x for x in named if x not in TASKS]
    if unknown:
        raise SystemExit(f"no task is called '{unknown[0]}'; there are: {', '.join(TASKS)}")
    found = {name: run_task(name) for name in named}
    if "--json" in arguments:
        print(json.dumps(found, indent=2))
        return
    print(f"{'task':18s} {'R2':>7s} {'agent':>7s}  law (weight), next")
    for name, row in found.items():
        print(
            f"{name:18s} {row['r2']:7.3f} {row['published_best_agent']:7.3f}  {row['law']} "
            f"({row['weight']:.2f}), {row['runner_up']}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
