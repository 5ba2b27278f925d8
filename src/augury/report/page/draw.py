"""Axes, tooltips and legends shared by all charts of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from augury.report.page.palette import BLUE, INK, ORANGE

HEIGHT = 320
# Pass rates that may label an axis in log(-log).
RATES = (
    *(10.0**k for k in range(-12, -2)),
    0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.97, 0.99, 0.999, 0.9999,
)  # fmt: skip
NAMES = {
    "params": "Parameters",
    "tokens": "Tokens of pretraining",
    "flops": "FLOPs of pretraining",
    "loss": "Pretraining loss, nats per token",
    "step": "Training step",
    "finetune_examples": "Finetuning examples",
}
# Scales where less is better, drawn from right to left so that progress always goes the same way.
FALLING = ("loss", "bpb")


def along(field: str, *, title: str | None = None, domain: Sequence[float] | None = None) -> Any:
    """Build the x axis of a scale: logarithmic, or reversed for losses."""
    import altair as alt

    falls = field in FALLING
    scale: dict[str, Any] = {"nice": False, "padding": 12}
    if domain is not None:
        scale["domain"] = [float(x) for x in domain]
    scale |= {"reverse": True, "zero": False} if falls else {"type": "log"}
    return alt.X(
        f"{field}:Q",
        scale=alt.Scale(**scale),
        axis=alt.Axis(
            title=title or NAMES.get(field, field.replace("_", " ")),
            format=".3~f" if falls else "~e" if field == "flops" else "~s",
            grid=False,
            tickCount=6,
        ),
    )


def rates(low: float, high: float) -> Callable[[str], Any]:
    """Build the y axis of F = log(-log p), better upwards, labelled with pass rates.

    Args:
        low, high: pass rates that the axis must include.
    """
    import altair as alt

    ends = [float(np.log(-np.log(np.clip(p, 1e-300, 1 - 1e-9)))) for p in (low, high)]
    room = 0.04 * abs(ends[0] - ends[1]) + 0.02
    shown = [p for p in RATES if low * 0.3 <= p <= 1 - (1 - high) * 0.3]
    scale = alt.Scale(domain=[ends[0] + room, ends[1] - room], nice=False, zero=False)
    axis = alt.Axis(
        title="Pass rate, spaced as log(-log)",
        values=[float(np.log(-np.log(p))) for p in shown],
        labelExpr=(
            "exp(-exp(datum.value)) >= 0.0099 ? format(exp(-exp(datum.value)), '.4~%') "
            ": format(exp(-exp(datum.value)), '.0e')"
        ),
    )
    return lambda field: alt.Y(f"{field}:Q", scale=scale, axis=axis)


def shown(kinds: Mapping[str, str], *, field: str = "shown") -> dict[str, Any]:
    """Build arguments of `alt.Color` for a column that names what is drawn, in fixed colours."""
    import altair as alt

    return {
        "shorthand": f"{field}:N",
        "scale": alt.Scale(domain=list(kinds), range=list(kinds.values())),
        "legend": alt.Legend(title=None, symbolOpacity=1),
    }


def tips(**fields: str) -> list[Any]:
    """Build tooltips: column -> format, "" for text; the column's name is shown with spaces."""
    import altair as alt

    return [
        alt.Tooltip(f"{name}:Q", format=how, title=name.replace("_", " "))
        if how
        else alt.Tooltip(f"{name}:N", title=name.replace("_", " "))
        for name, how in fields.items()
    ]


def finished(chart: Any, *, height: int = HEIGHT) -> dict[str, Any]:
    """Finish a chart: make it as wide as its container."""
    spec: dict[str, Any] = chart.properties(width="container", height=height).to_dict()
    return spec


OBSERVED, FORECAST, PUBLISHED = BLUE, ORANGE, INK
