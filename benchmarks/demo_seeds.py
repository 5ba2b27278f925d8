"""`python -m benchmarks.demo_seeds [--run [SEED ...]]`: how the demo's forecasts fare over seeds.

With --run, the demos of those seeds (0 to 9 if none is named) are run or resumed in out/demo-seeds,
two minutes each on two cores, and every forecast that was on record before its models were trained
is kept with its result. Without it, only the table of docs/compare.md is made again. Run N + 1 is
in the demos of N and N + 1, so ten seeds have eleven different runs of each size.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.cli.demo import run_demo

RECORD = Path(__file__).parent / "records" / "demo_seeds.json"
PAGE = Path(__file__).parent.parent / "docs" / "compare.md"
BEGIN, END = "<!-- made by `python -m benchmarks.demo_seeds` -->", "<!-- end of demo_seeds -->"
SEEDS = range(10)
# The leading method comes first.
METHODS = ("average", "line", "instances", "pooled", "laws")


def measured(seeds: Sequence[int], out: Path = Path("out/demo-seeds")) -> list[dict[str, Any]]:
    """Forecasts of pass rates and emergence points with their results; saved after each seed."""
    rows = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else []
    for seed in seeds:
        told = run_demo(out / str(seed), steps=500, seed=seed, quiet=True, latent=None)
        if not told["complete"]:
            raise SystemExit(f"the demo of seed {seed} is not complete: {told['failed']}")
        rows = [row for row in rows if row["demo"] != seed]
        rows += [
            {
                "demo": seed,
                "method": said["method"].removeprefix("counts-"),
                "params": said["inputs"].get("params"),
                "run": said["seed"],
                "value": said["value"],
                "low": said["interval"][0],
                "high": said["interval"][1],
                "truth": said["truth"],
                "held": said["held"],
            }
            for said in told["forecasts"]
            if said["held"] is not None
        ]
        rows.sort(key=lambda row: int(row["demo"]))
        RECORD.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        print(f"seed {seed}: {told['held']} held, {told['missed']} missed", flush=True)
    return rows


def score(rows: pl.DataFrame) -> dict[str, float]:
    """How many held, median width and error as factors, mean interval score in decades."""
    low, high, value, truth = (
        np.log10(rows[c].cast(pl.Float64).to_numpy()) for c in ("low", "high", "value", "truth")
    )
    miss = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    return {
        "held": int(rows["held"].sum()),
        "of": rows.height,
        "width": float(10 ** np.median(high - low)),
        "error": float(10 ** np.median(np.abs(value - truth))),
        "score": float(np.mean(high - low + 20 * miss)),
    }


def table_of(rows: Sequence[dict[str, Any]]) -> str:
    """The table of docs/compare.md."""
    frame = pl.DataFrame(list(rows), infer_schema_length=None)
    rates = frame.filter(pl.col("method").is_in(METHODS))
    near, far = rates["params"].unique().sort()
    lines = [
        f"| | at {near:,.0f} parameters: held | width | median error | interval score | "
        f"at {far:,.0f}: held | width | median error | interval score |",
        "|---|" + "---|" * 8,
    ]
    for method in METHODS:
        cells = []
        for params in (near, far):
            own = score(rates.filter(method=method, params=params))
            cells += [f"{own['held']} of {own['of']}", f"{own['width']:.3g}x",
                      f"{own['error']:.2g}x", f"{own['score']:.2f}"]  # fmt: skip
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    points = frame.filter(method="emergence")
    wide = float((points["high"] - points["low"]).median())  # type: ignore[arg-type]
    lines += [
        "",
        f"The point of emergence of “sort-digits”: {points['held'].sum()} of {points.height} 90 % "
        f"intervals held, median width {wide:.2f} nats per token.",
    ]
    return "\n".join(lines)


def page_of(text: str, rows: Sequence[dict[str, Any]]) -> str:
    """The page with the table of a record."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table_of(rows)}\n\n{END}{rest.partition(END)[2]}"


def main(words: Sequence[str]) -> None:
    """Run what is asked for, and write the table."""
    if "--run" in words:
        measured([int(word) for word in words if word != "--run"] or list(SEEDS))
    rows = json.loads(RECORD.read_text(encoding="utf-8"))
    PAGE.write_text(page_of(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
    print(table_of(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
