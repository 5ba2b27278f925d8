"""More public ladders for the development half, added after the scored half had been seen.

Three corpora per kind were too few to say how far the next one lies from them. None of these
shares data with a corpus of the scored half.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import polars as pl

from benchmarks.scorecard.cases import Case, windows
from benchmarks.scorecard.corpora import (
    CORPORA,
    DATA,
    PYTHIA,
    PYTHIA_STEP,
    WORLDS,
    arithmetic_of_pythia,
    trends_of,
    with_flops,
)

GPT3 = {"Small": 0.125e9, "Medium": 0.35e9, "Large": 0.76e9, "XL": 1.3e9, "2.7B": 2.7e9,
        "6.7B": 6.7e9, "13B": 13e9}  # fmt: skip
# Finetuning examples at which models of many families are compared.
EXAMPLES = ("0", "12800", "1638400")
OPT_TASKS = ("arc_challenge", "arc_easy", "logiqa", "piqa", "sciq", "winogrande", "wsc")
# From here on Pythia's checkpoints are evenly spaced, like most logs.
EVEN_FROM = 13000


def gpt3() -> Iterator[Case]:
    """Digitised curves of seven sizes of GPT-3 at a few token counts, and its printed scores."""
    path = DATA / "colpret-curves" / "curves.parquet"
    if path.exists():
        table = pl.read_parquet(path).filter(pl.col("run").str.starts_with("GPT-3 "))
        table = with_flops(
            table.with_columns(
                params=pl.col("run").str.strip_prefix("GPT-3 ").replace_strict(GPT3).cast(float),
                tokens="tokens_seen",
                y="loss",
            )
        )
        for part in (0.1, 0.3, 1.0):
            most = table.group_by("run").agg(pl.col("tokens").max())["tokens"].min()
            assert isinstance(most, float)
            own = table.filter(pl.col("tokens") <= part * most).sort("tokens")
            own = own.group_by("run", maintain_order=True).last()
            yield from windows(
                "loss", "gpt3-curves", f"at {part}", own, scale="log", axis="params", cuts=2
            )
    path = DATA / "gpt3-ladder" / "gpt3_table_h1_6tasks.csv"
    if path.exists():
        table = pl.read_csv(path)
        for task in table.columns[2:-1]:
            if not task.startswith("lambada"):
                own = table.with_columns(y=task)
                yield from windows(
                    "task score", "gpt3-tasks", task, own, scale="points", axis="params", cuts=2
                )


def widths() -> Iterator[Case]:
    """Losses of nanoGPT over its width, for twelve settings."""
    path = DATA / "double-descent" / "nanogpt_final_val_loss_over_n_embd.csv"
    if not path.exists():
        return
    table = pl.read_csv(path).unpivot(index="hyper_setting", value_name="y")
    table = table.with_columns(params=pl.col("variable").str.extract(r"(\d+)").cast(float) ** 2)
    for (setting,), own in table.group_by("hyper_setting", maintain_order=True):
        yield from windows(
            "loss", "nanogpt-widths", str(setting), own, scale="log", axis="params", cuts=1
        )


def finetuned() -> Iterator[Case]:
    """Losses of thirty models after finetuning, over size and each over examples."""
    for task in ("flan", "gigaword", "wmt19"):
        path = DATA / "ft-rectified" / f"{task}.csv"
        if not path.exists():
            return
        wide = pl.read_csv(path)
        for examples in EXAMPLES:
            own = wide.with_columns(params=pl.col("size").cast(float), y=examples)
            yield from windows(
                "loss", "finetuned-sizes", f"{task} {examples}", own, scale="log", axis="params"
            )
        counts = [c for c in wide.columns if re.fullmatch(r"[1-9]\d*", c)]
        for i, row in enumerate(wide.to_dicts()):
            if i % 3:
                continue
            own = pl.DataFrame({"x": [float(c) for c in counts], "loss": [row[c] for c in counts]})
            seen, ahead = own[:9], own[9:]
            yield Case(
                "one curve", "finetuned-curves", f"{task} {row['config name']}",
                float(seen["x"][-1]), "log", "x", seen.with_columns(y="loss"),
                ahead.rename({"loss": "y"}), "development",
            )  # fmt: skip


def routed() -> Iterator[Case]:
    """Validation losses of a few dense and routed runs: forecast the end from the first half."""
    path = DATA / "moe-routing" / "curves.parquet"
    if not path.exists():
        return
    table = pl.read_parquet(path).select("hyper_id", x=pl.col("step").cast(float),
                                         loss="loss_validation").drop_nulls()  # fmt: skip
    for i, ((run,), own) in enumerate(table.group_by("hyper_id", maintain_order=True)):
        own = own.filter(pl.col("x") > 0).unique("x").sort("x").drop("hyper_id")
        seen = own.filter(pl.col("x") <= own["x"].max() / 2)  # type: ignore[operator]
        if i % 12 == 0 and seen.height >= 10:
            yield Case(
                "one curve", "routed-curves", str(run), float(seen["x"][-1]), "log", "x",
                seen.with_columns(y="loss"), own[-1:].rename({"loss": "y"}), "development",
            )  # fmt: skip


def harness() -> Iterator[Case]:
    """Pythia and OPT by the harness: WikiText over size, scores over size and over training."""
    path = DATA / "pythia-evals" / "pythia_opt_bloom_evals_long.parquet"
    if not path.exists():
        return
    rows = pl.read_parquet(path).with_columns(pl.col(pl.Categorical).cast(pl.String))
    rows = rows.filter(pl.col("rep") == 0)
    opt = rows.filter(suite="opt", metric="acc", setting="zero-shot")
    size = pl.col("model").str.extract(r"opt-([\d.]+)").cast(float)
    opt = opt.with_columns(
        y="value", params=pl.when(pl.col("model").str.ends_with("m")).then(size * 1e6)
        .otherwise(size * 1e9),
    )  # fmt: skip
    for task in OPT_TASKS:
        yield from windows(
            "task score", "opt-sizes", task, opt.filter(task=task), scale="points",
            axis="params", cuts=2,
        )  # fmt: skip
    name = pl.col("model").str.extract(r"pythia-([\d.]+[mb])")
    pythia = rows.filter(pl.col("suite").str.starts_with("pythia")).with_columns(
        params=name.replace_strict(PYTHIA, default=None).cast(pl.Float64),
        tokens=pl.col("step") * PYTHIA_STEP, y="value",
        kind=pl.col("model").str.contains("deduped"),
    )  # fmt: skip
    bits = pythia.filter(suite="pythia-v0", metric="bits_per_byte", setting="zero-shot")
    bits = with_flops(bits.filter(pl.col("tokens") > 0))
    for (kind,), own in bits.group_by("kind", maintain_order=True):
        own = own.unique(["params", "step"], keep="first", maintain_order=True)
        yield from windows("loss", "pythia-wikitext", str(kind), own, scale="log", targets=12)
    trends = pythia.filter(
        pl.col("suite") == "pythia-v1", pl.col("metric") == "acc",
        pl.col("setting") == "zero-shot", pl.col("step") >= EVEN_FROM,
        pl.col("task").str.contains("^(blimp_.*island|hendrycksTest-.*_)"), ~pl.col("kind"),
    )  # fmt: skip
    for (model,), own in trends.group_by("model", maintain_order=True):
        wide = own.pivot("task", index=["params", "tokens"], values="y")
        yield from trends_of("pythia-even", str(model), wide, {t: t for t in wide.columns[2:]})


def inabilities() -> Iterator[Case]:
    """Twelve tasks, most of which get worse, at eight sizes of Pythia."""
    path = DATA / "emergent-inabilities" / "all_results.tsv"
    if not path.exists():
        return
    table = pl.read_csv(path, separator="\t")
    table = table.with_columns(
        size=pl.col("ModelName").str.to_lowercase().str.extract(r"([\d.]+[mb])"),
        step=pl.col("ModelRevision").cast(pl.String).str.extract(r"(\d+)").cast(pl.Int64),
        y=pl.col("Accuracy"),
    ).with_columns(params=pl.col("size").replace_strict(PYTHIA).cast(pl.Float64))
    for (task, step), own in table.group_by("Task", "step", maintain_order=True):
        if step in (16000, 143000):
            yield from windows(
                "task score", "inabilities", f"{task} {step}", own, scale="points",
                axis="params", cuts=2,
            )  # fmt: skip


def more_pass_rates() -> Iterator[Case]:
    """Arithmetic over FLOPs, with checkpoints of all lengths together; finetuned sorting models."""
    means = arithmetic_of_pythia()
    if means is not None:
        for (what, shots), own in means.group_by("what", "fewshot", maintain_order=True):
            yield from windows(
                "pass rate", "arithmetic-flops", f"{what} {shots}", own, scale="log", targets=12
            )
    rows = pl.read_parquet(WORLDS).filter(
        pl.col("part") == "sweep", pl.col("logprob").is_not_null(),
        pl.col("world").str.contains("digits"),
        pl.col("finetune_examples") > 0,
    )  # fmt: skip
    rows = rows.with_columns(y=pl.col("logprob").exp())
    keys = ("world", "finetune_examples", "subset")
    for key, own in rows.group_by(keys, maintain_order=True):
        own = own.unique(["params", "step"], keep="first", maintain_order=True)
        yield from windows(
            "pass rate", "worlds-finetuned", " ".join(map(str, key)), own, scale="log", targets=12
        )


def exact_matches() -> Iterator[Case]:
    """Gadre's runs over FLOPs: tasks that guessing does not pass, without the scored LAMBADA."""
    folder = DATA / "gadre"
    if not folder.exists():
        return
    runs = with_flops(
        pl.read_csv(folder / "models_downstream.csv").with_columns(
            pl.col("params", "tokens").cast(pl.Float64)
        )
    )
    tasks = pl.read_csv(folder / "eval_metadata.csv").filter(pl.col("Random baseline") == 0)
    sizes = dict(tasks.select("Eval Task", "#datapoints").iter_rows())
    for (data,), own in runs.group_by("dataset", maintain_order=True):
        for task, n in sizes.items():
            if task == "lambada_openai" or f"icl/{task}" not in own.columns:
                continue
            rates = own.with_columns(
                y=f"icl/{task}", samples=pl.lit(float(n)),
                passes=(pl.col(f"icl/{task}") * n).round(),
            )  # fmt: skip
            yield from windows("pass rate", "gadre-rates", f"{data} {task}", rates, scale="log")


MORE: tuple[Callable[[], Iterator[Case]], ...] = (
    gpt3, widths, finetuned, routed, harness, inabilities, more_pass_rates, exact_matches,
)  # fmt: skip


def all_cases() -> Iterator[Case]:
    """The problems of every available corpus."""
    for corpus in (*CORPORA, *MORE):
        yield from corpus()
