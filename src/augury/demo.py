"""The whole way, once: train a ladder, forecast its two largest models, train them, compare.

The forecast is printed before the models it is about exist.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.data import write_table
from augury.evaluate import LabBackend, exact_scores, lab_instances, measure, pass_until
from augury.fitting import Gaussian
from augury.forecast import Combination, combine, predict
from augury.report import ladder_figure, save_figure
from augury.train import ModelConfig, RunConfig, train_ladder
from augury.train.checkpoint import checkpoint_folder

# Six widths to learn from, two seeds each, since the spread between seeds (up to a factor of 5) is
# most of what a forecast of one run does not know; two widths to forecast.
FITTED, HELD_OUT = (6, 8, 12, 16, 24, 32), (48, 64)
SEEDS = 2
TASK, INSTANCES = "rule", 2048
# PassUntil beside the exact figures: so many instances, until two samples passed or so many failed.
SAMPLED, MOST = 64, 1_000_000
LEVEL = 0.9
# Straight and curved growth in log(-log pass) over size, and growth through the loss.
LAWS = ("pass-rate", "curved-pass-rate:x0=8000", "power+pass-rate:over=loss")


def run_demo(out: Path, *, steps: int, seed: int, quiet: bool) -> dict[str, Any]:
    """Run the demo in `out`; runs that stand there are not trained again.

    Args:
        out: folder for checkpoints, `table.parquet`, `forecast.parquet` and the figure.
        steps: training steps per model.
        seed: first of the two seeds.
        quiet: print nothing on standard output.

    Returns:
        Forecasts, truth and where the files are.
    """
    say: Callable[[str], None] = (lambda _: None) if quiet else print
    began = time.perf_counter()
    say(
        f"A ladder of {len(FITTED) + len(HELD_OUT)} tiny models, {SEEDS} seeds each. The task: one "
        "example of a rule on\nsix digits, then six more to apply it to. All six must be right.\n"
    )
    table = _measured(FITTED, out, steps, seed)
    say(_table(table) + "\n")
    say(_sampled(out, table, seed) + "\n")
    at = [(float(ModelConfig(w).params), table["tokens"][0]) for w in HELD_OUT]
    points = pl.DataFrame({"params": [a for a, _ in at], "tokens": [b for _, b in at]})
    forecaster = combine(LAWS, passes(table), by="params", likelihood=Gaussian("log"), level=LEVEL)
    forecasts = predict(forecaster, points)
    weights = ", ".join(f"{name} {w:.0%}" for name, w in forecaster.weights.items())
    say(f"Laws, weighed by their backtest on these models: {weights}.")
    say(f"Forecast for the next two sizes, which are not trained yet ({LEVEL:.0%} for one run):")
    for f in forecasts:
        low, high = f.run_interval
        say(f"  N = {f.inputs['params']:9,.0f}   {f.value:.4f}   [{low:.2g}, {high:.2g}]")
    out.mkdir(parents=True, exist_ok=True)
    pl.DataFrame([f.to_dict() for f in forecasts]).write_parquet(out / "forecast.parquet")
    say("\nNow they are trained.")
    truth = _measured(HELD_OUT, out, steps, seed)
    rows = _outcomes(forecasts, truth)
    say(f"\n{'N':>9s} {'seed':>5s} {'forecast':>9s} {'interval':>20s} {'truth':>8s}   held")
    for r in rows:
        interval = f"[{r['low']:.2g}, {r['high']:.2g}]"
        say(
            f"{r['params']:9,.0f} {r['seed']:5d} {r['forecast']:9.4f} {interval:>20s} "
            f"{r['truth']:8.4f}   {'yes' if r['held'] else 'NO'}"
        )
    held = sum(r["held"] for r in rows)
    say(f"{held} of {len(rows)} new runs fell inside their {LEVEL:.0%} interval.")
    write_table(pl.concat([table, truth]), out / "table.parquet")
    chart = _figure(forecaster, table, truth, held, len(rows))
    figures = [save_figure(chart, out / f"forecast.{kind}") for kind in ("html", "svg", "png")]
    seconds = time.perf_counter() - began
    say(f"\nThe page: {figures[0]}   (picture: {figures[2]}, table: {out / 'table.parquet'})")
    say(f"{seconds:.0f} s in all.")
    return {
        "forecasts": rows,
        "held": held,
        "weights": forecaster.weights,
        "widening": forecaster.widening,
        "level": LEVEL,
        "page": str(figures[0]),
        "seconds": seconds,
    }


def passes(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of exact pass probability."""
    return table.filter(pl.col("metric") == "pass")


def _measured(widths: Sequence[int], out: Path, steps: int, seed: int) -> pl.DataFrame:
    """Train these widths and measure them."""
    runs = [
        RunConfig(ModelConfig(width), steps=steps, seed=s)
        for width in widths
        for s in range(seed, seed + SEEDS)
    ]
    with _Bars(len(runs) * steps) as bars:
        folders = train_ladder(runs, out / "runs", progress=bars)
    task = lab_instances(TASK, INSTANCES)
    return measure([paths[-1] for paths in folders.values()], task).sort("params", "seed", "metric")


class _Bars:
    """A progress bar on standard error; silent where that is no terminal."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done: dict[str, int] = {}

    def __enter__(self) -> _Bars:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(file=sys.stderr)
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("training", total=self.total)
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, name: str, step: int, steps: int) -> None:
        self.done[name] = step
        self.bar.update(self.task, completed=sum(self.done.values()))


def _table(table: pl.DataFrame) -> str:
    lines = [f"{'N':>9s} {'loss':>7s} {'pass probability, by seed':>28s} {'greedy accuracy':>18s}"]
    for params in table["params"].unique().sort():
        own = table.filter(pl.col("params") == params)
        rates = passes(own)["value"].to_list()
        greedy = own.filter(pl.col("metric") == "greedy")["value"].to_list()
        lines.append(
            f"{params:9,.0f} {float(np.mean(own['loss'].to_numpy())):7.3f} "
            f"{'  '.join(f'{p:.1e}' for p in rates):>28s} "
            f"{'  '.join(f'{g:.3f}' for g in greedy):>18s}"
        )
    return "\n".join(lines)


def _sampled(out: Path, table: pl.DataFrame, seed: int) -> str:
    """PassUntil on every fitted size of the first seed, beside exact and greedy on the same."""
    task = lab_instances(TASK, SAMPLED)
    lines = [
        f"PassUntil on {SAMPLED} of the instances, seed {seed}: until two samples passed, or "
        f"{MOST:,} failed.",
        f"{'N':>9s} {'samples':>12s} {'sampled':>9s} {'90 % interval':>21s} {'exact':>9s} "
        f"{'greedy':>7s}",
    ]
    for width in FITTED:
        config = RunConfig(ModelConfig(width), steps=int(table["step"][0]), seed=seed)
        backend = LabBackend(_checkpoint(out, config))
        found = pass_until(backend, task, method="tree", max_samples=MOST, study=out / "passuntil")
        exact = exact_scores(backend, task)
        low, high = found.mean_interval(LEVEL)
        lines.append(
            f"{config.model.params:9,d} {found.samples.sum():12,d} {found.mean:9.1e} "
            f"{f'[{low:.1e}, {high:.1e}]':>21s} {exact.passing.mean():9.1e} "
            f"{exact.greedy.mean():7.3f}"
        )
    return "\n".join(lines)


def _checkpoint(out: Path, config: RunConfig) -> Path:
    return checkpoint_folder(out / "runs" / config.run, config.steps)


def _outcomes(forecasts: Sequence[Any], truth: pl.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for f in forecasts:
        low, high = f.run_interval
        own = passes(truth).filter(pl.col("params") == f.inputs["params"]).to_dicts()
        rows += [
            {
                "params": row["params"],
                "seed": row["seed"],
                "forecast": f.value,
                "low": low,
                "high": high,
                "truth": row["value"],
                "held": low <= row["value"] <= high,
            }
            for row in own
        ]
    return rows


def _figure(
    forecaster: Combination, table: pl.DataFrame, truth: pl.DataFrame, held: int, count: int
) -> Any:
    """Observed, forecast band and truth over parameters."""
    low = float(table["params"].min())  # type: ignore[arg-type]
    high = float(truth["params"].max())  # type: ignore[arg-type]
    grid = pl.DataFrame(
        {"params": np.geomspace(low, high * 1.15, 60), "tokens": [table["tokens"][0]] * 60}
    )
    curve = pl.DataFrame(
        [
            {
                "params": f.inputs["params"],
                "value": f.value,
                "mean_low": f.mean_interval[0],
                "mean_high": f.mean_interval[1],
                "run_low": f.run_interval[0],
                "run_high": f.run_interval[1],
            }
            for f in predict(forecaster, grid)
        ]
    )

    def wide(rows: pl.DataFrame) -> pl.DataFrame:
        chosen = rows.filter(pl.col("metric").is_in(["pass", "greedy"]))
        return chosen.pivot("metric", index=["params", "seed"], values="value").rename(
            {"pass": "value"}
        )

    return ladder_figure(
        wide(table),
        curve,
        wide(truth),
        title="An ability forecast before the models were trained",
        subtitle=[
            f"Tiny GPTs, two seeds a size. Line and bands: the forecast from the circles alone, "
            f"{LEVEL:.0%} (dark: the mean; light:",
            f"one run). {held} of {count} runs trained afterwards fell inside. Marks on the lower "
            f"edge: greedy passed 0 of {INSTANCES:,}.",
        ],
    )
