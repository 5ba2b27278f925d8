"""Reporting: figures and pages of results."""

from augury.report.figure import ladder_figure, save_figure
from augury.report.multiples import trend_figure, trend_points

__all__ = ["ladder_figure", "save_figure", "trend_figure", "trend_points"]
