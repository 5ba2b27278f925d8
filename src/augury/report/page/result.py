"""The section of a result, for those that have one."""

from __future__ import annotations

from typing import Any

import polars as pl

from augury.report.page.story import Section


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
