"""Forecasts of one curve from its beginning: value, interval, and the laws behind it."""

from augury.forecast.curves.one_curve import forecast_curve
from augury.forecast.curves.result import CurveForecast, CurvePart
from augury.forecast.curves.schedules import forecast_scheduled

__all__ = ["CurveForecast", "CurvePart", "forecast_curve", "forecast_scheduled"]
