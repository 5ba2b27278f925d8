"""`python -m benchmarks.choices`: the law chosen by `augury.choose`, on larger held-out runs.

Public tables of 6 to 23 small runs are fitted as users would, and the larger runs of each table are
forecast by the chosen law, the runner-up, and a straight line of log loss over log compute (or
size) with the interval of its residuals. The score is that of a 90 % interval (Gneiting & Raftery
2007) over the true value; less is better. The record is saved after each table.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

import augury
from benchmarks.law_data import DATA

RECORD = Path(__file__).parent / "records" / "choices.json"
LEVEL = 0.9


def tables() -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame, str]]:
    """Name, small runs, larger ones, and what is forecast."""
    widths = pl.read_csv(DATA / "small-tables" / "nanolm.csv")
    widths = widths.with_columns(params=pl.col("params_m") * 1e6)
    for (series, step), own in widths.group_by("series", "step", maintain_order=True):
        rows = own.select("params", "loss")
        yield f"{series}, step {step}", rows.head(7), rows.slice(7), "loss"
    scores = pl.read_csv(DATA / "gpt3-ladder" / "gpt3_table_h1_6tasks.csv")
    rows = scores.select("params", value="hellaswag_0shot")
    yield "GPT-3, HellaSwag", rows.head(6), rows.slice(6), "value"
    points = pl.read_csv(DATA / "chinchilla-epoch" / "svg_extracted_data.csv")
    points = points.select(params="Model Size", flops="Training FLOP", loss="loss").filter(
        pl.col("loss") < 3.43
    )
    small, large = points.filter(pl.col("flops") < 3e20), points.filter(pl.col("flops") >= 3e20)
    for count in (8, 12):
        some = np.random.default_rng(count).choice(small.height, count, replace=False)
        yield (
            f"Chinchilla, {count} of its runs below 3e20 FLOPs",
            small[np.sort(some)],
            large,
            ("loss"),
        )
    gems = pl.read_csv(DATA / "gemstones" / "wandb_df_for_fitting_hot_sampled_like_chinchilla.csv")
    gems = gems.select(
        params=pl.col("params_active_precise").cast(pl.Float64),
        tokens=pl.col("tokens").cast(pl.Float64), loss="final_loss",
    ).sort(pl.col("params") * pl.col("tokens"))  # fmt: skip
    yield "Gemstones", gems.head(16), gems.slice(16), "loss"


def scored(value: np.ndarray, low: np.ndarray, high: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Mean error, share of intervals that hold, and the interval score over the true value."""
    miss = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    return {
        "error": float(np.mean(np.abs(value / y - 1))),
        "held": float(np.mean((low <= y) & (y <= high))),
        "score": float(np.mean((high - low + 2 / (1 - LEVEL) * miss) / y)),
    }


def straight(small: pl.DataFrame, large: pl.DataFrame, output: str) -> dict[str, float]:
    """A line in logs over flops, N D or N, whichever the table has first."""

    def scale(rows: pl.DataFrame) -> np.ndarray:
        if "flops" in rows.columns:
            return np.log(rows["flops"].to_numpy())
        more = np.log(rows["tokens"].to_numpy()) if "tokens" in rows.columns else 0.0
        return np.log(rows["params"].to_numpy()) + more

    x, y, at = scale(small), np.log(small[output].to_numpy()), scale(large)
    line = stats.linregress(x, y)
    free = len(x) - 2
    spread = np.sqrt(np.sum((y - line.intercept - line.slope * x) ** 2) / free)
    far = np.sqrt(1 + 1 / len(x) + (at - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2))
    half = stats.t.ppf((1 + LEVEL) / 2, free) * spread * far
    mean = line.intercept + line.slope * at
    return scored(np.exp(mean), np.exp(mean - half), np.exp(mean + half), large[output].to_numpy())


def compared(small: pl.DataFrame, large: pl.DataFrame, output: str) -> dict[str, Any]:
    """The choice for one table, and the scores of its laws and the line."""
    choice = augury.choose(small, output=output)
    found: dict[str, Any] = {}
    for name, fitted in choice.fits.items():
        if fitted.usable:
            columns = [n for n in fitted.law.inputs if n in large.columns]
            at = augury.predict(fitted, large.select(columns).to_dicts(), level=LEVEL)
            ends = np.array([f.run_interval for f in at])
            value = np.array([f.value for f in at])
            found[name] = scored(value, ends[:, 0], ends[:, 1], large[output].to_numpy())
    return {
        "rows": small.height, "held out": large.height, "law": choice.law,
        "weight": choice.weights[choice.law], "laws": found,
        "line": straight(small, large, output),
    }  # fmt: skip


def table_of(record: dict[str, Any]) -> str:
    """The table of docs/laws.md."""
    lines = [
        "| table | runs, held out | chosen (weight) | error, held, score | next | line |",
        "|---|---|---|---|---|---|",
    ]

    def said(x: dict[str, float]) -> str:
        return f"{100 * x['error']:.2f} %, {x['held']:.0%}, {x['score']:.3f}"

    for name, row in record.items():
        others = [f"`{n}` {said(x)}" for n, x in row["laws"].items() if n != row["law"]]
        own = row["laws"].get(row["law"])
        lines.append(
            f"| {name} | {row['rows']}, {row['held out']} | `{row['law']}` ({row['weight']:.2f}) | "
            f"{said(own) if own else '-'} | {others[0] if others else '-'} | {said(row['line'])} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Show the table, or measure it again with --run; a stopped run resumes."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    if "--run" in arguments:
        for name, small, large, output in tables():
            if name not in record:
                record[name] = compared(small, large, output)
                text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
                RECORD.write_text(text, encoding="utf-8")
    print(table_of(record))


if __name__ == "__main__":
    main(sys.argv[1:])
