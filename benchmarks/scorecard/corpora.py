"""The public ladders, and the half of each.

The halves were fixed before any forecaster was run. Corpora that ../shared/methods/forecasts.md had
measured, or whose scores were seen while a default was chosen, are development.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from augury.data.compute import training_flops
from benchmarks import curves
from benchmarks.scorecard.cases import Case, windows

DATA = curves.SHARED
WORLDS = Path(__file__).parents[2] / "docs" / "experiments" / "worlds.parquet"
RULE = Path(__file__).parent / "rule_ladder.csv"
HALVES = {
    "gadre-losses": "development",
    "datablations": "development",
    "worlds-losses": "development",
    "chinchilla-epoch": "scored",
    "gemstones": "scored",
    "olmo-losses": "scored",
    "sldbench-moe": "scored",
    "gadre-tasks": "development",
    "olmo-tasks": "development",
    "pythia-sizes": "development",
    "gemstones-tasks": "scored",
    "obs-scaling": "scored",
    "dclm": "scored",
    "u-shape": "scored",
    "arithmetic": "development",
    "worlds-digits": "development",
    "rule-ladder": "development",
    "lambada": "scored",
    "worlds-letters": "scored",
    "obs-emergent": "scored",
    "pythia-training": "development",
    "gpt3-curves": "development",
    "nanogpt-widths": "development",
    "finetuned-sizes": "development",
    "pythia-wikitext": "development",
    "gpt3-tasks": "development",
    "opt-sizes": "development",
    "inabilities": "development",
    "arithmetic-flops": "development",
    "worlds-finetuned": "development",
    "gadre-rates": "development",
    "pythia-even": "development",
    "gemstones-training": "scored",
    "olmo-training": "scored",
}
# Non-embedding parameters (Pythia's README) for both names of a size.
PYTHIA = {
    "70m": 18915328, "160m": 85056000, "410m": 302311424, "1b": 805736448, "1.4b": 1208602624,
    "2.8b": 2517652480, "6.9b": 6444163072, "12b": 11327027200, "125m": 85056000,
    "350m": 302311424, "800m": 805736448, "1.3b": 1208602624, "2.7b": 2517652480,
    "6.7b": 6444163072, "13b": 11327027200,
}  # fmt: skip
PYTHIA_STEP = 2097152.0
OLMO_TASKS = ("hellaswag_val", "arc_challenge_test", "arc_easy_test", "piqa_val", "csqa_val",
              "socialiqa_val", "openbookqa_test", "winogrande_val")  # fmt: skip


def half_of(case: Case) -> str:
    """The half of a problem: that of its corpus, or alternating for single curves."""
    return HALVES.get(case.corpus) or case.group


def with_flops(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(flops=training_flops(pl.col("params"), pl.col("tokens")))


def gadre() -> Iterator[Case]:
    """Runs on three training sets: losses on eight sets, and the 17 tasks of the paper."""
    folder = DATA / "gadre"
    if not folder.exists():
        return
    runs = with_flops(
        pl.read_csv(folder / "models_downstream.csv").with_columns(
            pl.col("params", "tokens").cast(pl.Float64)
        )
    )
    losses = pl.read_csv(folder / "losses.csv").join(
        runs.select("name", "dataset", "params", "tokens", "flops"), on="name"
    )
    for (data, where), own in losses.group_by("dataset", "val_set", maintain_order=True):
        own = own.with_columns(y="loss")
        yield from windows(
            "loss", "gadre-losses", f"{data} {where}", own, scale="log", cuts=2, targets=5
        )
    tasks = json.loads((folder / "task_splits.json").read_text())["subset_17"]
    c4 = losses.filter(pl.col("val_set") == "c4_val").select("name", "loss")
    for (data,), own in runs.join(c4, on="name").group_by("dataset", maintain_order=True):
        for task in tasks:
            scored = own.with_columns(y=f"icl/{task}")
            yield from windows(
                "task score", "gadre-tasks", f"{data} {task}", scored, scale="points",
                cuts=2, targets=5,
            )  # fmt: skip


def runs_of_losses() -> Iterator[Case]:
    """Chinchilla's points, data-constrained runs, Gemstones, and routed models by experts."""
    path = DATA / "chinchilla-epoch" / "svg_extracted_data.csv"
    if path.exists():
        table = pl.read_csv(path).select(
            params="Model Size", flops="Training FLOP", y="loss",
            tokens=pl.col("Training FLOP") / (6 * pl.col("Model Size")),
        )  # fmt: skip
        yield from windows("loss", "chinchilla-epoch", "all", table, scale="log", targets=12)
    path = DATA / "datablations" / "runs_outliers_removed_182.csv"
    if path.exists():
        table = with_flops(pl.read_csv(path)).with_columns(y="val_loss")
        yield from windows("loss", "datablations", "all", table, scale="log", targets=12)
    for kind in ("hot", "cool_end"):
        path = DATA / "gemstones" / f"wandb_df_for_fitting_{kind}.csv"
        if path.exists():
            table = with_flops(
                pl.read_csv(path).with_columns(
                    params=pl.col("params_active_precise").cast(pl.Float64),
                    tokens=pl.col("tokens").cast(pl.Float64),
                    y="final_loss",
                )
            )
            yield from windows("loss", "gemstones", kind, table, scale="log", targets=12)
    path = DATA / "sldbench" / "moe.csv"
    if path.exists():
        table = pl.read_csv(path).with_columns(
            params=pl.col("dense_parameter_count").cast(pl.Float64), y="loss_validation"
        )
        for (experts,), own in table.group_by("num_experts", maintain_order=True):
            yield from windows(
                "loss", "sldbench-moe", f"{experts} experts", own, scale="log", axis="params",
                cuts=1,
            )  # fmt: skip


def olmo() -> Iterator[Case]:
    """Final points of the ladder's runs, losses and tasks; and tasks over each run's training."""
    folder = DATA / "olmo-ladder"
    if not folder.exists():
        return
    sizes = json.loads((folder / "configs" / "final_7b_only.json").read_text())
    params = {Path(p).stem: float(s["n"]) for s in sizes.values() for p in s["paths"]}
    log = pl.read_parquet(folder / "ladder_runs.parquet").with_columns(
        tokens=pl.col("throughput/total_tokens").cast(pl.Float64),
        params=pl.col("run").replace_strict(params, default=None, return_dtype=pl.Float64),
    )
    ladder = with_flops(
        log.filter(pl.col("params").is_not_null(), ~pl.col("run").str.contains("peteish"))
    )
    columns = [c for c in log.columns if "CrossEntropyLoss" in c]
    tasks = {t: f"eval/downstream/{t}_rc_5shot_len_norm" for t in OLMO_TASKS}
    tasks = {t: c for t, c in tasks.items() if c in log.columns}
    bits = {t: f"eval/downstream_bpb/{t}_rc_5shot_bpb" for t in tasks}

    def finals(column: str, *more: str) -> pl.DataFrame:
        """Mean of the last five evaluations of every run."""
        return (
            ladder.drop_nulls([column, "tokens"]).sort("_step")
            .group_by("run", maintain_order=True)
            .agg(pl.col("params").first(), pl.col("tokens", "flops").last(), y=pl.col(column)
                 .tail(5).mean(), **{f"link{i}": pl.col(c).tail(5).mean()
                                     for i, c in enumerate(more)})
        )  # fmt: skip

    for column in columns:
        name = column.split("/")[1]
        yield from windows("loss", "olmo-losses", name, finals(column), scale="log", cuts=2)
    for task, column in tasks.items():
        table = finals(column, bits[task]).rename({"link0": "loss"})
        yield from windows("task score", "olmo-tasks", task, table, scale="points")
    for (run,), own in ladder.group_by("run", maintain_order=True):
        if own.height < 20:
            continue
        yield from trends_of("olmo-training", str(run), own, tasks)


def trends_of(corpus: str, run: str, wide: pl.DataFrame, tasks: dict[str, str]) -> Iterator[Case]:
    """The tasks of one run over its training, one column each."""
    wide = (
        wide.drop_nulls(["tokens", *tasks.values()]).unique("tokens", keep="first").sort("tokens")
    )
    family = pl.concat(
        [
            wide.select("params", "tokens", y=pl.col(column), task=pl.lit(f"{run} {task}"))
            for task, column in tasks.items()
        ]
    )
    for (name,), own in family.group_by("task", maintain_order=True):
        yield from windows(
            "trend ahead", corpus, str(name), own, scale="points", axis="tokens", cuts=1,
            group=run, family=family, targets=4,
        )  # fmt: skip


def gemstones_tasks() -> Iterator[Case]:
    """Nine tasks of 22 models, over size at the last checkpoint and over training."""
    path = DATA / "gemstones" / "lighteval_acc.csv"
    sizes = DATA / "gemstones" / "wandb_df_for_fitting_hot.csv"
    if not path.exists():
        return
    size = (
        pl.read_csv(sizes)
        .select(shape=pl.col("run_name").str.extract(r"(\d+x\d+)"), params="params_active_precise")
        .unique()
    )
    table = with_flops(
        pl.read_csv(path)
        .filter(pl.col("step").is_not_null())
        .with_columns(
            shape=pl.col("model").str.extract(r"(\d+x\d+)"),
            tokens=pl.col("tokens").cast(pl.Float64),
        )
        .join(size.with_columns(pl.col("params").cast(pl.Float64)), on="shape")
    )
    tasks = ("arc:challenge", "arc:easy", "commonsense_qa", "hellaswag", "mmlu", "openbookqa",
             "piqa", "siqa", "winogrande")  # fmt: skip
    for task in tasks:
        own = table.drop_nulls(task).with_columns(y=task)
        # Every fifth checkpoint, so that ladders have tens of points instead of hundreds.
        some = own.sort("step").filter(pl.int_range(pl.len()).over("model") % 5 == 4)
        yield from windows("task score", "gemstones-tasks", task, some, scale="points")
    for (model,), own in table.group_by("model", maintain_order=True):
        yield from trends_of("gemstones-training", str(model), own, {t: t for t in tasks})


def pythia() -> Iterator[Case]:
    """Harness results of eight sizes and 27 checkpoints, over size and over training."""
    folder = DATA / "pythia-lm-eval"
    if not folder.exists():
        return
    rows = []
    for path in sorted(folder.glob("*/zero-shot/*.json")):
        found = json.loads(path.read_text())
        step = int(path.stem.split("step")[1].split("_")[0].split("-")[0])
        size = path.parts[-3].removeprefix("pythia-").removesuffix("-bf16")
        for task, metrics in found["results"].items():
            if "acc" in metrics and not task.startswith(("hendrycks", "blimp", "crows")):
                rows.append(
                    {"model": size, "params": float(PYTHIA[size]), "tokens": step * PYTHIA_STEP,
                     "task": task, "y": float(metrics["acc"])}
                )  # fmt: skip
    table = with_flops(pl.DataFrame(rows)).filter(pl.col("tokens") > 0)
    table = table.unique(["model", "tokens", "task"], keep="first", maintain_order=True)
    last = table.filter(pl.col("tokens") == pl.col("tokens").max())
    for (task,), own in last.group_by("task", maintain_order=True):
        yield from windows("task score", "pythia-sizes", str(task), own, scale="points", cuts=2)
    wide = table.pivot("task", index=["model", "params", "tokens"], values="y")
    tasks = {t: t for t in wide.columns[3:]}
    for (model,), own in wide.group_by("model", maintain_order=True):
        yield from trends_of("pythia-training", str(model), own, tasks)


def observed() -> Iterator[Case]:
    """Families of public models: benchmarks over size, and abilities over FLOPs."""
    path = DATA / "obs-scaling" / "base_llm_benchmark_eval.csv"
    if path.exists():
        table = pl.read_csv(path).with_columns(
            params=pl.col("Model Size (B)") * 1e9,
            tokens=pl.col("Pretraining Data Size (T)") * 1e12,
            flops=pl.col("FLOPs (1E21)") * 1e21,
        )
        for (family,), own in table.group_by("Model Family", maintain_order=True):
            for task in ("MMLU", "ARC-C", "HellaSwag", "Winograd", "TruthfulQA", "XWinograd"):
                scores = own.with_columns(y=task)
                yield from windows(
                    "task score", "obs-scaling", f"{family} {task}", scores, scale="points",
                    cuts=2,
                )  # fmt: skip
        abilities = pl.read_csv(
            DATA / "obs-scaling" / "base_llm_emergent_capability_eval.csv"
        ).join(table.select("Model", "Model Family", "params", "tokens", "flops"), on="Model")
        for task in [c for c in abilities.columns if c.endswith(("_acc", "exact_match"))]:
            # A rate of 0 is useless on a log scale: count half a success in 1,000 samples.
            own = abilities.with_columns(y=pl.col(task).clip(5e-4, 1 - 5e-4), model="Model")
            yield from windows("pass rate", "obs-emergent", task, own, scale="log", targets=12)
    path = DATA / "u-shape" / "groups.csv"
    if path.exists():
        groups = pl.read_csv(path).with_columns(
            flops=pl.col("flops_1e21") * 1e21, params=pl.col("params_b") * 1e9, y="acc"
        )
        for (task,), own in groups.group_by("task", maintain_order=True):
            yield from windows("task score", "u-shape", str(task), own, scale="points", cuts=2)
    path = DATA / "dclm" / "DCLM_model_database.csv"
    if path.exists():
        models = with_flops(
            pl.read_csv(path, infer_schema_length=None).with_columns(
                pl.col("params", "tokens").cast(pl.Float64)
            )
        )
        for (data,), own in models.group_by("Dataset", maintain_order=True):
            for task in ("Core", "hellaswag_zeroshot", "arc_easy", "piqa", "mmlu_fewshot"):
                scores = own.with_columns(y=pl.col(task).cast(pl.Float64, strict=False))
                yield from windows(
                    "task score", "dclm", f"{data} {task}", scores, scale="points", cuts=1
                )


def arithmetic_of_pythia() -> pl.DataFrame | None:
    """Mean accuracy per size, operation, shots and checkpoint; None if the data are absent."""
    path = DATA / "pythia-evals" / "pythia_v0_deduped_term_frequency_arithmetic.parquet"
    if not path.exists():
        return None
    table = pl.read_parquet(path).with_columns(
        what=pl.col("task").str.extract(r"arithmetic_([a-z]+)"),
        size=pl.col("model").str.extract(r"pythia-([\d.]+[mb])"),
    )
    means = table.group_by("size", "what", "fewshot", "checkpoint", maintain_order=True).agg(
        y=pl.col("acc").mean()
    )
    return with_flops(
        means.with_columns(
            params=pl.col("size").replace_strict(PYTHIA).cast(pl.Float64),
            tokens=pl.col("checkpoint") * PYTHIA_STEP, model="size",
            # 50 samples of each of 100 operands.
            samples=pl.lit(5000.0), passes=(pl.col("y") * 5000).round(),
        )
    )  # fmt: skip


def pass_rates() -> Iterator[Case]:
    """Arithmetic and LAMBADA over the sizes of Pythia; the lab's worlds, exact rates."""
    means = arithmetic_of_pythia()
    if means is not None:
        for (what, shots, step), own in means.group_by(
            "what", "fewshot", "checkpoint", maintain_order=True
        ):
            if step not in (65000, 143000):
                continue
            yield from windows(
                "pass rate", "arithmetic", f"{what} {shots} {step}", own, scale="log",
                axis="params",
            )  # fmt: skip
    path = DATA / "pythia-evals" / "pythia_opt_bloom_evals_long.parquet"
    if path.exists():
        rows = (
            pl.read_parquet(path)
            .with_columns(pl.col(pl.Categorical).cast(pl.String))
            .filter(task="lambada_openai", metric="acc", rep=0)
            .filter(suite="pythia-v1").filter(pl.col("step").is_in([13000, 63000, 143000]))
            .with_columns(size=pl.col("model").str.extract(r"pythia-([\d.]+[mb])"))
            .with_columns(
                params=pl.col("size").replace_strict(PYTHIA, default=None).cast(pl.Float64),
                y="value", samples=pl.lit(5153.0), passes=(pl.col("value") * 5153).round(),
                kind=pl.col("model").str.contains("deduped"),
            )
        )  # fmt: skip
        for (kind, setting, step), own in rows.group_by(
            "kind", "setting", "step", maintain_order=True
        ):
            own = own.unique("size", keep="first", maintain_order=True)
            yield from windows(
                "pass rate", "lambada", f"{kind} {setting} {step}", own, scale="log",
                axis="params", cuts=2,
            )  # fmt: skip
    rows = pl.read_parquet(WORLDS).filter(
        pl.col("part") == "sweep", pl.col("finetune_examples").fill_null(0) == 0,
        pl.col("shots") == 0, pl.col("logprob").is_not_null(),
    )  # fmt: skip
    for (world,), own in rows.group_by("world", maintain_order=True):
        corpus = "worlds-digits" if "digits" in str(world) else "worlds-letters"
        own = own.with_columns(
            y=pl.col("logprob").exp(), model=pl.concat_str("model", "step", separator=" ")
        )
        yield from windows("pass rate", corpus, str(world), own, scale="log", targets=12)
        own = own.with_columns(y="loss").unique(["params", "step"], keep="first")
        yield from windows("loss", "worlds-losses", str(world), own, scale="log")


def rule_ladder() -> Iterator[Case]:
    """The demo's ladder with two seeds: exact rates of `rule` over size, and its losses."""
    table = pl.read_csv(RULE).with_columns(pl.col("params", "tokens").cast(pl.Float64))
    for (seed, step), own in table.group_by("seed", "step", maintain_order=True):
        name = f"seed {seed}, step {step}"
        rates = own.with_columns(y="value")
        yield from windows("pass rate", "rule-ladder", name, rates, scale="log", axis="params")
    for (seed,), own in table.group_by("seed", maintain_order=True):
        losses = own.with_columns(y="loss")
        yield from windows("loss", "worlds-losses", f"rule {seed}", losses, scale="log")


def single_curves() -> Iterator[Case]:
    """The curves of benchmarks/curves.py, with their halves; every third for a schedule."""
    for i, case in enumerate(curves.cases(DATA)):
        if case.corpus == "lr-schedules" and i % 3:
            continue
        axis = "x"
        yield Case(
            "one curve", case.corpus, case.name, float(case.seen[axis].max()),  # type: ignore[arg-type]
            "log", axis, case.seen.with_columns(y="loss"),
            case.at.with_columns(y=pl.Series(case.truth)), case.half,
        )  # fmt: skip


CORPORA: tuple[Callable[[], Iterator[Case]], ...] = (
    gadre, runs_of_losses, olmo, gemstones_tasks, pythia, observed, pass_rates, rule_ladder,
    single_curves,
)  # fmt: skip
