"""A run's end from its beginning and from smaller runs: each alone, and blended.

    python -m benchmarks.runs_blended [--json] [--each] [--half HALF] [--data FOLDER]

A law is fitted to the ends of runs of at most half a run's compute; the first half (or quarter) of
that run forecasts its end, the mean log loss over its last 2 %. Every second ladder of Choshen et
al. 2024 is the development half, on which the settings of the blend were chosen; the others, OLMo's
ladder and Gemstones (McLeish et al. 2025) are scored.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

import augury
from augury.forecast.score import weighted_interval_score
from benchmarks.curves import LAST_PART, LEVEL, SHARED
from benchmarks.scorecard.corpora import PYTHIA
from benchmarks.scorecard.more_corpora import GPT3

PARTS = {"half": 0.5, "quarter": 0.25}
# A run is forecast from those of at most this part of its compute.
SMALLER = 0.5
# Runs and sizes that a law of params and tokens takes, and sizes that a law of params takes.
FEWEST_RUNS, FEWEST_SIZES, FEWEST_ALONE = 8, 3, 4
# Checkpoints of a run at a constant rate that enter the ladder; each is an end.
PER_RUN = 7
OPT = {"0.12B": 0.125e9, "1.30B": 1.3e9, "6.70B": 6.7e9, "13.00B": 13e9, "30.00B": 30e9,
       "0.17T": 175e9}  # fmt: skip
# Parameters of the runs on three corpora: their tokens are a multiple of twenty times these.
WIDTHS = {"96": 10.6e6, "512": 78.9e6, "576": 153.6e6, "1024": 411.6e6}
# Names of sizes of earlier Pythia runs, whose logs count tokens differently.
EARLIER = ("19m", "125m", "350m", "800m", "1.3b", "2.7b", "6.7b", "13b")


class Case(NamedTuple):
    """A run, the ends of smaller ones, and the truth."""

    corpus: str
    half: str
    ladder: str
    run: str
    part: str
    others: pl.DataFrame
    seen: pl.DataFrame
    planned: dict[str, float]
    truth: float


def main(arguments: list[str] | None = None) -> None:
    """Score every ladder that is there; print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--each", action="store_true", help="every run, not their means")
    parser.add_argument("--half", choices=["development", "scored"])
    parser.add_argument("--data", type=Path, default=SHARED)
    given = parser.parse_args(arguments)
    wanted = (c for c in cases(given.data) if given.half in (None, c.half))
    rows = pl.DataFrame([row for case in wanted for row in scores(case)])
    if rows.height and not given.each:
        rows = summary(rows)
    if given.json:
        print(json.dumps(rows.to_dicts()))
    else:
        with pl.Config(tbl_rows=1000, tbl_cols=20, tbl_hide_dataframe_shape=True):
            print(rows)


def cases(data: Path) -> Iterator[Case]:
    """Every larger run of every ladder, first half and first quarter."""
    path = data / "colpret-curves" / "curves.parquet"
    if path.exists():
        for i, (name, table) in enumerate(colpret(pl.read_parquet(path))):
            half = "scored" if i % 2 else "development"
            yield from larger("colpret", half, name, table, ends(table))
    path = data / "olmo-ladder" / "ladder_runs.parquet"
    if path.exists():
        table = olmo(path)
        yield from larger("olmo", "scored", "olmo", table, ends(table))
    path = data / "gemstones" / "fineweb_edu_losses_combined.csv"
    if path.exists():
        table = pl.read_csv(path, infer_schema_length=None).select(
            pl.col("tokens", "final_loss").cast(pl.Float64), run="run_name",
            params=pl.col("params_active_precise").cast(pl.Float64),
        ).rename({"final_loss": "loss"}).sort("run", "tokens")  # fmt: skip
        back = (pl.len() - 1 - pl.int_range(pl.len())).over("run")
        last = back % (pl.len().over("run") // PER_RUN) == 0
        yield from larger("gemstones", "scored", "gemstones", table, table.filter(last))


def colpret(table: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """The ladders of five sizes and more, by name."""
    table = table.select("run", tokens="tokens_seen", loss="loss").drop_nulls()
    table = table.filter(pl.col("tokens") > 0, pl.col("loss") > 0)
    run = pl.col("run")
    pythia = r"^pythia-([\d.]+[mb])"
    sizes = {k: v for k, v in PYTHIA.items() if k not in EARLIER}
    told: dict[str, tuple[str, Mapping[str, float], pl.Expr | None]] = {
        "GPT-3": (r"^GPT-3 (\S+)$", GPT3, None),
        # Perplexities.
        "OPT": (r"^OPT-(\S+)$", OPT, pl.col("loss").log()),
        "c4_original": (r"^c4_original-d=(\d+)_", WIDTHS, None),
        "pythia": (pythia + "$", sizes, None),
        "pythia-deduped": (pythia + "-deduped$", sizes, None),
        "rpj": (r"^rpj-d=(\d+)_", WIDTHS, None),
        "rw_original": (r"^rw_original-d=(\d+)_", WIDTHS, None),
    }
    for name, (pattern, named, loss) in told.items():
        size = run.str.extract(pattern)
        own = table.filter(size.is_in(list(named))).with_columns(
            params=size.replace_strict(named, default=None, return_dtype=pl.Float64),
            **({} if loss is None else {"loss": loss}),
        )
        if named is WIDTHS:  # two stopped at half their schedule; the shortest are all warm-up
            times = run.str.extract(r"-([\d.]+)$").cast(pl.Float64)
            whole = pl.col("tokens").max().over("run") > 0.9 * 20 * pl.col("params") * times
            own = own.filter(whole, times >= 0.5)
        yield name, own.sort("run", "tokens")


def olmo(path: Path) -> pl.DataFrame:
    """Losses on C4 of the runs 190M to 3B (Bhagia et al. 2024), without reruns."""
    column = "eval/c4_en-validation/CrossEntropyLoss"
    sizes = {"190M": 190354176.0, "370M": 371262464.0, "760M": 758220288.0, "1B": 1279395840.0,
             "3B": 3169537280.0}  # fmt: skip
    return (
        pl.read_parquet(path)
        .select("run", tokens=pl.col("throughput/total_tokens").cast(pl.Float64), loss=column)
        .drop_nulls()
        .with_columns(params=pl.col("run").str.extract(r"^(\d+[MB])-[\d.]+xC$"))
        .drop_nulls()
        .with_columns(pl.col("params").replace_strict(sizes))
        .unique(["run", "tokens"])
        .sort("run", "tokens")
    )


def ends(table: pl.DataFrame) -> pl.DataFrame:
    """The last point of every run: its loss is the mean log over its last 2 %."""
    last = pl.col("tokens").max().over("run")
    late = table.filter(pl.col("tokens") > (1 - LAST_PART) * last)
    return late.group_by("run", maintain_order=True).agg(
        pl.col("params").first(), pl.col("tokens").last(), pl.col("loss").log().mean().exp()
    )


def larger(
    corpus: str, half: str, ladder: str, table: pl.DataFrame, points: pl.DataFrame
) -> Iterator[Case]:
    """Every run with enough smaller ones below it."""
    flops = pl.col("params") * pl.col("tokens")
    for (run,), own in table.group_by("run", maintain_order=True):
        end = ends(own).row(0, named=True)
        most = SMALLER * end["params"] * end["tokens"]
        others = points.filter(flops.max().over("run") <= most).rename({"run": "model"})
        sizes = others["params"].n_unique()
        most_tokens, least_tokens = pl.col("tokens").max(), pl.col("tokens").min()
        moves = bool(others.select(most_tokens > 1.5 * least_tokens).item())  # of none: null, False
        few = others.height < FEWEST_RUNS or sizes < FEWEST_SIZES if moves else sizes < FEWEST_ALONE
        if few:
            continue
        for part, share in PARTS.items():
            seen = own.filter(pl.col("tokens") <= share * end["tokens"])
            if seen["tokens"].n_unique() >= 6:
                yield Case(
                    corpus, half, ladder, str(run), part,
                    others if moves else others.drop("tokens"), seen.select("tokens", "loss"),
                    {"params": end["params"], "tokens": end["tokens"]}, end["loss"],
                )  # fmt: skip


def fitted(case: Case) -> Any:
    """The law of the smaller runs: over params and tokens, or over params if tokens are equal."""
    law = "chinchilla" if "tokens" in case.others.columns else "power"
    return augury.fit(law, case.others, uncertainty="bootstrap", influence=False)


def scores(case: Case) -> Iterator[dict[str, Any]]:
    """One row per forecaster: absolute log error, interval score, whether the interval held."""
    found = augury.forecast_run(
        case.seen, at=case.planned["tokens"], against=fitted(case), planned=case.planned,
        level=LEVEL,
    )  # fmt: skip
    assert found.expected is not None
    forecasts = {
        "ladder": (found.expected.value, found.expected.run_interval),
        "own beginning": (found.forecast.value, found.forecast.interval),
        "blend": (found.best.value, found.best.interval),
    }
    truth = np.log([case.truth])
    for name, (value, interval) in forecasts.items():
        middle, (low, high) = np.log([value]), np.log(np.array(interval)[:, None])
        yield {
            "corpus": case.corpus, "half": case.half, "seen": case.part, "ladder": case.ladder,
            "run": case.run, "forecaster": name, "error": float(abs(middle - truth)[0]),
            "wis": float(weighted_interval_score(middle, low, high, truth, LEVEL)[0]),
            "held": float(low[0] <= truth[0] <= high[0]), "width": float((high - low)[0]),
            "blended": found.blended is not None,
        }  # fmt: skip


def summary(rows: pl.DataFrame) -> pl.DataFrame:
    """Per corpus, part seen and forecaster; `closer` counts the runs the blend was closer on."""
    keys = ["corpus", "half", "seen", "ladder", "run"]
    blend = rows.filter(pl.col("forecaster") == "blend").select(*keys, own="error")
    return (
        rows.join(blend, on=keys)
        .group_by("corpus", "half", "seen", "forecaster", maintain_order=True)
        .agg(
            runs=pl.len(),
            error=pl.col("error").mean(),
            wis=pl.col("wis").mean(),
            coverage90=pl.col("held").mean(),
            width90=pl.col("width").mean(),
            closer=(pl.col("own") < pl.col("error")).sum(),
        )
    )


if __name__ == "__main__":
    main()
