"""Forecasting: predict, fit chains of laws, backtest them, and choose among them."""

from augury.forecast.backtesting import Backtest, backtest, compare
from augury.forecast.chain_fit import ChainFit, fit_chain
from augury.forecast.combination import Combination, combine
from augury.forecast.ladder import LadderForecast, TaskRecipe, forecast_ladder
from augury.forecast.prediction import Forecast, predict
from augury.laws import Chain

__all__ = [
    "Backtest",
    "Chain",
    "ChainFit",
    "Combination",
    "Forecast",
    "LadderForecast",
    "TaskRecipe",
    "backtest",
    "combine",
    "compare",
    "fit_chain",
    "forecast_ladder",
    "predict",
]
