"""Where the real data lie, and what is read from them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from augury.data import read_table

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
CHINCHILLA = DATA / "chinchilla-epoch" / "svg_extracted_data.csv"
OLMO = DATA / "olmo-ladder"
needs_chinchilla = pytest.mark.skipif(not CHINCHILLA.exists(), reason="the shared data are absent")
needs_olmo = pytest.mark.skipif(not OLMO.exists(), reason="the shared data are absent")


def chinchilla(where: str | None = "loss < 3.43") -> pl.DataFrame:
    """The 240 points (245 without `where`) of Besiroglu et al. 2024."""
    columns = {"params": "Model Size", "flops": "Training FLOP"}
    return read_table(CHINCHILLA, columns=columns, where=where)


# The eight tasks of Bhagia et al. 2024: column, the paper's chained forecast and the truth, %.
OLMO_TASKS = {
    "mmlu": ("", 48.4, 49.0),
    "hellaswag": ("hellaswag_val", 82.5, 81.3),
    "arc_challenge": ("arc_challenge_test", 51.5, 61.9),
    "arc_easy": ("arc_easy_test", 76.6, 84.6),
    "piqa": ("piqa_val", 81.2, 82.0),
    "csqa": ("csqa_val", 75.7, 72.6),
    "socialiqa": ("socialiqa_val", 58.7, 59.9),
    "openbookqa": ("openbookqa_test", 44.2, 49.4),
}
MMLU_WEIGHTS = {"stem": 0.215, "humanities": 0.335, "social_sciences": 0.219, "other": 0.231}
OLMO_TARGET = {"params": 6887575552.0, "tokens": 3945065873408.0}


def olmo_ladder() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Final points (mean of the last five evaluations) and checkpoints (after the first 10 %,
    smoothed over five) of the sixteen runs 190M-1.3B, 1-10xC, for the eight tasks."""
    log = pl.read_parquet(OLMO / "ladder_runs.parquet")
    config = json.loads((OLMO / "configs" / "final_7b_only.json").read_text())
    finals, checkpoints = [], []
    for size in config.values():
        if size["mode"] != "train":
            continue
        for path in size["paths"]:
            run = Path(path).stem
            rows = log.filter(pl.col("run") == run).sort("_step")
            tokens = rows["throughput/total_tokens"].to_numpy().astype(float)
            for task in OLMO_TASKS:
                bpb = _column(rows, "downstream_bpb", task, "bpb")
                score = _column(rows, "downstream", task, "len_norm")
                there = np.isfinite(bpb) & np.isfinite(score)
                known = {"run": run, "task": task, "params": float(size["n"])}
                finals.append(
                    known
                    | {
                        "tokens": tokens[-1],
                        "bpb": float(bpb[there][-5:].mean()),
                        "value": float(score[there][-5:].mean()),
                    }
                )
                first = int(np.ceil(0.1 * there.sum()))
                checkpoints.append(
                    pl.DataFrame(
                        {
                            "tokens": tokens[there][first:],
                            "bpb": _smooth(bpb[there])[first:],
                            "value": _smooth(score[there])[first:],
                        }
                    ).with_columns(**{k: pl.lit(v) for k, v in known.items()})
                )
    return pl.DataFrame(finals), pl.concat(checkpoints)


def _column(rows: pl.DataFrame, kind: str, task: str, suffix: str) -> np.ndarray:
    if task == "mmlu":
        return sum(
            weight * rows[f"eval/{kind}/mmlu_{part}_test_rc_5shot_{suffix}"].to_numpy()
            for part, weight in MMLU_WEIGHTS.items()
        )
    return rows[f"eval/{kind}/{OLMO_TASKS[task][0]}_rc_5shot_{suffix}"].to_numpy()


def _smooth(x: np.ndarray) -> np.ndarray:
    """Mean of each value and up to four before it."""
    total = np.cumsum(np.concatenate([[0.0], x]))
    at = np.arange(1, len(x) + 1)
    first = np.maximum(at - 5, 0)
    return (total[at] - total[first]) / (at - first)
