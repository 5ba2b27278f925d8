"""`python -m benchmarks.sloth`: forecast larger models of families by skills, on Sloth's splits.

The smallest one or two models of the test family are known, and all models of other families. The
error is the mean over test families of the mean absolute error of the scores. Splits and floors are
those of Maia Polo et al. 2024 (arXiv 2412.06540); principal components on log FLOPs, recomputed by
others on these splits, agree with the published ones to five digits.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from augury.forecast.families import fit_skills

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
FIRST = ("MMLU", "ARC", "HellaSwag", "Winogrande", "TruthfulQA", "GSM8K")
SECOND = ("IFEval", "BBH", "MATH Lvl 5", "GPQA", "MUSR", "MMLU-PRO")
BENCHMARKS = {"leaderboard v1": FIRST, "leaderboard v2": SECOND, "both": FIRST + SECOND}
# 1 / choices, averaged over sub-tasks for BBH and MUSR; for TruthfulQA, the lowest observed score.
FLOORS = {
    "MMLU": 0.25, "HellaSwag": 0.25, "Winogrande": 0.5, "GSM8K": 0.0, "ARC": 0.25,
    "TruthfulQA": 0.31, "IFEval": 0.0, "MATH Lvl 5": 0.0, "MMLU-PRO": 0.1, "GPQA": 0.25,
    "BBH": 0.28850, "MUSR": 0.34330,
}  # fmt: skip
YI = "yi-1.5 yi-1.5-chat dolphin-2.9.1-yi-1.5"
# Test families by experiment and number of known models; families in one entry form one test.
SPLITS: dict[tuple[str, int], tuple[str, ...]] = {
    ("leaderboard v1", 1): (
        "bloom", "codegen-nl", "codellama", "deepseek-coder-base", "pythia dolly-v2", "falcon",
        "gemma gemma-it sauerkrautlm-gemma", "gpt-j-neo-neox", "internlm2",
        "meta-llama-3 meta-llama-3-instruct", "mpt mpt-chat mpt-instruct", "olmo", "opt", "qwen2",
        "rwkv-4-pile", "starcoder2", "stablelm-base-alpha", "xglm", YI,
    ),
    ("leaderboard v1", 2): (
        "bloom", "codellama", "deepseek-coder-base", "falcon", "gpt-j-neo-neox",
        "llama-2 llama-2-chat", "open_llama_", "opt", "pythia", "qwen1.5 qwen1.5-chat", "qwen2",
        "rwkv-4-pile", "starcoder2", "xglm", "yi-1.5 yi-1.5-chat",
    ),
    ("leaderboard v2", 1): (
        "bloom", "pythia dolly-v2", "falcon falcon-instruct", "gemma-2 gemma-2-it",
        "gpt-j-neo-neox", "meta-llama-3 meta-llama-3-instruct llama-3-sauerkrautlm-instruct",
        "olmo", "opt", "qwen2 qwen2-instruct dolphin-2.9.2-qwen2", "starcoder2",
        "smollm smollm-instruct", YI,
    ),
    ("leaderboard v2", 2): (
        "bloom", "llama-2 llama-2-chat", "orca_mini_v3_", "pythia dolly-v2",
        "qwen1.5 qwen1.5-chat", "qwen2 qwen2-instruct", "smollm smollm-instruct", "starcoder2",
        "yi-1.5 yi-1.5-chat",
    ),
    ("both", 1): (
        "bloom", "pythia dolly-v2", "falcon", "gemma gemma-it sauerkrautlm-gemma",
        "gpt-j-neo-neox", "meta-llama-3 meta-llama-3-instruct", "olmo", "opt", "qwen2",
        "starcoder2", YI,
    ),
    ("both", 2): (
        "bloom", "llama-2 llama-2-chat", "pythia", "qwen1.5 qwen1.5-chat", "qwen2", "starcoder2",
        "yi-1.5 yi-1.5-chat",
    ),
}  # fmt: skip


def models(experiment: str, known: int) -> pl.DataFrame:
    """Models with all benchmarks from families with more than `known` models, smallest first."""
    table = pl.read_csv(SHARED / "sloth" / "data_v2.csv", infer_schema_length=None)
    flops = "FLOPs (1E21)"
    table = table.with_columns(
        family="Family2",
        params=pl.col("#Params (B)") * 1e9,
        tokens=pl.col("Pretraining Data Size (T)") * 1e12,
    ).drop_nulls([*BENCHMARKS[experiment], "params", "tokens", flops])
    table = table.filter(pl.len().over("family") > known)
    table = table.sort("family", "params", maintain_order=True)
    return table.select("family", "params", "tokens", *BENCHMARKS[experiment]).with_columns(
        place=pl.int_range(pl.len()).over("family")
    )


def tests_of(experiment: str, known: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Fitted and forecast models of every test."""
    table = models(experiment, known)
    for families in SPLITS[experiment, known]:
        held = pl.col("family").is_in(families.split()) & (pl.col("place") >= known)
        yield table.filter(~held), table.filter(held)


def errors(experiment: str, known: int) -> tuple[float, float]:
    """Mean absolute error, and how often the 90 % intervals held."""
    names = BENCHMARKS[experiment]
    missed, held = [], []
    for past, future in tests_of(experiment, known):
        fitted = fit_skills(past, names, floors={n: FLOORS[n] for n in names})
        ahead = fitted.predict(future)
        truth = np.concatenate([future[n].to_numpy() for n in names])
        missed.append(float(np.abs(ahead["forecast"].to_numpy() - truth).mean()))
        held += list((ahead["low"].to_numpy() <= truth) & (truth <= ahead["high"].to_numpy()))
    return float(np.mean(missed)), float(np.mean(held))


def published() -> dict[str, dict[tuple[str, int], float]]:
    """The published error of each method and number of skills, by experiment and models known."""
    table = pl.read_csv(SHARED / "small-tables" / "sloth_published_errors.csv")
    found: dict[str, dict[tuple[str, int], float]] = {}
    for row in table.iter_rows(named=True):
        key = row["experiment"], row["n_train_models_of_family"]
        found.setdefault(row["method"], {})[key] = row["mean_abs_error"]
    return found


def best_method(methods: dict[str, dict[tuple[str, int], float]]) -> str:
    """The published method with the smallest mean error over the six experiments."""
    return min(methods, key=lambda name: sum(methods[name].values()))


def main(arguments: Sequence[str]) -> None:
    """All experiments: one line each, or JSON."""
    methods = published()
    best = best_method(methods)
    found = []
    for experiment, known in SPLITS:
        error, held = errors(experiment, known)
        each = [method[experiment, known] for method in methods.values()]
        found.append({"experiment": experiment, "known": known, "error": error, "held": held,
                      best: methods[best][experiment, known], "least": min(each)})  # fmt: skip
    if "--json" in arguments:
        print(json.dumps(found, indent=2))
        return
    print(f"{best} is the best of {len(methods)} published methods on average")
    print(f"{'experiment':15s} {'known':>5s} {'error':>7s} {'held':>5s} {best:>20s} {'least':>7s}")
    for row in found:
        print(f"{row['experiment']:15s} {row['known']:5d} {row['error']:7.4f} {row['held']:5.0%} "
              f"{row[best]:20.4f} {row['least']:7.4f}")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
