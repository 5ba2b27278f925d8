"""Common questions, each answered with an interval, a distance and a picture."""

from augury.forecast.questions.answers import Answer, AnswerStatus, Estimate
from augury.forecast.questions.isoflop import isoflop_optimum
from augury.forecast.questions.mixture import find_mixture
from augury.forecast.questions.mixture_answer import MixtureAnswer
from augury.forecast.questions.optimal import ComputeOptimum, find_optimum
from augury.forecast.questions.ranking import MixtureRanking, rank_mixtures
from augury.forecast.questions.repeat import RepeatAnswer, value_repeats
from augury.forecast.questions.run import RunOutlook, forecast_run
from augury.forecast.questions.size import SizeAnswer, measure_size
from augury.forecast.questions.tasks import LadderOutlook, ladder_outlook
from augury.forecast.questions.versus import SeriesComparison, compare_series

__all__ = [
    "Answer",
    "AnswerStatus",
    "ComputeOptimum",
    "Estimate",
    "LadderOutlook",
    "MixtureAnswer",
    "MixtureRanking",
    "RepeatAnswer",
    "RunOutlook",
    "SeriesComparison",
    "SizeAnswer",
    "compare_series",
    "find_mixture",
    "find_optimum",
    "forecast_run",
    "isoflop_optimum",
    "ladder_outlook",
    "measure_size",
    "rank_mixtures",
    "value_repeats",
]
