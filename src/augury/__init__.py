"""Augury: which abilities a larger language model will have, before you pay for it.

import augury

table = augury.read_table("runs.csv", columns={"params": "Model Size"})
fitted = augury.fit("chinchilla", table)
print(fitted)
print(augury.predict(fitted, {"params": 7e9, "tokens": 4e12}))
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augury.display import draw_with

if TYPE_CHECKING:
    from augury.data import read_table
    from augury.data.readers import read_results as read
    from augury.errors import AuguryError
    from augury.evaluate import pass_until
    from augury.fitting import Fit, Gaussian, fit, fit_many, load, load_fit, save, save_fit
    from augury.forecast import (
        Forecast,
        backtest,
        combine,
        compare,
        fit_chain,
        forecast_ladder,
        predict,
    )
    from augury.forecast.ahead import forecast_ahead
    from augury.forecast.choosing import choose
    from augury.forecast.curves import forecast_curve
    from augury.forecast.emergence import emergence_data, emergence_point, fit_emergence
    from augury.forecast.passrate import forecast_pass_rate
    from augury.forecast.questions import (
        compare_series,
        find_mixture,
        find_optimum,
        forecast_run,
        measure_size,
        rank_mixtures,
        value_repeats,
    )
    from augury.forecast.trends import trends
    from augury.laws import Chain, Law, all_laws, law
    from augury.study import Study

# Where each public name lives. Loaded when first asked for: `import augury` takes milliseconds.
_HOME = {
    "data": ("read_table",),
    "data.readers": ("read",),
    "errors": ("AuguryError",),
    "evaluate": ("pass_until",),
    "fitting": ("Fit", "Gaussian", "fit", "fit_many", "load", "load_fit", "save", "save_fit"),
    "forecast": (
        "Forecast",
        "backtest",
        "combine",
        "compare",
        "fit_chain",
        "forecast_ladder",
        "predict",
    ),
    "forecast.ahead": ("forecast_ahead",),
    "forecast.choosing": ("choose",),
    "forecast.curves": ("forecast_curve",),
    "forecast.emergence": ("emergence_data", "emergence_point", "fit_emergence"),
    "forecast.passrate": ("forecast_pass_rate",),
    "forecast.questions": (
        "compare_series",
        "find_mixture",
        "find_optimum",
        "forecast_run",
        "measure_size",
        "rank_mixtures",
        "value_repeats",
    ),
    "forecast.trends": ("trends",),
    "laws": ("Chain", "Law", "all_laws", "law"),
    "study": ("Study",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}
# What is called otherwise there: `augury read` in Python.
_THERE = {"read": "read_results"}

__version__ = version("augury")
__all__ = [
    "AuguryError",
    "Chain",
    "Fit",
    "Forecast",
    "Gaussian",
    "Law",
    "Study",
    "all_laws",
    "backtest",
    "choose",
    "combine",
    "compare",
    "compare_series",
    "emergence_data",
    "emergence_point",
    "find_mixture",
    "find_optimum",
    "fit",
    "fit_chain",
    "fit_emergence",
    "fit_many",
    "forecast_ahead",
    "forecast_curve",
    "forecast_ladder",
    "forecast_pass_rate",
    "forecast_run",
    "law",
    "load",
    "load_fit",
    "measure_size",
    "pass_until",
    "predict",
    "rank_mixtures",
    "read",
    "read_table",
    "save",
    "save_fit",
    "trends",
    "value_repeats",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'augury' has no attribute '{name}'")
    value = getattr(import_module(f"augury.{_MODULE[name]}"), _THERE.get(name, name))
    globals()[name] = value
    return value


def _draw(result: Any) -> str | None:
    """Let results show a figure in a notebook without importing what draws it."""
    from augury.report.page.result import picture_of

    return picture_of(result)


def _chart(result: Any) -> Any:
    """Do the same for `chart()`."""
    from augury.report.page.result import chart_of

    return chart_of(result)


def _save(result: Any, path: str | Path) -> Path:
    """Do the same for `save()`: a figure by its suffix, else a folder."""
    from augury.report.page.result import PICTURES, save_picture

    if Path(path).suffix in PICTURES:
        return save_picture(result, path)
    from augury.fitting import save

    return save(result, path)


draw_with(_draw, _chart, _save)


def __dir__() -> list[str]:
    return sorted(__all__)
