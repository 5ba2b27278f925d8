"""The story of a fit: its forecast, how well it fits, and which points matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from augury.errors import AuguryError
from augury.fitting.diagnose import MOVES
from augury.report.page.curves import loss_section
from augury.report.page.draw import along, finished, shown, tips
from augury.report.page.palette import BLUE, GREY, KINDS
from augury.report.page.runs import versions
from augury.report.page.story import Figure, Section, Story, StoryVerdict
from augury.report.page.verdict import value_verdict
from augury.report.page.words import beyond_text, place_text

if TYPE_CHECKING:
    from augury.fitting import Fit

OUTPUTS = {"loss": "the loss", "value": "the score"}


def fit_story(fitted: Fit, name: str, *, at: Mapping[str, float] | None = None) -> Story:
    """Tell the story of a fit: a forecast, the law with its band, residuals and parameters.

    Args:
        fitted: a fit of a law with at least one input.
        name: name of its file or folder.
        at: where to forecast; by default at twice the largest value of every input.
    """
    place = place_of(fitted, at)
    section = loss_section(fitted, task=fitted.law.output, at=place if fitted.usable else None)
    notes = tuple(n for n in fitted.notes if n.severity != "info")
    sections = [section]
    if fitted.usable:
        influence = influence_figure(fitted)
        sections.append(
            Section(
                "How far single points lie from the law, and how far they move it",
                (_spread_text(fitted),),
                (residual_figure(fitted), *([] if influence is None else [influence])),
            )
        )
    what = OUTPUTS.get(fitted.law.output, fitted.law.output).removeprefix("the ")
    return Story(
        f"{name}: what {what} at {place_text(place)}?",
        (fit_verdict(fitted, place),),
        tuple(sections),
        notes=notes,
        provenance={
            "fit": name,
            "points": f"{fitted.n} of {fitted.run_count} runs",
            "intervals": f"{fitted.uncertainty}, {fitted.level:.0%}",
            "seed": str(fitted.seed),
            **versions(),
        },
    )


def place_of(fitted: Fit, at: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return the point of the forecast: `at`, with twice the largest value for missing inputs."""
    from augury.forecast.prediction import inputs_of

    largest = {n: float(fitted.data[n].max()) for n in inputs_of(fitted)}  # type: ignore[arg-type]
    return {n: (at or {}).get(n, 2 * x) for n, x in largest.items()}


def fit_verdict(fitted: Fit, at: Mapping[str, float] | None = None) -> StoryVerdict:
    """Return the forecast of the fitted law in words, and what it is based on."""
    from augury.forecast.prediction import inputs_of, predict

    basis = (
        f"{fitted.law} was fitted to {fitted.n} points of {fitted.run_count} runs: {fitted.status}."
    )
    if not fitted.usable:
        return StoryVerdict(f"No forecast: {fitted.status}.", (fitted.status.remedy, basis), False)
    inputs = inputs_of(fitted)
    largest = {n: float(fitted.data[n].max()) for n in inputs}  # type: ignore[arg-type]
    asked = place_of(fitted, at)
    (made,) = predict(fitted, asked)
    what = OUTPUTS.get(fitted.law.output, fitted.law.output)
    details = [basis]
    if inputs[0] == "params":
        details.insert(0, f"That is {beyond_text(largest[inputs[0]], asked[inputs[0]])}.")
    why = f"the fit: {fitted.status}"
    return value_verdict(
        what, asked, made.value, made.run_interval, made.level, unknown=why, details=details
    )


def residuals_of(fitted: Fit) -> pl.DataFrame:
    """List every point with the law's value: row, inputs, observed, fitted, residual.

    Residuals are logarithms of observed over fitted if both are positive, else differences.
    """
    from augury.forecast.prediction import inputs_of, predict

    seen = fitted.data
    inputs = inputs_of(fitted)
    value = np.array([f.value for f in predict(fitted, seen.select(inputs))])
    observed = seen["y"].to_numpy().astype(float)
    relative = fitted.law.output == "loss" and bool((observed > 0).all() and (value > 0).all())
    residual = np.log(observed / value) if relative else observed - value
    return seen.select("row", *inputs).with_columns(
        observed=pl.Series(observed), fitted=pl.Series(value), residual=pl.Series(residual)
    )


def residual_figure(fitted: Fit, *, name: str = "residuals") -> Figure:
    """Draw residuals over the law's first input."""
    import altair as alt

    data = residuals_of(fitted)
    x = data.columns[1]
    relative = fitted.law.output == "loss"
    y = alt.Y("residual:Q", title="Observed over fitted, log" if relative else "Observed - fitted")
    base = alt.Chart(data)
    layers = [
        alt.Chart(pl.DataFrame({"residual": [0.0]}))
        .mark_rule(color=GREY, strokeDash=[4, 3])
        .encode(y=y),
        base.mark_point(color=BLUE, filled=True, size=45, opacity=0.75).encode(
            x=along(x),
            y=y,
            tooltip=tips(row="", **{x: ",.4~r", "observed": ".4~g", "fitted": ".4~g",
                                    "residual": ".2~g"}),
        ),
    ]  # fmt: skip
    worst = data.sort(pl.col("residual").abs(), descending=True).row(0, named=True)
    return Figure(
        name,
        "What the law leaves unexplained",
        "Each dot is one point; on the dashed line, it lies on the law. A pattern along the axis "
        "means that the law has the wrong shape.",
        "Another law, or leaving out points that are far from all others.",
        finished(alt.layer(*layers), height=200),
        data,
        f"Residuals of {data.height} points; the largest is {worst['residual']:.2g}, of row "
        f"{worst['row']}.",
    )


def influence_figure(fitted: Fit, *, name: str = "influence") -> Figure | None:
    """Draw how far leaving out each point moves the answer; None if none can be left out."""
    import altair as alt

    from augury.fitting.influence import influence_of
    from augury.forecast.prediction import inputs_of

    try:
        found = influence_of(fitted).filter(pl.col("moves").is_finite())
    except AuguryError:
        return None
    if found.is_empty():
        return None
    x = inputs_of(fitted)[0]
    data = found.select("row", *inputs_of(fitted), "y", "parameter", "moves")
    y = alt.Y("moves:Q", title="Moves by, standard errors")
    ends = pl.DataFrame({"moves": [-MOVES, MOVES]})
    tip = tips(row="", **{x: ",.4~r"}, parameter="", moves="+.2f")
    names = data["parameter"].unique().sort().to_list()
    colours = dict(zip(names, KINDS, strict=False))
    most = data.sort(pl.col("moves").abs(), descending=True).row(0, named=True)
    told = (
        f"The point that moves it most is row {most['row']}: without it {most['parameter']} "
        f"changes by {abs(most['moves']):.2g} standard errors."
    )
    colour: Any = alt.Color(**shown(colours, field="parameter"))
    if len(names) > len(KINDS):
        colour = alt.value(BLUE)
    layers = [
        alt.Chart(ends).mark_rule(color=GREY, strokeDash=[4, 3]).encode(y=y),
        alt.Chart(data)
        .mark_point(filled=True, size=45, opacity=0.75)
        .encode(x=along(x), y=y, color=colour, tooltip=tip),
    ]
    return Figure(
        name,
        "How far each point moves the law",
        "Each dot shows the law refitted without one point; its colour is the parameter that moves "
        f"most. Beyond the dashed lines, a single point moves it by more than {MOVES:g} standard "
        f"error. {told}",
        "Checking those points in the data, or a likelihood that resists outliers (huber).",
        finished(alt.layer(*layers), height=220),
        data,
        told,
    )


def _spread_text(fitted: Fit) -> str:
    data = residuals_of(fitted)
    typical = float(data["residual"].abs().median())  # type: ignore[arg-type]
    worst = data.sort(pl.col("residual").abs(), descending=True).row(0, named=True)
    if fitted.law.output == "loss":
        return (
            f"Half of the points lie within {typical:.2%} of the law; the farthest, row "
            f"{worst['row']}, is {np.expm1(worst['residual']):+.2%} off."
        )
    return (
        f"Half of the points lie within {typical:.2g} of the law; the farthest, row "
        f"{worst['row']}, is {worst['residual']:+.2g} off."
    )
