"""The section of any answer: its sentence, its figures, its notes."""

from __future__ import annotations

from functools import singledispatch

from augury.errors import UsageError
from augury.forecast.questions import (
    Answer,
    ComputeOptimum,
    LadderOutlook,
    MixtureAnswer,
    MixtureRanking,
    RepeatAnswer,
    RunOutlook,
    SeriesComparison,
    SizeAnswer,
)
from augury.report.page.questions.mixture import mixture_figures
from augury.report.page.questions.optimum import optimum_figures
from augury.report.page.questions.ranking import ranking_figures
from augury.report.page.questions.repeat import repeat_figures
from augury.report.page.questions.run import run_figures
from augury.report.page.questions.size import size_figures
from augury.report.page.questions.tasks import tasks_figures
from augury.report.page.questions.versus import versus_figures
from augury.report.page.story import Figure, Section


@singledispatch
def answer_figures(answer: Answer) -> tuple[Figure, ...]:
    """Return the figures of an answer."""
    raise UsageError(f"no figure for a {type(answer).__name__}")


answer_figures.register(ComputeOptimum, optimum_figures)
answer_figures.register(LadderOutlook, tasks_figures)
answer_figures.register(MixtureAnswer, mixture_figures)
answer_figures.register(MixtureRanking, ranking_figures)
answer_figures.register(RepeatAnswer, repeat_figures)
answer_figures.register(SizeAnswer, size_figures)
answer_figures.register(RunOutlook, run_figures)
answer_figures.register(SeriesComparison, versus_figures)


def answer_section(answer: Answer) -> Section:
    """Build the page's section for an answer."""
    figures = answer_figures(answer)
    return Section(figures[0].title, (str(answer),), figures, notes=answer.notes)
