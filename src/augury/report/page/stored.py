"""The story of a saved result of any kind: its answer, figures and table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from augury.display import Several, Shown
from augury.errors import DataError, UsageError
from augury.notes import Note
from augury.report.page.curves import loss_section
from augury.report.page.fit import fit_story
from augury.report.page.outcomes import trends_verdict
from augury.report.page.result import figures_of
from augury.report.page.runs import versions
from augury.report.page.story import Figure, Section, Story, StoryVerdict, Table
from augury.report.page.trends import counted_section
from augury.report.page.words import interval_text, place_text

if TYPE_CHECKING:
    from augury.forecast.chain_fit import ChainFit
    from augury.forecast.prediction import Forecast
    from augury.forecast.trends import Trends

# Number of forecasts quoted in the answer; the table has all of them.
MOST_SAID = 3


def result_story(result: Any, name: str, *, at: Mapping[str, float] | None = None) -> Story:
    """Tell the story of a saved result.

    Args:
        result: from `augury.load`.
        name: name of its folder.
        at: where to forecast, for fits and chains.

    Raises:
        DataError: a result of this kind has nothing to show.
        UsageError: `at` was given for a result that cannot be evaluated at a point.
    """
    from augury.fitting import Fit
    from augury.forecast.chain_fit import ChainFit
    from augury.forecast.trends import Trends

    if isinstance(result, Fit):
        return fit_story(result, name, at=at)
    if isinstance(result, ChainFit):
        return _chain_story(result, name, at)
    if at is not None:
        raise UsageError(
            "--at is for fits, measurements and tables; this result has a fixed answer"
        )
    if isinstance(result, Sequence) and result and all(isinstance(r, Shown) for r in result):
        result = Several(result)
    if not isinstance(result, Shown):
        raise DataError(f"holds a {type(result).__name__}, which has nothing to show", source=name)
    if isinstance(result, Trends):
        return _trends_story(result, name)
    card = result._card()
    notes = tuple(note for note in card.notes if isinstance(note, Note))
    said = tuple(note for note in card.notes if not isinstance(note, Note))
    figures = figures_of(result)
    sections = (
        Section(
            "Result",
            (),
            figures,
            (Table(card.heading, card.table),) if card.table.height else (),
            notes,
        ),
    )
    return Story(
        f"{name}: {_kind(result)}",
        (StoryVerdict(_lead(result, card.heading, figures), said),),
        sections,
        notes=tuple(n for n in notes if n.severity != "info"),
        provenance={"result": name, **versions()},
    )


def _trends_story(found: Trends, name: str) -> Story:
    """Show what improves, gets worse or turns; without trends over training, only the table."""
    try:
        section = counted_section(found)
    except UsageError:
        card = found._card()
        section = Section("Trends", (), tables=(Table(card.heading, card.table),))
    return Story(
        f"{name}: which scores improve, and which get worse?",
        (trends_verdict(found),),
        (section,),
        provenance={"result": name, "level": f"{found.level:.0%}", **versions()},
    )


def _lead(result: Shown, heading: str, figures: Sequence[Figure]) -> str:
    """Return the sentence of an answer or forecast; for other results, their card's heading."""
    from augury.forecast.prediction import Forecast
    from augury.forecast.questions import Answer

    if isinstance(result, Answer) and figures:
        return f"{figures[0].title}."
    every = list(result) if isinstance(result, Several) else [result]
    made = [f for f in every if isinstance(f, Forecast)]
    if made and len(made) == len(every):
        return " ".join(_forecast_text(f) for f in made[:MOST_SAID])
    return heading if heading.endswith(".") else f"{heading}."


def _forecast_text(made: Forecast) -> str:
    said = interval_text(made.value, *made.run_interval)
    sure = f"({made.level:.0%} interval: {said.interval})"
    return f"At {place_text(made.inputs)}: {said.value} {sure}."


def _kind(result: Shown) -> str:
    """Return the name of its class in words: compute optimum, ladder outlook."""
    name = type(result).__name__
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name)
    return "forecasts" if isinstance(result, Several) else words.strip()


def _chain_story(fitted: ChainFit, name: str, at: Mapping[str, float] | None) -> Story:
    """Show the laws of loss and task, and the forecast of both for a larger model."""
    from augury.forecast.prediction import inputs_of, predict

    largest = {n: float(fitted.loss.data[n].max()) for n in inputs_of(fitted.loss)}  # type: ignore[arg-type]
    place = {n: (at or {}).get(n, 2 * x) for n, x in largest.items()}
    where = place_text(place)
    if fitted.usable:
        (made,) = predict(fitted, place)
        said = interval_text(made.value, *made.run_interval)
        verdict = StoryVerdict(
            f"At {where}, the score will be {said.value} ({made.level:.0%} interval: "
            f"{said.interval}).",
            (f"By {fitted.chain}: the loss from the inputs, the score from the loss.",),
        )
    else:
        verdict = StoryVerdict(f"No forecast: {fitted.status}.", (fitted.status.remedy,), False)
    loss = loss_section(fitted.loss, task="loss", at=place if fitted.loss.usable else None)
    task = loss_section(fitted.task, task="score", name="task-law")
    # The answer is a score: the law of the task is the figure of the first screen.
    return Story(
        f"{name}: what score at {where}?",
        (verdict,),
        (replace(task, heading=f"The score over the loss: {fitted.chain.task}"), loss),
        notes=tuple(n for n in fitted.notes if n.severity != "info"),
        provenance={"result": name, "level": f"{fitted.level:.0%}", **versions()},
    )
