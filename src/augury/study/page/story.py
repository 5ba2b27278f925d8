"""The page of a study: its answers, what supports them, and every forecast it recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from augury.data.common_names import column_names, guess_all
from augury.data.read import SUFFIXES, read_table
from augury.data.readers import kinds, read_results
from augury.errors import DataError, UsageError
from augury.fitting import load
from augury.notes import Note
from augury.report.page.measurements import measurement_story, table_story, trends_of
from augury.report.page.outlook import emergence_figures, outlook_figure
from augury.report.page.runs import versions
from augury.report.page.stored import result_story
from augury.report.page.story import Outlook, Section, Story, StoryVerdict
from augury.report.page.words import INPUT_NAMES, place_text
from augury.study.latent_emergence import LATENT
from augury.study.page.answers import done_units, scores_by_forecast, task_verdicts
from augury.study.page.latent import latent_parts
from augury.study.page.sections import loss_sections, task_sections
from augury.study.page.words import METHODS, ends_of, known
from augury.study.page.written import written_sections
from augury.study.plan.study_file import STUDY_FILE
from augury.study.results.forecast_records import LEADING, PassRateRecord, read_forecast
from augury.study.results.ledger import Ledger
from augury.study.results.plan_records import PlanRecord
from augury.study.results.recording import ScoreboardRow, scoreboard
from augury.study.results.store import PLAN, Store


def story_of(path: str | Path, *, at: Mapping[str, float] | None = None) -> Story:
    """Tell the story of a path: a study, a fit, results of another tool, measurements, a table.

    Args:
        path: folder of a study (`augury run`), of a saved result (`augury fit --out`, `augury
            optimal --out` ...), of measurements (`augury passuntil --out`, `augury finetune
            --out`), of another tool's results, or a table.
        at: where to forecast, such as {"params": 1e10}; a study has its own target. By default
            twice the largest model.

    Raises:
        DataError: it contains nothing that can be reported, or its record of forecasts was changed.
        UsageError: `at` was given for a study.
    """
    path = Path(path)
    if (path / PLAN).exists():
        if at is not None:
            raise UsageError("a study has its target in study.toml: --at is only for measurements")
        return study_story(path)
    if (path / "fit.json").exists() or (path / "result.json").exists():
        return result_story(load(path), path.name, at=at)
    if (path / STUDY_FILE).exists():
        raise UsageError(f"{path}: no study was run here; `augury run {path}` does")
    if path.is_dir() and not any(path.glob("measurements/*/rows.parquet")):
        return table_story(_foreign_results(path), path.name, at=at)
    if not path.is_dir():
        return _table_story(path, at)
    story = measurement_story(path, at=at)
    return replace(story, sections=(*story.sections, *written_sections(path)))


def _table_story(path: Path, at: Mapping[str, float] | None) -> Story:
    """Tell the story of a table, guessing columns with common names; the page lists the guesses."""
    guessed = guess_all(column_names(path))
    story = table_story(read_table(path, columns=guessed), path.name, at=at)
    if not guessed:
        return story
    read = ", ".join(f"'{theirs}' as {ours}" for ours, theirs in guessed.items())
    return replace(story, provenance={**story.provenance, "columns": f"{read}, by their names"})


def _foreign_results(folder: Path) -> pl.DataFrame:
    """Read a folder that another tool wrote, with the first reader that finds its files."""
    as_tables = ""
    for kind in kinds():
        try:
            return read_results(kind, folder, keep_going=True).table
        except DataError as error:
            if kind == "table" and any(p.suffix in SUFFIXES for p in folder.rglob("*")):
                why = str(error).removeprefix(f"{folder}: nothing could be read: ")
                as_tables = f"; as tables: {why.partition('; expected files of kind')[0]}"
    raise DataError(
        f"is a folder with nothing to report{as_tables}",
        source=str(folder),
        expected="a study, a saved result, measurements (measurements/*/rows.parquet), or results "
        f"of {', '.join(kinds())}",
    )


def study_story(folder: Path) -> Story:
    """Tell the story of a study's folder, finished or not."""
    store = Store(folder)
    plan, units = store.plan(), done_units(store)
    sections: list[Section] = []
    missing: list[str] = []
    verdicts: list[StoryVerdict] = []
    notes: list[Note] = []
    if len(units) < len(plan.units):
        notes.append(
            Note(
                "unfinished",
                "warning",
                f"{len(units)} of {len(plan.units)} units are done: this page will change",
            )
        )
    scores = scores_by_forecast(store, units)
    for i, unit in enumerate(u for u in units if u.kind == "forecast"):
        result = store.result(unit.key)
        record = read_forecast(result)
        score = scores.get(unit.key)
        own = record.notes
        if isinstance(record, PassRateRecord):
            own = (*own, *record.counts_notes)
        if record.remedy:
            own = (Note("status", "warning", f"{record.status}. {record.remedy}"), *own)
        verdicts += task_verdicts(result, record, score, plan.target or {})
        notes += [n for n in own if n.severity != "info"]
        sections += task_sections(result, record, score, own, i)
    more_verdicts, more_sections = latent_parts(folder)
    verdicts += more_verdicts
    sections += more_sections
    if not any(u.kind == "forecast" for u in units):
        missing.append("No forecast was made yet.")
    losses = loss_sections([store.result(u.key) for u in units if u.kind == "fit"])
    sections += losses
    if not losses:
        missing.append("No law of the loss was fitted.")
    if (folder / "table.parquet").exists():
        sections += trends_of(pl.read_parquet(folder / "table.parquet"), missing)
    sections += written_sections(folder)
    ledger = Ledger(folder)
    outlooks = _outlooks(scoreboard([folder]))
    drawn = outlooks  # in the order of the answers: the study's, then the latent world's
    if more_sections:  # a separate record, newer than the study's
        latent = _outlooks(scoreboard([folder / LATENT]))
        outlooks, drawn = (*latent, *outlooks), (*outlooks, *latent)
    if not outlooks:
        missing.append("No forecast is on record.")
    if missing:
        sections.append(Section("What this page does not have", tuple(missing)))
    rates = outlook_figure(drawn)
    first, *others = (*([rates] if rates else []), *emergence_figures(drawn)) or (None,)
    seeds = {f"{u.kind} {u.parameters['seed']}" for u in units if "seed" in u.parameters}
    head = {"record of forecasts, SHA-256 of its head": ledger.head} if ledger.lines else {}
    return Story(
        f"{plan.name}: {_question_text(plan)}",
        tuple(verdicts) or ("No answer yet: the study has not reached its forecast.",),
        tuple(sections),
        outlooks,
        tuple(notes),
        {
            "study": plan.name,
            "digest of the study's plan": plan.digest,
            "units done": f"{len(units)} of {len(plan.units)}",
            "seeds": ", ".join(sorted(seeds)) or "none",
            **head,
            **versions(),
        },
        hero=first,
        beside=tuple(others),
    )


def _question_text(plan: PlanRecord) -> str:
    asked = {
        "pass-rate": f"what will pass at {place_text(plan.target)}"
        if plan.target
        else "what will a larger model pass",
        "emergence": "where does the ability emerge",
        "loss": f"what is the loss at {place_text(plan.target)}"
        if plan.target
        else "what loss will a larger model have",
    }
    return ", and ".join(asked[name] for name in plan.questions) + "?"


def _outlooks(board: list[ScoreboardRow]) -> tuple[Outlook, ...]:
    """Return the forecasts on record, newest first, each with all later measurements.

    Forecasts of one rate by several methods become one, with the others folded into it.
    """
    lines: dict[int, list[ScoreboardRow]] = {}
    for row in board:
        lines.setdefault(row.line, []).append(row)
    # The newest first; those of the same time in the order they were made.
    order = {method: i for i, method in enumerate(LEADING)}
    led = sorted(lines.values(), key=lambda rows: order.get(rows[0].method, len(order)))
    newest = sorted(led, key=lambda rows: rows[0].time, reverse=True)
    targets: dict[Any, list[list[ScoreboardRow]]] = {}
    for rows in newest:
        row = rows[0]
        rate = row.question != "emergence"
        inputs = tuple(sorted(row.inputs.items()))
        target = (row.time, row.task, inputs) if rate else row.line
        targets.setdefault(target, []).append(rows)
    return tuple(
        replace(_outlook(first), others=tuple(_outlook(rows, named=True) for rows in rest))
        for first, *rest in targets.values()
    )


def _outlook(rows: list[ScoreboardRow], *, named: bool = False) -> Outlook:
    """Build a forecast with all later measurements; `named` adds the method's name."""
    row = rows[0]
    return Outlook(
        _forecast_name(row, named=named),
        known(row.value),
        ends_of(row.interval),
        row.level,
        known(row.extrapolation),
        tuple(r.truth for r in rows if r.truth is not None),
        row.time.replace("T", " ").replace("Z", " UTC")
        + ("" if row.blind else ", when the truth was known"),
        is_rate=row.question == "pass-rate",
        is_loss=row.question == "emergence" and row.method in ("emergence", "emergence-in-loss"),
        run_share=row.run_share,
    )


def _forecast_name(row: ScoreboardRow, *, named: bool) -> str:
    """Describe in words which quantity a line of the record forecasts."""
    name, method = row.task or ("loss" if row.question == "loss" else "the task"), row.method
    if row.question == "emergence":
        of = method.removeprefix("emergence").removeprefix("-in-")
        what = f"{INPUT_NAMES.get(of, 'loss')} at which {name} emerges"
        return what + (f", at {place_text(row.inputs)}" if row.inputs else "")
    by = f", by {METHODS.get(method, method)}" if named else ""
    return f"{name} at {place_text(row.inputs)}{by}"
