"""Pass rates: which class of growth they follow, and what a larger model's will be."""

from augury.forecast.passrate.forecast import Answer, PassRateForecast, forecast_pass_rate
from augury.forecast.passrate.growth import Growth, growth
from augury.forecast.passrate.series import Series, series

__all__ = [
    "Answer",
    "Growth",
    "PassRateForecast",
    "Series",
    "forecast_pass_rate",
    "growth",
    "series",
]
