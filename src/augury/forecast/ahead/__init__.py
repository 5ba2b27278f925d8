"""Forecasts of larger models from smaller ones without a law: the average of simple forecasts."""

from augury.forecast.ahead.forecast import AheadForecast, forecast_ahead

__all__ = ["AheadForecast", "forecast_ahead"]
