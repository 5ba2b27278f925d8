"""A study's page section on the world of latent attributes: answer, figure, table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from augury.report.page.emergence import emergence_section
from augury.report.page.story import Section, StoryVerdict, Table
from augury.study.latent_emergence import LATENT, LatentResult, latent_result
from augury.study.page.answers import task_verdicts
from augury.study.results.ledger import RECORD

WHAT = (
    "Words have hidden attributes, which running text shows and a task asks for: six words with "
    "their letters, then a seventh, which of four? No text labels the words that are asked "
    "about, so that finetuning can bring the ability out, but not teach it."
)


def latent_parts(folder: Path) -> tuple[list[StoryVerdict], list[Section]]:
    """Return answer and section of the `latent/` folder in a study; nothing without one.

    Raises:
        DataError: its record was changed.
    """
    if not (folder / LATENT / RECORD).exists():
        return [], []
    found = latent_result(folder / LATENT)
    return [latent_verdict(found)], [_section(found)]


def latent_verdict(found: LatentResult) -> StoryVerdict:
    """Describe where the ability emerges, that no fitted model shows it, and the result."""
    (verdict,) = task_verdicts(Path(), found.forecast, found.score, {})
    details = [_at_chance(found), *verdict.details]
    exactly = _crossing_text(found)
    return replace(verdict, details=(*details, exactly) if exactly else tuple(details))


def latent_lines(found: LatentResult) -> list[str]:
    """Return two lines for a terminal: the forecast and its result."""
    record, made = found.forecast, found.forecast.forecasts[0]
    first = f"No forecast of where {record.task} emerges without finetuning: {record.status}."
    if made.value is not None:
        first = (
            f"{record.task} forecast to emerge without finetuning at a loss of {made.value:.4f} "
            f"({made.level:.0%} interval {_interval(found)})."
        )
    if found.score is None:
        return [first]
    verdict = latent_verdict(found)
    came = next(d for d in verdict.details if d.startswith("Measured afterwards"))
    held = {True: "HELD", False: "FAILED", None: "NOTHING FORECAST"}[found.score.scores[0].held]
    exactly = _crossing_text(found)
    edge = " AT ITS EDGE" if held == "HELD" and "outside" in exactly else ""
    return [first, f"{held}{edge}. {came} {exactly}".rstrip()]


def _at_chance(found: LatentResult) -> str:
    few, distance = found.few_shot, found.forecast.distance
    best = float(few["value"].max())  # type: ignore[arg-type]
    chance = float(few["chance"].max())  # type: ignore[arg-type]
    risen = few.filter(pl.col("value") - pl.col("chance") >= distance).height
    of = f"{few.height} checkpoints fitted"
    told = f"None of the {of} is" if not risen else f"{risen} of the {of} are"
    return (
        f"{told} {distance:g} above chance without finetuning: the best score is {best:.3f}, "
        f"chance {chance:g}."
    )


def _crossing_text(found: LatentResult) -> str:
    """Describe where a straight line puts it: finer than the bracket that judges the forecast."""
    at, made = found.crossing, found.forecast.forecasts[0]
    if at is None:
        return ""
    told = f"On a straight line between those two checkpoints it appeared at {at:.4f}"
    low, high = made.run_interval
    if low is None or high is None:
        return f"{told}."
    beyond = max(low - at, at - high)
    where = "inside the interval" if beyond <= 0 else f"{beyond:.4f} outside the interval"
    return f"{told}, {where} ({_interval(found)})."


def _interval(found: LatentResult) -> str:
    ends = found.forecast.forecasts[0].run_interval
    return " to ".join("unknown" if x is None else f"{x:.4f}" for x in ends)


def _section(found: LatentResult) -> Section:
    record, score = found.forecast, found.score
    ends = [record.above.point.value, *record.above.point.interval]
    whole = [x for x in ends if x is not None]
    truth = None
    if score is not None:
        truth = pl.DataFrame(
            [{"run": m.model or "model", "loss": m.loss, "value": m.score} for m in score.models]
        )
    # Subsets of one amount and checkpoint as one dot: their spread matters only to the forecast.
    by = ["model", "step", "loss", "finetune_examples", "chance"]
    means = (
        found.observed.group_by(by)
        .agg(pl.col("value").mean())
        .sort("model", "step", "finetune_examples")
    )
    text = [
        WHAT,
        "As in every study, a forecast counts as held if its interval overlaps the range between "
        "the two checkpoints where the ability appeared. A straight line between the two says more "
        "exactly where.",
        f"Forecast by the moved curve; recorded {found.line.time.replace('T', ' ')[:-1]} UTC, "
        + ("before the larger model was begun." if found.line.blind else "with the truth known.")
        + f" Record: {LATENT}/{RECORD}, SHA-256 of its head {found.head}.",
    ]
    section = emergence_section(
        record.task or "the task",
        means,
        point=(whole[0], whole[1], whole[2]) if len(whole) == 3 else None,
        truth=truth,
        level=record.level,
        text=text,
        notes=record.notes,
        name=LATENT,
    )
    rows = [{"method": "moved curve", "loss": ends[0], "low": ends[1], "high": ends[2]}]
    rows += [
        {"method": name, "loss": p.value, "low": p.interval[0], "high": p.interval[1]}
        for name, p in record.above.methods.items()
    ]
    if found.crossing is not None:
        came = "measured afterwards, on a straight line"
        rows.append({"method": came, "loss": found.crossing, "low": None, "high": None})
    table = Table(f"Loss at which it is {record.distance:g} above chance", pl.DataFrame(rows))
    return replace(section, tables=(table,))
