"""The figure on the first screen: an interval per target, and the truth if known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from augury.report.page.draw import finished, shown, tips
from augury.report.page.palette import GREEN, ORANGE
from augury.report.page.story import Figure, Outlook

FORECAST, TRUTH = "forecast", "measured afterwards"
# Below this, a linear axis cannot show a rate.
LOG_BELOW = 0.01
# The axis ends here: an interval that begins at 0 is drawn from the edge.
FLOOR = 1e-9
# "rule at 16 million parameters and 320 million tokens" on three lines.
LINES = "split(replace(replace(datum.label, ' at ', '|at '), ' and ', '|and '), '|')"
LOSS_AT_WHICH = "loss at which "


def outlook_figure(outlooks: Sequence[Outlook], *, name: str = "targets") -> Figure | None:
    """Draw intervals of all forecast rates, one bar per target; None if no rate is forecast."""
    import altair as alt

    rates = [o for o in outlooks if o.is_rate and o.value == o.value]
    if not rates:
        return None
    data = _rows(rates)
    numbers = [x for c in ("value", "low", "high", "truth") for x in data[c].drop_nulls() if x == x]
    log = min(numbers) < LOG_BELOW
    clipped = data.with_columns(
        pl.col("value", "low", "high", "truth").clip(lower_bound=FLOOR if log else 0.0)
    )
    scale = (
        alt.Scale(type="log", domain=[max(min(numbers) / 2, FLOOR), 1.0], nice=False)
        if log
        else alt.Scale(domain=[0, 1])
    )
    axis = alt.Axis(
        title="Pass rate",
        format=".6~%",
        **({"values": [10.0**k for k in range(-12, 1)]} if log else {"tickCount": 6}),
    )
    held = [(o.held, len(o.truth)) for o in rates if o.held is not None]
    fared = (
        f" Measured afterwards: {sum(h or 0 for h, _ in held)} of {sum(n for _, n in held)} runs "
        "inside their interval."
        if held
        else ""
    )
    height = 44 + 56 * data["target"].n_unique()
    return Figure(
        name,
        "Forecasts" + (" and results" if held else ""),
        f"Each bar is the {rates[0].level:.0%} interval for one new run, its line the forecast"
        + (", diamonds are runs measured afterwards." if held else ".")
        + fared,
        "Larger models among those measured, which shorten the bars.",
        finished(_bars(clipped, data, scale, axis), height=height),
        data,
        "; ".join(f"{o.what}: {o.said.value}, {o.said.interval}" for o in rates) + "." + fared,
    )


def emergence_figures(outlooks: Sequence[Outlook]) -> tuple[Figure, ...]:
    """Draw the interval of every forecast loss of emergence, each on its own axis.

    Progress goes to the right: the loss falls.
    """
    import altair as alt

    made = []
    for i, outlook in enumerate(o for o in outlooks if o.is_loss and o.value == o.value):
        data = _rows([outlook])
        scale = alt.Scale(reverse=True, zero=False, nice=True, padding=24)
        axis = alt.Axis(title="Pretraining loss", format=".3~f", tickCount=5)
        ability = outlook.what.removeprefix(LOSS_AT_WHICH)
        came = "; the diamond is halfway between the two checkpoints around its appearance."
        made.append(
            Figure(
                f"emerges-{i}",
                f"Where {ability}, and where it appeared" if outlook.truth else f"Where {ability}",
                f"The bar is the {outlook.level:.0%} interval, its line the forecast"
                + (came if outlook.truth else "."),
                "Smaller amounts of finetuning, and better checkpoints, which shorten the bar.",
                finished(_bars(data, data, scale, axis, labels=False), height=56),
                data,
                f"{outlook.what}: {outlook.said.value}, {outlook.said.interval}.",
            )
        )
    return tuple(made)


def _rows(outlooks: Sequence[Outlook]) -> pl.DataFrame:
    """Build one row per truth, or a single row without truth."""
    return pl.DataFrame(
        [
            {"target": o.what, "value": o.value, "low": o.interval[0], "high": o.interval[1],
             "truth": truth}
            for o in outlooks
            for truth in (o.truth or (None,))
        ],
        schema={"target": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64,
                "truth": pl.Float64},
    ).with_columns(pl.col("low", "high").fill_nan(None))  # fmt: skip


def _bars(
    drawn: pl.DataFrame, data: pl.DataFrame, scale: Any, axis: Any, *, labels: bool = True
) -> Any:
    """Draw one bar per target, a line at its forecast, a diamond per truth."""
    import altair as alt

    kinds = {FORECAST: ORANGE} | ({TRUTH: GREEN} if data["truth"].is_not_null().any() else {})
    colour = alt.Color(**shown(kinds))
    names = alt.Axis(title=None, labelLimit=320, labelExpr=LINES) if labels else None
    x = alt.X("value:Q", scale=scale, axis=axis)
    y = alt.Y("target:N", sort=None, axis=names)
    bars = alt.Chart(drawn.unique("target", maintain_order=True)).transform_calculate(
        shown=f"'{FORECAST}'"
    )
    dots = alt.Chart(drawn.filter(pl.col("truth").is_not_null())).transform_calculate(
        shown=f"'{TRUTH}'"
    )
    tip = tips(target="", value=".3~g", low=".3~g", high=".3~g")
    layers = [
        bars.mark_bar(opacity=0.35, height=14, clip=True).encode(
            x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", y=y, color=colour, tooltip=tip
        ),
        bars.mark_tick(thickness=3, height=22, clip=True).encode(
            x=x, y=y, color=colour, tooltip=tip
        ),
        dots.mark_point(filled=True, size=90, opacity=1, shape="diamond").encode(
            x=alt.X("truth:Q", scale=scale, axis=axis),
            y=y,
            color=colour,
            tooltip=tips(target="", truth=".3~g"),
        ),
    ]
    return alt.layer(*layers)
