"""The figure of a forecast: observations, forecast and truth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl

from augury.errors import UsageError
from augury.report.clean import clean_spec
from augury.runtime.atomic import atomic_file

# Okabe & Ito's colours: distinguishable with every kind of colour vision, and in grey.
OBSERVED, FORECAST, GREEDY = "#0072B2", "#D55E00", "#767676"
EXACT, FITTED = "exact pass probability", "fitted"


def ladder_figure(
    observed: pl.DataFrame,
    forecast: pl.DataFrame,
    truth: pl.DataFrame | None = None,
    *,
    title: str,
    subtitle: list[str],
) -> Any:
    """Draw pass probability over parameters, log-log, as a Vega-Lite chart.

    Args:
        observed: params, value (pass probability), greedy (accuracy; 0 is drawn on the lower edge).
        forecast: params, value, mean_low, mean_high, run_low, run_high, a smooth grid.
        truth: params, value, greedy of the forecast models, once they are trained.
        title, subtitle: what the figure shows, in words; the subtitle as a list of lines.
    """
    import altair as alt

    parts = [observed.with_columns(what=pl.lit(FITTED))]
    if truth is not None:
        parts.append(truth.with_columns(what=pl.lit("trained after the forecast")))
    points = pl.concat(parts, how="diagonal")
    lowest = float(points["value"].min())  # type: ignore[arg-type]
    floor = 10.0 ** (math.floor(math.log10(lowest)) - 0.5)
    x = alt.X(
        "params:Q",
        scale=alt.Scale(type="log", nice=False, padding=18),
        axis=alt.Axis(
            title="Parameters", format="~s", labelExpr="replace(datum.label, 'G', 'B')", grid=False
        ),
    )
    y_scale = alt.Scale(type="log", domain=[floor, 1.0], clamp=True)
    decades = [10.0**k for k in range(math.ceil(math.log10(floor)), 1)]
    y_axis = alt.Axis(title="Pass rate", format=".0e", gridColor="#e4e4e4", values=decades)

    def y(field: str) -> Any:
        return alt.Y(f"{field}:Q", scale=y_scale, axis=y_axis)

    band = (
        alt.Chart(forecast)
        .mark_area(opacity=0.18, color=FORECAST, clip=True)
        .encode(x=x, y=y("run_low"), y2="run_high:Q")
    )
    inner = (
        alt.Chart(forecast.drop_nulls("mean_low"))
        .mark_area(opacity=0.28, color=FORECAST, clip=True)
        .encode(x=x, y=y("mean_low"), y2="mean_high:Q")
    )
    line = (
        alt.Chart(forecast)
        .mark_line(color=FORECAST, strokeWidth=2, clip=True)
        .encode(x=x, y=y("value"))
    )
    rates = points.select("params", "what", pl.col("value").alias("rate")).with_columns(
        measured=pl.lit(EXACT)
    )
    greedy = points.select(
        "params", "what", pl.col("greedy").clip(lower_bound=floor).alias("rate")
    ).with_columns(measured=pl.lit("greedy accuracy"))
    both = pl.concat([rates, greedy]).with_columns(
        shown=pl.concat_str("measured", pl.lit(", "), "what")
    )
    kinds = both.select("measured", "what", "shown").unique(maintain_order=True).to_dicts()
    names = [k["shown"] for k in kinds]
    colours = [OBSERVED if k["measured"] == EXACT else GREEDY for k in kinds]
    fills = [OBSERVED if k["measured"] == EXACT else "white" for k in kinds]
    shapes = ["circle" if k["what"] == FITTED else "diamond" for k in kinds]

    def scale(values: list[str]) -> Any:
        return alt.Scale(domain=names, range=values)

    marks = (  # one field in three channels, so that the legends merge into one
        alt.Chart(both)
        .mark_point(size=75, strokeWidth=1.6, clip=False)
        .encode(
            x=x,
            y=y("rate"),
            stroke=alt.Stroke("shown:N", title=None, scale=scale(colours)),
            fill=alt.Fill("shown:N", title=None, scale=scale(fills)),
            shape=alt.Shape("shown:N", title=None, scale=scale(shapes)),
            tooltip=[
                alt.Tooltip("params:Q", format=",.0f"),
                alt.Tooltip("rate:Q", format=".2e"),
                "shown:N",
            ],
        )
    )
    return (
        (band + inner + line + marks)
        .properties(
            width=560,
            height=360,
            title=alt.TitleParams(title, subtitle=subtitle, anchor="start", subtitleColor="#444"),
            background="white",
        )
        .configure_axis(labelFontSize=12, titleFontSize=13, titleFontWeight="normal")
        .configure_title(fontSize=16, subtitleFontSize=12, offset=12)
        .configure_legend(
            orient="bottom",
            titleFontWeight="normal",
            labelFontSize=12,
            labelLimit=260,
            columns=2,
            columnPadding=36,
        )
        .configure_view(stroke=None)
    )


def save_figure(chart: Any, path: str | Path) -> Path:
    """Write a chart as .svg, .png, .pdf or .html.

    Raises:
        UsageError: the suffix is none of these.
    """
    path = Path(path)
    if path.suffix not in (".svg", ".png", ".pdf", ".html"):
        raise UsageError(f"cannot draw {path.name}: expected .svg, .png, .pdf or .html")
    import altair as alt

    path.parent.mkdir(parents=True, exist_ok=True)
    drawn: Any = alt.Chart.from_dict(clean_spec(chart.to_dict()))
    with atomic_file(path) as fresh:
        if path.suffix == ".html":
            fresh.write_text(_page_of(drawn, path.stem), encoding="utf-8")
        else:
            sharp = {"ppi": 200} if path.suffix == ".png" else {}
            drawn.save(str(fresh), format=path.suffix[1:], **sharp)
    return path


def _page_of(drawn: Any, name: str) -> str:
    """Build one self-contained file that works with screen readers and on phones."""
    import vl_convert
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("augury.report"), autoescape=True, undefined=StrictUndefined
    )
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return templates.get_template("chart.html").render(
        name=name, spec=drawn.to_dict(), bundle=bundle
    )
