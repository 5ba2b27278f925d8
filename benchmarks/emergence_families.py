"""Public models of several families on FLOPs: the moved curve, few-shot rows alone, a plain ReLU.

python -m benchmarks.emergence_families 16 --out figures.jsonl makes 16 simulated tables of each
shape of the shift (`families_table` in tests/moved_studies.py), writes one line per table, resumes
after a stop, and prints the table of docs/emergence.md. `--print` only prints it.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tests.emergence_studies import plain_relu
from tests.moved_studies import families_table

from augury.forecast.emergence import EmergenceData, fit_moved, moved_study

SHAPES = ("s-shaped", "log")
SEED = 8
# Map the rising axis to falling numbers between 0 and 5, which the plain fit treats as losses.
TURNED = 25.0


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=int)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--print", action="store_true")
    asked = parser.parse_args()
    lines = asked.out.read_text().splitlines() if asked.out.exists() else []
    done = [json.loads(line) for line in lines]
    have = {(d["shape"], d["table"]) for d in done}
    for k in range(0 if asked.print else asked.tables):
        for shape in SHAPES:
            if (shape, k) not in have:
                done.append(one(shape, k))
                with asked.out.open("a") as out:
                    out.write(json.dumps(done[-1]) + "\n")
    print_table(done)


def one(shape: str, k: int) -> dict[str, Any]:
    """One table: decades from the truth, (middle, low, high), by each method."""
    truth, table = families_table(np.random.default_rng([k, SEED]), shape)
    began = time.process_time()
    fitted = fit_moved(moved_study(table, "flops"))
    spent = time.process_time() - began
    alone = fitted.control_point()
    assert alone is not None
    return {
        "shape": shape,
        "table": k,
        "moved curve": np.log10(np.array(fitted.point()) / truth).tolist(),
        "few-shot alone": np.log10(np.array(alone) / truth).tolist(),
        "plain ReLU": [plain(fitted.data) - float(np.log10(truth))],
        "status": str(fitted.status),
        "notes": [n.code for n in fitted.notes],
        "cpu_seconds": round(spent, 1),
    }


def plain(data: EmergenceData) -> float:
    """Decades of FLOPs of the elbow, by least squares of the plain law."""
    return TURNED - plain_relu(replace(data, place=TURNED - np.log10(data.place)))


def print_table(done: list[dict[str, Any]]) -> None:
    """Error in decades, early or late, coverage and width by shape and method."""
    print("| shift | method | tables | median error | median late by | held | median width |")
    print("|---|---|---|---|---|---|---|")
    for shape in SHAPES:
        own = [d for d in done if d["shape"] == shape]
        for method in ("moved curve", "few-shot alone", "plain ReLU"):
            three = np.array([d[method] for d in own])
            late = three[:, 0]
            told = f"{np.median(np.abs(late)):.2f} | {np.median(late):.2f}"
            if three.shape[1] == 3:
                held = int(((three[:, 1] <= 0) & (three[:, 2] >= 0)).sum())
                told += f" | {held} of {len(own)} | {np.median(three[:, 2] - three[:, 1]):.2f}"
            else:
                told += " | | "
            print(f"| {shape} | {method} | {len(own)} | {told} |", flush=True)


if __name__ == "__main__":
    main()
