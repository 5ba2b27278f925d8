"""Trends: which abilities rise, fall, turn or leap during pretraining."""

from augury.forecast.trends.difficulty import by_difficulty
from augury.forecast.trends.outlooks import ahead_of, backtest_outlook, outlook
from augury.forecast.trends.published import adjusted, published_trends
from augury.forecast.trends.trend_tests import Trend, Trends, sentence, trends

__all__ = [
    "Trend",
    "Trends",
    "adjusted",
    "ahead_of",
    "backtest_outlook",
    "by_difficulty",
    "outlook",
    "published_trends",
    "sentence",
    "trends",
]
