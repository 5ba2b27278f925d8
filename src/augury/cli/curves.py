"""The command that forecasts the end of a run in progress."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from augury.cli import startup
from augury.cli.application import FORECAST, app
from augury.cli.arguments import parse_point
from augury.cli.asked import Asked, with_shared
from augury.cli.questions import parse_amount
from augury.errors import UsageError


@app.command(rich_help_panel=FORECAST)
@with_shared("map_", "where", "level", "out", "as_json")
def curve(
    asked: Asked,
    log: Annotated[
        Path, typer.Argument(help="The run so far: step or tokens, loss, and lr if logged.")
    ],
    schedule: Annotated[
        Path | None,
        typer.Option(help="Columns step and lr, to the run's end: the decay to ask about."),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(help='Where, without a schedule: "tokens=4T" or "step=60000". Repeatable.'),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="A folder of `fit --out`: a fit to smaller runs, to blend with."),
    ] = None,
    planned: Annotated[
        str | None,
        typer.Option(help='With --against: the run\'s end, "params=7B,tokens=4T".'),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Target loss.")] = None,
) -> None:
    """Forecast the end of a run in progress, and say if it is on track."""
    from augury.data import read_table
    from augury.fitting.store import load
    from augury.forecast.questions import forecast_run

    rows = asked.rows(log, (), "loss")
    plan = None if schedule is None else read_table(schedule, require=["step", "lr"])
    places = _places(at, rows.columns)
    with startup.computing("forecasting the end of the run"):
        answer = forecast_run(
            rows,
            plan,
            at=places,
            against=None if against is None else load(against),
            planned=None if planned is None else parse_point(planned),
            target=parse_amount("target", target),
            level=asked.level,
        )
    asked.show(answer)


def _places(texts: list[str] | None, columns: list[str]) -> list[float] | None:
    """Parse points along one column of the log.

    Raises:
        UsageError: a point names another column, or several.
    """
    from augury.forecast.questions.run import ALONG

    if not texts:
        return None
    along = next((name for name in ALONG if name in columns), "step")
    found = []
    for text in texts:
        point = parse_point(text)
        if list(point) != [along]:
            raise UsageError(f"--at '{text}': the log runs along {along}; expected {along}=NUMBER")
        found.append(point[along])
    return found
