"""The section of a result and its picture in a notebook, for those that have one."""

from __future__ import annotations

import base64
from html import escape
from typing import Any

import polars as pl

from augury.errors import AuguryError
from augury.report.page.story import Section

# Bytes: a picture of thousands of marks is larger than its pixels, and a notebook keeps all of it.
MOST_SVG = 100_000


def section_of(result: Any) -> Section | None:
    """How the page shows a fit, a backtest, trends, or a fit of emergence; None of other things.

    Raises:
        AuguryError: there is nothing in it that could be drawn.
    """
    from augury.fitting import Fit, Status
    from augury.forecast import Backtest
    from augury.forecast.emergence import EmergenceFit
    from augury.forecast.trends import Trends
    from augury.report.page.backtest import backtest_section
    from augury.report.page.curves import loss_section
    from augury.report.page.emergence import emergence_section
    from augury.report.page.trends import trends_section

    if isinstance(result, Fit) and result.status != Status.NO_START_CONVERGED:
        return loss_section(result, task=result.law.output)
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


def picture_of(result: Any) -> str | None:
    """The page's figure of a result as an HTML image; None where there is nothing to draw.

    An image, since what is drawn inline shares its ids with all other cells.
    """
    import vl_convert

    from augury.report.page.write import svg_of

    try:
        section = section_of(result)
    except AuguryError:  # nothing that could be drawn: the table says what there is
        return None
    if section is None:
        return None
    figure = section.figures[0]
    svg = svg_of(figure)
    kind, drawn = "svg+xml", svg.encode()
    if len(drawn) > MOST_SVG:
        kind, drawn = "png", vl_convert.svg_to_png(svg, scale=2)
    return (
        f'<img alt="{escape(figure.alt)}" style="max-width: 640px; width: 100%" '
        f'src="data:image/{kind};base64,{base64.b64encode(drawn).decode()}">'
    )
