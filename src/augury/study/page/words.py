"""How the page of a study names things: tasks, points, methods, unknown numbers."""

from __future__ import annotations

from collections.abc import Mapping

from augury.study.results.forecast_records import TaskForecast
from augury.study.results.formats import Interval

UNKNOWN = float("nan")
# Methods as used in sentences.
METHODS = {
    "laws": "the laws",
    "counts-average": "the average of simple forecasts",
    "counts-pooled": "counts of every instance",
    "counts-instances": "a line for every instance",
    "counts-line": "the published line",
    # Names used by versions before 0.2.
    "counts-ours": "counts of every instance",
    "counts-ipu": "a line for every instance",
}


def task_name(record: TaskForecast) -> str:
    """Return the task in quotation marks, or a replacement if tables do not name one."""
    kinds = {"emergence": "the ability", "loss": "the loss"}
    other = kinds.get(record.question, "the task")
    return f"\u201c{record.task}\u201d" if record.task else other


def ends_of(interval: Interval) -> tuple[float, float]:
    """Return both ends, NaN if one is unknown."""
    low, high = interval
    return known(low), known(high)


def known(x: float | None) -> float:
    """Convert a number of a record: null becomes NaN."""
    return UNKNOWN if x is None else float(x)


def run_name(model: str | None, seed: int | None) -> str:
    """Return a run's name from its model and seed."""
    return f"{model or 'run'}" + ("" if seed is None else f" \u00b7 seed {seed}")


def weights_text(weights: Mapping[str, float]) -> str:
    """Format weights of laws, the largest first."""
    return ", ".join(f"{law} {w:.0%}" for law, w in sorted(weights.items(), key=lambda p: -p[1]))
