"""The story of measurements: a table of rows, and everything that can be derived from it.

Each part is shown if the data allow it; the last section lists what is missing. If nothing can be
shown, that is an error and not a page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from augury.data import read_table
from augury.data.scores import whole_tasks
from augury.errors import AuguryError, DataError
from augury.notes import Note
from augury.report.page.curves import loss_section
from augury.report.page.emergence import emergence_section
from augury.report.page.outcomes import trends_verdict
from augury.report.page.outlook import outlook_figure
from augury.report.page.passrate import pass_rate_outlook, pass_rate_section, pass_rate_verdict
from augury.report.page.runs import name_models, versions
from augury.report.page.scores import scores_section
from augury.report.page.story import Outlook, Section, Story, StoryVerdict
from augury.report.page.trends import counted_section
from augury.report.page.verdict import value_verdict
from augury.report.page.words import interval_text, place_text

# Number of points at which a band is drawn: its edges are draws, and more points show their noise.
GRID = 24
# Minimum number of checkpoints of a run for a trend over training: fewer do not determine a curve
# that may turn.
FEWEST = 5
# Maximum number of tasks forecast on one page: each takes seconds, and nobody reads more.
MOST_TASKS = 8
# Fewer sizes than this do not support a law.
FEWEST_SIZES = 4


@dataclass
class Parts:
    """The parts of a page."""

    verdicts: list[StoryVerdict] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    outlooks: list[Outlook] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def measurement_story(path: str | Path, *, at: Mapping[str, float] | None = None) -> Story:
    """Tell the story of a table or a folder of measurements (`augury passuntil`, `finetune`).

    Args:
        path: path of the table or folder.
        at: where to forecast, such as {"params": 1e10}; by default twice the largest model.

    Raises:
        DataError: nothing was measured there, or nothing can be derived from it.
    """
    return table_story(read_table(path), Path(path).name, at=at)


def table_story(table: pl.DataFrame, name: str, *, at: Mapping[str, float] | None = None) -> Story:
    """Tell the story of a table of measurements.

    Args:
        table: observation table.
        name: name of its file or folder.
        at: as in `measurement_story`.

    Raises:
        DataError: nothing can be derived from it; the message says why, part by part.
    """
    parts = Parts()
    _add_emergence(table, parts)
    _add_rates(name_models(table), at, parts)
    _add_losses(table, at, parts)
    moving = trends_of(table, parts.missing, parts.verdicts)
    parts.sections += moving
    # A list of all scores over training includes everything in a list of scores.
    scores = None if moving else scores_section(table)
    if scores is not None:
        parts.sections.append(scores)
    if not parts.sections:
        raise DataError(
            "nothing can be reported: " + " ".join(parts.missing or ["It has no scores."]),
            source=name,
            expected="scores or losses of several models",
        )
    if not parts.verdicts:
        parts.verdicts.append(_description(table, parts.missing))
    if parts.missing:
        parts.sections.append(Section("What this page does not have", tuple(parts.missing)))
    return Story(
        f"{name}: {_question(parts, moving)}",
        tuple(parts.verdicts),
        tuple(parts.sections),
        tuple(parts.outlooks),
        tuple(parts.notes),
        {
            "measurements": name,
            "rows": f"{table.height:,}",
            # Digest of the values, whichever files contain them.
            "SHA-256 of the rows": hashlib.sha256(table.write_csv().encode()).hexdigest(),
            "seed of the draws": "0",
            **versions(),
        },
        hero=outlook_figure(parts.outlooks),
    )


def _question(parts: Parts, moving: list[Section]) -> str:
    """Return the question of the page: the first that it can answer."""
    about = {v.about for v in parts.verdicts}
    if parts.outlooks:
        return "what will a larger model pass?"
    if about - {"", "the loss", "trends"}:
        return "where do abilities emerge?"
    if "the loss" in about:
        return "what loss will a larger model have?"
    return "what gets better and what gets worse?" if moving else "what was measured"


def _description(table: pl.DataFrame, missing: list[str]) -> StoryVerdict:
    """Describe the measurements if nothing can be forecast."""
    counts = [
        f"{n} {what}{'' if n == 1 else 's'}"
        for what in ("model", "task")
        for n in ([table[what].n_unique()] if what in table.columns else [])
    ]
    found = " on ".join(counts) or f"{table.height} rows"
    return StoryVerdict(f"{found[:1].upper()}{found[1:]} measured; no forecast is possible yet.",
                   tuple(missing[:2]), useful=False)  # fmt: skip


def _add_rates(table: pl.DataFrame, at: Mapping[str, float] | None, parts: Parts) -> None:
    from augury.forecast.passrate import forecast_pass_rate, growth, series

    if "task" not in table.columns:
        return
    scale = next(iter(at)) if at else "params"
    tasks = table["task"].drop_nulls().unique().sort().to_list()
    failed: dict[str, list[str]] = {}
    forecast = 0
    for i, task in enumerate(tasks):
        if forecast == MOST_TASKS:
            parts.missing.append(
                f"Only {MOST_TASKS} of {len(tasks)} tasks are forecast here; "
                f"{', '.join(tasks[i:][:12])} and others have only their scores."
            )
            break
        rows = table.filter(pl.col("task") == task)
        if "metric" in rows.columns and (rows["metric"] == "pass").any():
            rows = rows.filter(pl.col("metric") == "pass")
        try:
            seen = series(rows, [scale])
            place = dict(at) if at else {scale: 2 * float(seen.x[:, 0].max())}
            ends = [float(seen.x[:, 0].min()), float(seen.x[:, 0].max()), place[scale]]
            grid = [{scale: float(v)} for v in np.geomspace(min(ends), max(ends) * 1.1, GRID)]
            found = forecast_pass_rate(rows, [*grid, place], scale=[scale])
        except AuguryError as error:
            failed.setdefault(str(error), []).append(task)
            continue
        forecast += 1
        names = rows.select(scale, "model").unique().sort([scale, "model"])["model"].to_list()
        parts.sections.append(
            pass_rate_section(
                task,
                seen,
                growth(seen),
                found[:-1],
                target=found[-1],
                runs=names if len(names) == len(seen.x) else None,
                name=f"pass-rate-{i}",
            )
        )
        parts.verdicts.append(pass_rate_verdict(task, found[-1], seen))
        parts.notes += [n for n in found[-1].notes if n.severity != "info"]
        made = f"from {len(seen.x)} models"
        parts.outlooks.append(pass_rate_outlook(task, found[-1], made=made))
    for why, those in failed.items():
        of = f"“{those[0]}”" if len(those) == 1 else f"{len(those)} tasks"
        parts.missing.append(f"No forecast of {of}: {why}.")


def _add_losses(table: pl.DataFrame, at: Mapping[str, float] | None, parts: Parts) -> None:
    from augury.fitting.single import fit
    from augury.forecast.prediction import inputs_of, predict
    from augury.laws import parse_law

    known = ("model", "params", "tokens", "loss", "step", "seed")
    keys = [c for c in known if c in table.columns]
    if not {"params", "loss"} <= set(keys):
        parts.missing.append("No law of the loss: there is no column loss, or no column params.")
        return
    own = table.filter(pl.col("loss").is_not_null(), pl.col("params").is_not_null())
    own = own.select(keys).unique(maintain_order=True)
    both = "tokens" in keys and all(
        own[c].n_unique() >= FEWEST_SIZES for c in ("params", "tokens")
    ) and own["tokens"].null_count() == 0  # fmt: skip
    if not both:
        own = own.drop("tokens", strict=False)
    try:
        fitted = fit(parse_law("chinchilla" if both else "power"), own)
        parts.sections.append(loss_section(fitted, task="pretraining loss"))
        if not fitted.usable:
            return
        inputs = inputs_of(fitted)
        largest = {n: float(own[n].max()) for n in inputs}  # type: ignore[arg-type]
        asked = at if at and set(inputs) <= set(at) else {n: 2 * x for n, x in largest.items()}
        (made,) = predict(fitted, {n: asked[n] for n in inputs})
    except AuguryError as error:
        parts.missing.append(f"No law of the loss: {error}.")
        return
    basis = (
        f"By the law {fitted.law}, fitted to {fitted.n} points of {fitted.run_count} runs up to "
        f"{place_text(largest)}."
    )
    parts.verdicts.append(
        value_verdict(
            "pretraining loss",
            {n: asked[n] for n in inputs},
            made.value,
            made.run_interval,
            made.level,
            unit=" nats per token",
            unknown=f"the fit: {fitted.status}",
            details=(basis,),
            about="the loss",
        )
    )


class EmergenceFound(NamedTuple):
    """Where a task emerges: value, low, high and level; or the reason why it cannot be said."""

    point: tuple[float, float, float] | None
    level: float
    why: str
    notes: tuple[Note, ...] = ()
    text: tuple[str, ...] = ()


def _add_emergence(table: pl.DataFrame, parts: Parts) -> None:
    """Add where each finetuned task emerges; a table without `task` is about one task."""
    if "finetune_examples" not in table.columns:
        return
    named = "task" in table.columns
    rows = whole_tasks(table).filter(pl.col("finetune_examples").is_not_null())
    if not named:
        rows = rows.with_columns(task=pl.lit("the task"))
    tuned = rows.filter(pl.col("finetune_examples") > 0)["task"].unique().sort().to_list()
    rows = rows.filter(pl.col("task").is_in(tuned[:MOST_TASKS]))
    scale = "loss" if "loss" in rows.columns else "flops"
    for i, (task, found) in enumerate(_emergence_of(rows, scale).items()):
        called = f"“{task}”" if named else task
        if found.point is None:
            lead = f"No forecast of where {called} emerges: {found.why}."
        else:
            lead = _emerges(called, found.point, found.level, scale)
        parts.verdicts.append(StoryVerdict(lead, useful=found.point is not None, about=called))
        parts.notes += [n for n in found.notes if n.severity != "info"]
        own = rows.filter(pl.col("task") == task)
        parts.sections.append(
            emergence_section(
                task,
                own,
                point=found.point,
                text=found.text,
                notes=found.notes,
                name=f"emergence-{i}",
            )
        )


def _emergence_of(rows: pl.DataFrame, scale: Any) -> dict[str, EmergenceFound]:
    """Ask as `augury emergence` does: all tasks together, and each alone where that fails."""
    tasks = rows["task"].unique().sort().to_list()
    try:
        return _fit_emergence_of(rows, scale, tasks)
    except AuguryError as error:
        if len(tasks) < 2:
            return {task: EmergenceFound(None, np.nan, str(error)) for task in tasks}
    alone = (_emergence_of(rows.filter(pl.col("task") == task), scale) for task in tasks)
    return {task: found for each in alone for task, found in each.items()}


def _fit_emergence_of(
    rows: pl.DataFrame, scale: Any, tasks: list[str]
) -> dict[str, EmergenceFound]:
    from augury.forecast.emergence import (
        EmergenceStatus,
        emergence_data,
        emergence_point,
        fit_emergence,
    )
    from augury.forecast.emergence.moved_answer import answer_moved, is_moved_default

    found = {}
    if is_moved_default(rows):
        for task, answer in zip(tasks, answer_moved(rows.sort("task"), scale), strict=True):
            own = answer.fitted.judged_at(answer.distance)
            point = own.point(answer.distance) if own.usable else None
            more = own.describe(answer.distance).splitlines()[1:]
            text = tuple(line.strip() for line in more[: len(more) - len(own.notes)])
            found[task] = EmergenceFound(point, own.level, str(own.status), own.notes, text)
        return found
    for task in tasks:
        fitted = fit_emergence(emergence_data(rows.filter(pl.col("task") == task), scale))
        made = emergence_point(fitted, "above")
        point = (made.value, *made.interval) if made.status is EmergenceStatus.ANSWERED else None
        found[task] = EmergenceFound(point, made.level, str(made.status), tuple(fitted.notes))
    return found


def _emerges(called: str, point: tuple[float, float, float], level: float, scale: str) -> str:
    said = interval_text(*point)
    of = "a pretraining loss of" if scale == "loss" else f"{scale} of"
    return (
        f"{called[:1].upper()}{called[1:]} emerges without finetuning at {of} {said.value} "
        f"({level:.0%} interval: {said.interval})."
    )


def trends_of(
    table: pl.DataFrame, missing: list[str], verdicts: list[StoryVerdict] | None = None
) -> list[Section]:
    """Return the section of trends over training; if there is none, add the reason to `missing`.

    Args:
        table: observation table.
        missing: gets the reason if there is none.
        verdicts: gets the summary of the trends.
    """
    from augury.forecast.trends import trends

    if "task" not in table.columns:
        missing.append(
            "No trends over training: there are no task scores (columns task and value)."
        )
        return []
    rows = whole_tasks(table)
    if "finetune_examples" in rows.columns:
        # A sweep scores each untuned model once more: the model's own measurement comes first.
        alone = rows.filter(pl.col("finetune_examples").is_null())
        rows = alone if alone.height else rows.filter(pl.col("finetune_examples") == 0)
    if "metric" in rows.columns and (rows["metric"] == "pass").any():
        # For a single task, its pass rate already says this.
        rows = rows.filter(~pl.col("metric").is_in(["greedy", "logprob"]))
    # A column that is filled only in other rows does not distinguish runs.
    rows = rows.select(c for c in rows.columns if rows[c].null_count() < rows.height)
    axis = next((a for a in ("tokens", "step") if a in rows.columns), None)
    runs = [c for c in ("family", "model", "params", "seed", "task", "metric") if c in rows.columns]
    if axis is None:
        missing.append("No trends over training: no column measures progress (tokens or step).")
        return []
    most = 0
    if rows.height:
        most = int(rows.group_by(runs).agg(pl.col(axis).n_unique())[axis].max())  # type: ignore[arg-type]
    if most < FEWEST:
        missing.append(
            f"No trends over training: no run was measured at more than {most} "
            f"checkpoint{'' if most == 1 else 's'}; a trend needs {FEWEST}."
        )
        return []
    try:
        found = trends(rows)
        section = counted_section(found)
    except AuguryError as error:
        missing.append(f"No trends over training: {error}.")
        return []
    if verdicts is not None:
        verdicts.append(trends_verdict(found))
    return [section]
