"""`python -m benchmarks.intrinsic`: the intrinsic dimension of finetuning, over the lab's sizes.

Models of five widths are trained only on filler, then finetuned on a task in random subspaces of
their weights (`augury finetune --subspace`); d_90 is the smallest dimension with 90 % of the gain
from training all weights. Li et al. 2018 (arXiv 1804.08838), Aghajanyan et al. 2020 (arXiv
2012.13255). The sweep is kept under build/, so a stopped run resumes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from augury.finetune import finetune_sweep
from augury.forecast.intrinsic import measure_intrinsic_dimension
from augury.lab import ModelConfig, RunConfig, train

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "benchmarks" / "records" / "intrinsic.json"
WORK = ROOT / "build" / "intrinsic"
WIDTHS = (8, 12, 16, 20, 24)
TASKS = ("sort-letters",)
STEPS, AMOUNT, SEEDS = 300, 4000, 3
DIMENSIONS = (128, 256, 512, 1024, 2048)
# For training all weights at width 16: the best of four rates a factor of 2 apart.
RATE = 0.02


def run_all() -> dict[str, Any]:
    """The ladder, the sweeps, and d_90 of both measures."""
    for width in WIDTHS:
        run = RunConfig(ModelConfig(width), steps=STEPS, shares={})
        train(run, WORK / "ladder" / run.run)
    found: dict[str, Any] = {}
    for task in TASKS:
        rows = finetune_sweep(
            [f"lab:{WORK / 'ladder'}"], task, [AMOUNT], 1, SEEDS, out=WORK / task,
            subspace=DIMENSIONS, instances=256, workers=0, learning_rate=RATE,
            progress=lambda *at: print(*at, file=sys.stderr, flush=True),
        )  # fmt: skip
        for measure in ("logprob", "value"):
            of = measure_intrinsic_dimension(rows, measure=measure)
            found[f"{task}, {measure}"] = of.to_dict()
    return found


def main(arguments: Sequence[str]) -> None:
    """Show the record, or measure it again with --run."""
    if "--run" in arguments:
        record = {"widths": WIDTHS, "steps": STEPS, "examples": AMOUNT, "seeds": SEEDS,
                  "dimensions": DIMENSIONS, "found": run_all()}  # fmt: skip
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for name, of in json.loads(RECORD.read_text(encoding="utf-8"))["found"].items():
        print(f"{name}: exponent {of['exponent']}")
        for row in of["models"]:
            print("  " + ", ".join(f"{k} {v}" for k, v in row.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
