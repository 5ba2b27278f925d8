"""Reporting: figures of results."""

from augury.report.figure import ladder_figure, save_figure

__all__ = ["ladder_figure", "save_figure"]
