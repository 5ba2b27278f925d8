"""The tiny world in one study: forecasts of pass rates and emergence, then the truth.

After it comes a world with a latent ability, forecast while every model is at chance. Forecasts are
printed before their models are trained, and then compared with the results. If killed at any
moment, the demo resumes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from augury.cli.waiting import show_wait
from augury.errors import UsageError
from augury.lab.latent import LatentWorld
from augury.lab.model import ModelConfig
from augury.runtime.atomic import atomic_file
from augury.runtime.durations import duration
from augury.study import RunOutcome, Study, run_study, scoreboard
from augury.study import tiny_world as world
from augury.study.latent_emergence import LATENT, forecast_latent, score_latent
from augury.study.plan.study_file import STUDY_FILE, study_schema
from augury.study.plan.template import SCHEMA
from augury.study.results.ledger import RECORD
from augury.study.results.store import Store
from augury.study.run.status import scoreboard_text
from augury.study.run.terminal import live_view

# PassUntil compared with the exact rate: this many instances, until two samples passed or this many
# failed.
SAMPLED, MOST = 32, 1_000_000


def run_demo(
    out: Path, *, steps: int, seed: int, quiet: bool, latent: LatentWorld | None
) -> dict[str, Any]:
    """Run or resume the demo's study in `out`, then a world of latent attributes.

    Args:
        out: folder of the study; the page is `page.html` in it.
        steps: training steps per model.
        seed: first of the two seeds.
        quiet: print nothing on standard output.
        latent: the world of latent attributes; None leaves it out.

    Returns:
        Every recorded forecast with its result, how many held, and the path of the page. Those of
        the world of latent attributes are separate, in `latent`.

    Raises:
        UsageError: `out` contains another study, or the study is being run there.
    """
    say: Callable[[str], None] = (lambda _: None) if quiet else _print
    began = time.perf_counter()
    _write(out, world.tiny_world(steps, seed))
    study = Study(out)
    say(
        f"{len(world.FITTED)} sizes of tiny GPTs, {world.SEEDS} seeds each, are trained, measured "
        f"on {world.RATE} and {world.EMERGING}, and\nfinetuned on {world.EMERGING}. "
        f"{out / STUDY_FILE} has the settings; finished work is kept.\n"
    )
    outcome = _run(study, forecast_only=True)
    if outcome.complete:
        table = study.table()
        say(_ladder_table(table, world.FITTED) + "\n")
        say(_sampling_table(study, seed) + "\n")
        say(_finetuning_table(table) + "\n")
        say("Forecasts, recorded before their models are trained:\n")
        say("\n".join(f"  {line}" for line in _answer_lines(study)))
        say(f"  Record: {out / 'forecasts.jsonl'}, SHA-256 {outcome.head}\n")
        say(f"Now the {len(world.HELD_OUT)} larger sizes are trained.\n")
        outcome = _run(study)
    rows = scoreboard([out])
    if outcome.complete:
        say(_ladder_table(study.table(), world.HELD_OUT) + "\n")
        say("Forecasts and results:\n")
        say("\n".join(f"  {line}" for line in _answer_lines(study)) + "\n")
        say(scoreboard_text(rows) + "\n")
        _write_picture(study)
    else:
        say(str(outcome) + "\n")
    told = None
    if latent is not None and outcome.complete:
        _page(out, pictures=False)  # whoever stops here has the study's page
        told = _latent(out / LATENT, latent, seed, say)
    page = _page(out)
    spent = time.perf_counter() - began
    say(f"{duration(spent)} in all. The page, with all results and their reasons:\n{page}")
    return {
        "complete": outcome.complete,
        "forecasts": [row.model_dump() for row in rows],
        "held": sum(row.held is True for row in rows),
        "missed": sum(row.held is False for row in rows),
        "answer": _answer_lines(study),
        "failed": outcome.to_dict()["failed"],
        "head": outcome.head,
        "latent": told,
        "page": str(page),
        "seconds": spent,
    }


def _latent(
    folder: Path, latent: LatentWorld, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Forecast where a latent ability emerges, then train the model that shows it."""
    from augury.study.page.latent import latent_lines

    say(
        f"Another ability is latent: pretraining leaves it, and few examples bring it out. Widths "
        f"{' and '.join(map(str, latent.widths))}\nare trained and finetuned; without finetuning "
        f"they stay near chance.\n"
    )
    with show_wait("the latent world, forecast") as wait:
        found = forecast_latent(folder, latent, seed, progress=wait.see)
    say(f"  {latent_lines(found)[0]}\n  Record: {folder / RECORD}, SHA-256 {found.head}\n")
    with show_wait("the latent world, truth") as wait:
        found = score_latent(folder, latent, seed, progress=wait.see)
    assert found.score is not None
    lines = latent_lines(found)
    say(f"Now width {' and '.join(map(str, latent.later))} is trained.\n  {lines[1]}\n")
    return {
        "answer": lines,
        "time": found.line.time,
        "blind": found.line.blind,
        **found.score.scores[0].model_dump(),
        "crossing": found.crossing,
        "head": found.head,
    }


def _print(text: str) -> None:
    print(text, flush=True)


def _write(out: Path, text: str) -> None:
    """Write the study file, unless it exists.

    Raises:
        UsageError: another one exists.
    """
    path = out / STUDY_FILE
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"{path} is not the study that these options ask for, or was edited: "
            f"`augury run {out}` runs it as it is; give the demo another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    for name, content in ((SCHEMA, study_schema()), (STUDY_FILE, text)):
        with atomic_file(out / name) as fresh:
            fresh.write_text(content, encoding="utf-8")


def _run(study: Study, *, forecast_only: bool = False) -> RunOutcome:
    with live_view() as watch:
        return run_study(study.folder, watch=watch, forecast_only=forecast_only)


def _answer_lines(study: Study) -> list[str]:
    """Return the answers, as on the page."""
    from augury.study.page import answers_of

    return answers_of(study.folder)


def _page(out: Path, *, pictures: bool = True) -> Path:
    from augury.report.page import write_page
    from augury.study.page import story_of

    return write_page(story_of(out), out / "page.html", pictures=pictures)


def _final_scores(table: pl.DataFrame) -> pl.DataFrame:
    """Keep whole tasks, not single instances, at the end of pretraining."""
    whole = pl.col("instance").is_null()
    return table.filter(whole, pl.col("step") == pl.col("step").max())


def _ladder_table(table: pl.DataFrame, widths: Sequence[int]) -> str:
    """Show greedy accuracy, which a usual evaluation reports, beside exact pass rates."""
    rows = _final_scores(table).filter(pl.col("finetune_examples").is_null())
    shown = ((world.RATE, ".1e", 20), (world.EMERGING, ".4f", 20))
    heads = " ".join(f"{f'{task} passes':>{room}s} {'greedy':>14s}" for task, _, room in shown)
    lines = [f"{'N':>9s} {'loss':>7s} {heads}   (two seeds each)"]
    for params in (float(ModelConfig(width).params) for width in widths):
        own = rows.filter(params=params).sort("seed")
        loss = float(own["loss"].mean())  # type: ignore[arg-type]
        cells = [f"{params:9,.0f} {loss:7.3f}"]
        for task, form, room in shown:
            for metric, kind, wide in (("pass", form, room), ("greedy", ".3f", 14)):
                values = own.filter(task=task, metric=metric)["value"]
                cells.append(f"{'  '.join(format(x, kind) for x in values):>{wide}s}")
        lines.append(" ".join(cells))
    return "\n".join(lines)


def _sampling_table(study: Study, seed: int) -> str:
    """Show what sampling finds at a few sizes, with the exact rate of the same instances."""
    from augury.evaluate import exact_scores, pass_until
    from augury.lab import LabBackend, lab_instances

    task, widths = lab_instances(world.RATE, SAMPLED), world.FITTED
    lines = [
        f"Where answers cannot be listed, PassUntil samples. {SAMPLED} instances of {world.RATE}, "
        f"until two samples passed or {MOST:,} failed:",
        f"{'N':>9s} {'samples':>12s} {'sampled':>9s} {'90 % interval':>21s} {'exact':>9s} "
        f"{'greedy':>8s}",
    ]
    for unit in study.plan().of("train"):
        run = unit.parameters["run"]
        width = run["model"]["width"]
        if run["seed"] != seed or width not in (widths[0], widths[len(widths) // 2], widths[-1]):
            continue
        backend = LabBackend(Store(study.folder).result(unit.key) / f"step-{run['steps']}")
        where = study.folder / "passuntil"
        found = pass_until(backend, task, method="tree", max_samples=MOST, study=where)
        exact = exact_scores(backend, task)
        low, high = found.mean_interval(0.9)
        lines.append(
            f"{ModelConfig(width).params:9,d} {found.samples.sum():12,d} {found.mean:9.1e} "
            f"{f'[{low:.1e}, {high:.1e}]':>21s} {exact.passing.mean():9.1e} "
            f"{exact.greedy.mean():8.3f}"
        )
    return "\n".join(lines)


def _finetuning_table(table: pl.DataFrame) -> str:
    rows = _final_scores(table).filter(pl.col("finetune_examples").is_not_null())
    means = rows.group_by("params", "finetune_examples").agg(pl.col("value").mean())
    wide = means.sort("finetune_examples").pivot("finetune_examples", index="params")
    heads = " ".join(f"{'untuned' if not (n := float(c)) else f'{n:.0f}':>9s}"
                     for c in wide.columns[1:])  # fmt: skip
    lines = [
        f"{world.EMERGING}, by number of finetuning examples: pass rate, mean of seeds and "
        f"subsets.\n{'N':>9s} {heads}"
    ]
    lines += [
        f"{params:9,.0f} " + " ".join(f"{value:9.4f}" for value in values)
        for params, *values in wide.sort("params").iter_rows()
    ]
    return "\n".join(lines)


def _write_picture(study: Study) -> None:
    """Write `forecast.svg`: pass rates, their forecast, the truth, and greedy accuracy."""
    from augury.report import ladder_figure, save_figure
    from augury.study.results.forecast_records import PassRateRecord

    (made,) = [f for f in study.forecasts() if f.record.task == world.RATE]
    assert isinstance(made.record, PassRateRecord)
    rows = _final_scores(study.table()).filter(
        pl.col("metric").is_in(["pass", "greedy"]), pl.col("finetune_examples").is_null(),
        task=world.RATE,
    )  # fmt: skip
    wide = rows.pivot("metric", index=["params", "seed"], values="value").rename({"pass": "value"})
    later = pl.col("params").is_in([float(ModelConfig(w).params) for w in world.HELD_OUT])
    board = study.scoreboard().filter(pl.col("method") == made.record.leading)
    count = study.file.tasks[0].instances
    chart = ladder_figure(
        wide.filter(~later),
        pl.read_parquet(made.folder / "curve.parquet"),
        wide.filter(later),
        title="An ability forecast before the models were trained",
        subtitle=[
            "Tiny GPTs, two seeds per size. Line and band: the forecast from the circles alone, "
            f"{made.record.level:.0%} for one run.",
            f"{board['held'].sum()} of {board.height} runs trained afterwards fell inside. "
            f"Marks on the lower edge: greedy passed 0 of {count:,}.",
        ],
    )
    save_figure(chart, study.folder / "forecast.svg")
