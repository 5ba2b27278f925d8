"""Forecasts of larger models from smaller ones without a law: the average of simple forecasts."""

from augury.forecast.ahead.forecast import AheadForecast, at_chance_notes, forecast_ahead

__all__ = ["AheadForecast", "at_chance_notes", "forecast_ahead"]
