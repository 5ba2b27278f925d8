"""Locate the real data and read them."""

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


# The eight tasks of Bhagia et al. 2024: column, the paper's chained forecast, the truth, %.
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
                bpb = olmo_column(rows, "downstream_bpb", task, "bpb")
                score = olmo_column(rows, "downstream", task, "len_norm")
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


def olmo_column(rows: pl.DataFrame, kind: str, task: str, suffix: str) -> np.ndarray:
    if task == "mmlu":
        parts = (
            weight * rows[f"eval/{kind}/mmlu_{part}_test_rc_5shot_{suffix}"].to_numpy()
            for part, weight in MMLU_WEIGHTS.items()
        )
        return sum(parts, start=np.zeros(rows.height))
    return rows[f"eval/{kind}/{OLMO_TASKS[task][0]}_rc_5shot_{suffix}"].to_numpy()


def _smooth(x: np.ndarray) -> np.ndarray:
    """Mean of each value and up to four before it."""
    total = np.cumsum(np.concatenate([[0.0], x]))
    at = np.arange(1, len(x) + 1)
    first = np.maximum(at - 5, 0)
    return (total[at] - total[first]) / (at - first)


INABILITIES = DATA / "emergent-inabilities"
needs_inabilities = pytest.mark.skipif(
    not INABILITIES.exists(), reason="the shared data are absent"
)
# Non-embedding parameters (Pythia's README), and the nominal sizes that the paper regresses on.
PYTHIA = {
    "70m": (18915328.0, 70e6),
    "160m": (85056000.0, 160e6),
    "410m": (302311424.0, 410e6),
    "1b": (805736448.0, 1e9),
    "1.4b": (1208602624.0, 1.4e9),
    "2.8b": (2517652480.0, 2.8e9),
    "6.9b": (6444163072.0, 6.9e9),
    "12b": (11327027200.0, 12e9),
}
PYTHIA_TOKENS = 2097152.0  # a step


def inabilities(*, nominal: bool = False) -> pl.DataFrame:
    """Michaelov & Bergen 2023: 12 scores of 8 Pythia sizes at 8 checkpoints."""
    table = pl.read_csv(INABILITIES / "all_results.tsv", separator="\t")
    size = pl.col("ModelName").str.extract(r"pythia-([\d.]+[mb])")
    step = pl.col("ModelRevision").str.strip_prefix("step").cast(pl.Float64)
    return table.select(
        model="ModelName",
        family=pl.lit("pythia"),
        params=size.replace_strict({k: v[nominal] for k, v in PYTHIA.items()}),
        tokens=step * PYTHIA_TOKENS,
        task="Task",
        value="Accuracy",
        stderr="Accuracy_SE",
    )


# Published t values of params, tokens, interaction, each with its adjusted p (None: below .001).
INABILITIES_T: dict[str, tuple[tuple[float, float | None], ...]] = {
    "hindsight_neglect": ((-4.22, None), (-4.69, None), (-2.88, 0.012)),
    "into_the_unknown": ((-0.31, 0.824), (2.04, 0.079), (0.02, 0.986)),
    "memo_trap": ((-10.05, None), (-11.34, None), (-9.71, None)),
    "modus_tollens": ((-0.16, 0.927), (-2.13, 0.071), (-1.50, 0.208)),
    "neqa": ((0.79, 0.559), (-0.08, 0.963), (2.45, 0.034)),
    "pattern_matching_suppression": ((-3.20, 0.005), (-9.58, None), (-6.37, None)),
    "redefine": ((0.60, 0.645), (-0.79, 0.559), (-1.53, 0.205)),
    "repetitive_algebra": ((-0.49, 0.706), (-2.11, 0.071), (-1.00, 0.443)),
    "resisting_correction": ((5.13, None), (5.63, None), (-1.89, 0.104)),
    "sig_figs": ((-0.59, 0.645), (-0.74, 0.574), (-1.46, 0.215)),
    "truthfulqa_mc1": ((-10.90, None), (-11.45, None), (-2.97, 0.01)),
    "truthfulqa_mc2": ((-24.72, None), (-23.89, None), (-12.02, None)),
}

# First line of a program to be stopped by Ctrl-C: children of a process that ignores it, as one
# started in the background may, ignore it too.
HEED_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
