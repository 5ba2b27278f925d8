"""Figures of single results: sections, charts, files, and images in notebooks."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from augury.display import Card, Shown
from augury.errors import AuguryError, UsageError
from augury.report.clean import clean_text
from augury.report.page.draw import finished, tips
from augury.report.page.palette import BLUE
from augury.report.page.story import Figure, Section
from augury.report.page.write import standalone_spec, svg_of
from augury.runtime.atomic import atomic_file

if TYPE_CHECKING:
    from augury.fitting import Fit

# Bytes. An SVG with thousands of marks is larger than its pixels, and a notebook stores all of it.
MOST_SVG = 100_000
# Formats a result can be saved as, besides a folder.
PICTURES = (".svg", ".png", ".pdf", ".html")
# Columns of an interval; the first that a table has is used.
ENDS = (("low", "high"), ("run_low", "run_high"), ("mean_low", "mean_high"))
# Most rows drawn from a table, and the ratio of its ends above which an axis is logarithmic.
MOST_BARS, WIDE = 40, 100.0


def section_of(result: Any) -> Section | None:
    """Return the section for an answer, fit, backtest, trends, or emergence fit; else None.

    Raises:
        AuguryError: it contains nothing that can be drawn.
    """
    from augury.fitting import Fit, Status
    from augury.report.page.curves import loss_section

    if isinstance(result, Fit):  # first: every fit that is saved has to load no more than this
        unsolved = result.status == Status.NO_START_CONVERGED
        return None if unsolved else loss_section(result, task=result.law.output)
    from augury.forecast import Backtest
    from augury.forecast.emergence import EmergenceFit
    from augury.forecast.questions import Answer
    from augury.forecast.trends import Trends
    from augury.report.page.backtest import backtest_section
    from augury.report.page.emergence import emergence_section
    from augury.report.page.questions import answer_section
    from augury.report.page.trends import trends_section

    if isinstance(result, Answer):
        return answer_section(result)
    if isinstance(result, Backtest):
        return backtest_section(result.rows, level=result.level)
    if isinstance(result, Trends):
        return trends_section(result)
    if isinstance(result, EmergenceFit):
        data = result.data
        table = pl.DataFrame(
            {data.scale: data.place, "finetune_examples": data.amount, "value": data.y}
        )
        return emergence_section("the task", table)
    return None


def figures_of(result: Any) -> tuple[Figure, ...]:
    """Return all figures of a result; none if there is nothing to draw.

    A result without a section is drawn from its table: a value with its interval per row.
    """
    from augury.fitting import Fit

    if not isinstance(result, Fit):
        from augury.forecast.combination import Combination

        result = result.backtest if isinstance(result, Combination) else result
    try:
        section = section_of(result)
        if section is not None:
            return (*section.figures, *(_of_fit(result) if isinstance(result, Fit) else ()))
        figure = interval_figure(result._card()) if isinstance(result, Shown) else None
    except AuguryError:  # nothing can be drawn: the table shows the data
        return ()
    return () if figure is None else (figure,)


def _of_fit(fitted: Fit) -> tuple[Figure, ...]:
    """Draw residuals and influence."""
    from augury.report.page.fit import influence_figure, residual_figure

    if not fitted.usable:
        return ()
    influence = influence_figure(fitted)
    return (residual_figure(fitted), *([] if influence is None else [influence]))


def chart_of(result: Any) -> Any:
    """Return the first figure of a result as an Altair chart.

    Raises:
        UsageError: there is nothing to draw.
    """
    import altair as alt

    figures = figures_of(result)
    if not figures:
        raise UsageError(f"{type(result).__name__}: it holds nothing that can be drawn")
    return alt.Chart.from_dict(standalone_spec(figures[0]))


def save_picture(result: Any, path: str | Path) -> Path:
    """Write the first figure of a result as .svg, .png, .pdf or .html.

    Raises:
        UsageError: there is nothing to draw.
    """
    from augury.report.figure import save_figure

    return save_figure(chart_of(result), path)


def save_figures(result: Any, folder: str | Path) -> list[Path]:
    """Write the figures of a result as SVG, with their data as CSV.

    Args:
        result: a fit, a backtest, trends ...
        folder: of the files; created if missing.

    Returns:
        The paths of the figures.
    """
    folder = Path(folder)
    written = []
    for figure in figures_of(result):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{figure.id}.svg"
        texts = {path.with_suffix(".csv"): figure.data.write_csv(), path: svg_of(figure)}
        for file, text in texts.items():
            with atomic_file(file) as fresh:
                fresh.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def picture_of(result: Any) -> str | None:
    """Return the page's figure of a result as an HTML image; None if there is nothing to draw.

    As an image, since inline SVG shares its ids with all other cells.
    """
    import vl_convert

    try:
        section = section_of(result)
    except AuguryError:  # nothing can be drawn: the table shows the data
        return None
    if section is None:
        return None
    figure = section.figures[0]
    svg = svg_of(figure)
    kind, drawn = "svg+xml", svg.encode()
    if len(drawn) > MOST_SVG:
        kind, drawn = "png", vl_convert.svg_to_png(svg, scale=2)
    return (
        f'<img alt="{escape(clean_text(figure.alt))}" style="max-width: 640px; width: 100%" '
        f'src="data:image/{kind};base64,{base64.b64encode(drawn).decode()}">'
    )


def interval_figure(card: Card, *, name: str = "intervals") -> Figure | None:
    """Draw a value with its interval for every row of a table that has them; else None."""
    import altair as alt

    table = card.table
    ends = next((e for e in ENDS if set(e) <= set(table.columns)), None)
    if ends is None or "value" not in table.columns:
        return None
    own = {"value", *(column for pair in ENDS for column in pair)}
    told = [c for c in table.columns if c not in own and not table[c].dtype.is_nested()]
    words = [c for c in told if table[c].dtype == pl.String] or told[:2]
    label = pl.concat_str(
        [pl.format("{} {}", pl.lit(c.replace("_", " ")), pl.col(c).cast(pl.String).fill_null("-"))
         if table[c].dtype != pl.String else pl.col(c).fill_null("-") for c in words],
        separator=", ",
    ) if words else pl.lit("value")  # fmt: skip
    data = table.select(label.alias("what"), "value", low=ends[0], high=ends[1])
    data = data.filter(pl.col("value").is_not_null() & pl.col("value").is_finite()).head(MOST_BARS)
    if data.is_empty():
        return None
    positive = bool((data["value"] > 0).all()) and bool((data["low"] > 0).all())
    log = positive and float(data["high"].max()) > WIDE * float(data["low"].min())  # type: ignore[arg-type]
    scale = alt.Scale(type="log" if log else "linear", zero=False)
    base = alt.Chart(data)
    x = alt.X("value:Q", scale=scale, title="Value and interval")
    y = alt.Y("what:N", sort=None, title=None)
    tip = tips(what="", value=".4~g", low=".4~g", high=".4~g")
    layers = [
        base.mark_rule(color=BLUE, strokeWidth=3, opacity=0.5).encode(
            x=alt.X("low:Q", scale=scale, title="Value and interval"), x2="high:Q", y=y, tooltip=tip
        ),
        base.mark_point(color=BLUE, filled=True, size=70, opacity=1).encode(x=x, y=y, tooltip=tip),
    ]
    return Figure(
        name,
        card.heading,
        "Each dot is a value, its line the interval.",
        "More data, which shorten the lines.",
        finished(alt.layer(*layers), height=60 + 26 * data.height),
        data,
        f"{data.height} values with their intervals.",
    )
