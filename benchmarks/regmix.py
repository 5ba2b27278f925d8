"""`python -m benchmarks.regmix`: 64 mixtures of RegMix ranked at 1B from runs at 1M and 60M.

All choices are made at 1M and 60M: `rank_mixtures` gets those runs and the 64 mixtures, and the
losses of the 1B models are used only for scoring.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from augury.forecast.questions.ranking import LAW, TREES, MixtureRanking, rank_mixtures

FOLDER = Path(__file__).parent.parent.parent / "shared" / "data" / "regmix"
SIZES = {"1m": 1e6, "60m": 6e7, "1B": 1e9}


def runs_of(part: str, size: str) -> pl.DataFrame:
    """Shares, losses by set, and the size."""
    mixtures = pl.read_csv(FOLDER / f"{part}_mixture_{size}.csv").drop("index")
    losses = pl.read_csv(FOLDER / f"{part}_pile_loss_{size}.csv").drop("index")
    named = {c: c.removeprefix("metric/the_pile_").removesuffix("_val_loss")
             for c in losses.columns}  # fmt: skip
    shares = {c: c.replace("train_the_pile_", "share_") for c in mixtures.columns}
    table = pl.concat([mixtures.rename(shares), losses.rename(named)], how="horizontal")
    return table.with_columns(params=pl.lit(SIZES[size]))


def small_runs() -> pl.DataFrame:
    """All runs at 1M and 60M."""
    return pl.concat([runs_of("train", "1m"), runs_of("test", "1m"), runs_of("test", "60m")])


def columns_of(table: pl.DataFrame) -> list[str]:
    """The thirteen losses."""
    return [c for c in table.columns if c != "params" and not c.startswith("share_")]


def score(found: MixtureRanking, large: pl.DataFrame) -> dict[str, dict[str, float]]:
    """By column: rank correlation at 1B, and coverage of the intervals (up to the level)."""
    scores = {}
    for column in found.columns:
        own = found.by_column.filter(pl.col("column") == column).sort("mixture")
        truth = np.log(large[column].to_numpy())
        off = truth - truth.mean() - np.log(own["value"].to_numpy())
        low, high = (np.log((own[end] / own["value"]).to_numpy()) for end in ("low", "high"))
        scores[column] = {
            "spearman": float(spearmanr(own["value"], truth).statistic),
            "held": float(np.mean((low <= off) & (off <= high))),
            "weight_of_law": found.weights[column][LAW],
            "weight_of_trees": found.weights[column][TREES],
            "at_60m": found.correlation[column],
        }
    return scores


def run(columns: Sequence[str] = ()) -> dict[str, Any]:
    """Scores by column, and their mean."""
    small, large = small_runs(), runs_of("test", "1B")
    wanted = list(columns) or columns_of(small)
    found = rank_mixtures(small, large, minimise=wanted)
    scores = score(found, large)
    mean = {k: float(np.mean([s[k] for s in scores.values()])) for k in ("spearman", "held")}
    return {"mean": mean, "columns": scores}


def main(arguments: Sequence[str]) -> None:
    """All loss sets, or those named: one line each, or JSON."""
    found = run([a for a in arguments if not a.startswith("-")])
    if "--json" in arguments:
        print(json.dumps(found, indent=2))
        return
    print(f"{'loss on':20s} {'Spearman':>9s} {'at 60M':>7s} {'law':>5s} {'held':>5s}")
    for name, s in found["columns"].items():
        print(f"{name:20s} {s['spearman']:9.3f} {s['at_60m']:7.3f} {s['weight_of_law']:5.2f} "
              f"{s['held']:5.0%}")  # fmt: skip
    print(f"{'mean':20s} {found['mean']['spearman']:9.4f} {'':13s} {found['mean']['held']:5.0%}")


if __name__ == "__main__":
    main(sys.argv[1:])
