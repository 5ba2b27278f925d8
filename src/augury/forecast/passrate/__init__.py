"""Pass rates: which class of growth they follow, and forecasts for larger models."""

from augury.forecast.passrate.forecast import MethodForecast, PassRateForecast, forecast_pass_rate
from augury.forecast.passrate.growth_forms import Growth, growth
from augury.forecast.passrate.rate_series import RateSeries, series

__all__ = [
    "Growth",
    "MethodForecast",
    "PassRateForecast",
    "RateSeries",
    "forecast_pass_rate",
    "growth",
    "series",
]
