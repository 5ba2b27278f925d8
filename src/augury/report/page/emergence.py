"""Section: scores before and after finetuning, and how the elbow moves with the amount."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from augury.data.scores import add_value
from augury.errors import DataError
from augury.notes import Note
from augury.report.page.draw import NAMES, along, finished, shown, tips
from augury.report.page.palette import BLUE, GREEN, INK, ORANGE, steps
from augury.report.page.story import Figure, Section
from augury.report.page.words import number

FEW_SHOT = "not finetuned"
LATER = "not finetuned, measured afterwards"


def emergence_section(
    task: str,
    table: pl.DataFrame,
    *,
    elbows: pl.DataFrame | None = None,
    curves: pl.DataFrame | None = None,
    point: tuple[float, float, float] | None = None,
    truth: pl.DataFrame | None = None,
    level: float = 0.9,
    text: Sequence[str] = (),
    notes: Sequence[Note] = (),
    name: str = "emergence",
) -> Section:
    """Show how finetuning shifts an ability, and where it emerges without finetuning.

    Args:
        task: name of the task.
        table: loss or flops, finetune_examples (0: not finetuned), value or passes and samples;
            model, seed and chance if known.
        elbows: finetune_examples, the scale (elbow), low, high.
        curves: the fitted curves: the scale, finetune_examples, value.
        point: value, low, high of the point of emergence on the scale.
        truth: run, the scale, value: few-shot scores of models measured after the forecast.
        level: level of the intervals.
        text, notes: contents of the section.
        name: name of the first figure; the second is NAME-elbow.

    Raises:
        DataError: a column is missing.
    """
    scale = next((s for s in ("loss", "flops") if s in table.columns), None)
    if scale is None or "finetune_examples" not in table.columns:
        raise DataError(
            "the column is missing",
            column="loss" if scale is None else "finetune_examples",
            expected="loss or flops, and finetune_examples",
        )
    figures = [_curves(task, table, scale, curves, point, truth, level, name)]
    if elbows is not None and elbows.height:
        figures.append(_elbow(task, elbows, scale, level, f"{name}-elbow"))
    return Section(f"Where {task} emerges", tuple(text), tuple(figures), notes=tuple(notes))


def _curves(
    task: str,
    table: pl.DataFrame,
    scale: str,
    curves: pl.DataFrame | None,
    point: tuple[float, float, float] | None,
    truth: pl.DataFrame | None,
    level: float,
    name: str,
) -> Figure:
    import altair as alt

    table = add_value(table)
    run = [c for c in ("model", "step", "seed", "subset") if c in table.columns]
    points = table.filter(pl.col("value").is_not_null()).select(
        scale,
        "finetune_examples",
        "value",
        run=pl.concat_str([pl.col(c).cast(pl.String).fill_null("-") for c in run], separator=" · ")
        if run
        else pl.lit("run"),
    )
    amounts = points["finetune_examples"].unique().sort().to_list()
    tuned = [a for a in amounts if a]
    colours = {_said(a): c for a, c in zip(tuned, steps(max(len(tuned), 1)), strict=False)}
    colours = {FEW_SHOT: ORANGE} | colours
    data = points.with_columns(amount=_amount())
    if truth is not None and truth.height:
        colours[LATER] = GREEN
        later = truth.select("run", scale, "value", finetune_examples=0, amount=pl.lit(LATER))
        data = pl.concat([data, later], how="diagonal_relaxed")
    colour = alt.Color(**shown(colours, field="amount"))
    y = alt.Y("value:Q", title="Score", scale=alt.Scale(zero=False), axis=alt.Axis(format=".2~f"))
    layers: list[Any] = []
    if point is not None:
        value, low, high = point
        band = alt.Chart(pl.DataFrame({"low": [low], "high": [high], scale: [value]}))
        layers += [
            band.mark_rect(color=ORANGE, opacity=0.15, clip=True).encode(x="low:Q", x2="high:Q"),
            band.mark_rule(color=ORANGE, strokeDash=[5, 4], strokeWidth=2, clip=True).encode(
                x=along(scale)
            ),
        ]
    if curves is not None:
        layers.append(
            alt.Chart(curves.with_columns(amount=_amount()))
            .mark_line(strokeWidth=1.5)
            .encode(x=along(scale), y=y, color=colour)
        )
    else:
        means = data.group_by(scale, "amount").agg(pl.col("value").mean()).sort("amount", scale)
        layers.append(
            alt.Chart(means)
            .mark_line(strokeWidth=1.3, opacity=0.7)
            .encode(x=along(scale), y=y, color=colour)
        )
    layers.append(
        alt.Chart(data)
        .mark_point(filled=True, size=45, opacity=0.85)
        .encode(
            x=along(scale),
            y=y,
            color=colour,
            tooltip=tips(run="", amount="", **{scale: ".4~g", "value": ".3~g"}),
        )
    )
    told = (
        ""
        if point is None
        else (
            f" Dashed line and band: without finetuning, it emerges at {number(point[0])}, "
            f"{level:.0%} interval {number(min(point[1:]))} to {number(max(point[1:]))}."
        )
    )
    return Figure(
        name,
        f"Scores on {task} before and after finetuning",
        "Each dot is one model; more finetuning examples make it darker (brighter on a dark "
        "page). Orange dots were not finetuned; progress goes to the right. Lines join "
        f"{'fitted scores' if curves is not None else 'mean scores'} of one amount.{told}",
        "Smaller amounts of finetuning, closer to none, and better checkpoints.",
        finished(alt.layer(*layers)),
        data,
        f"Scores on {task} of {data.height} evaluations at {len(amounts)} finetuning amounts over "
        f"{NAMES[scale].lower()}.{told}",
    )


def _elbow(task: str, elbows: pl.DataFrame, scale: str, level: float, name: str) -> Figure:
    import altair as alt

    falls = scale == "loss"
    y_scale = alt.Scale(reverse=True, zero=False) if falls else alt.Scale(type="log")
    x = along("finetune_examples")
    base = alt.Chart(elbows)

    def y(field: str) -> Any:
        return alt.Y(f"{field}:Q", title=f"Elbow: {NAMES[scale].lower()}", scale=y_scale)

    layers = [
        base.mark_area(color=BLUE, opacity=0.2).encode(x=x, y=y("low"), y2="high:Q"),
        base.mark_line(color=BLUE, strokeWidth=2.2).encode(
            x=x,
            y=y(scale),
            tooltip=tips(
                finetune_examples=",.0f", **{scale: ".4~g", "low": ".4~g", "high": ".4~g"}
            ),
        ),
        base.mark_point(color=INK, size=12, opacity=0.001).encode(
            x=x,
            y=y(scale),
            tooltip=tips(
                finetune_examples=",.0f", **{scale: ".4~g", "low": ".4~g", "high": ".4~g"}
            ),
        ),
    ]
    ends = elbows.sort("finetune_examples")[scale]
    return Figure(
        name,
        "The elbow moves with the amount of finetuning",
        f"Where scores leave chance, with the {level:.0%} interval, for each amount of "
        "finetuning; the left end is without finetuning. Better models are higher.",
        "Amounts between the measured ones, and checkpoints close to the elbows.",
        finished(alt.layer(*layers), height=240),
        elbows,
        f"The elbow of {task} moves from {number(float(ends[0]))} without finetuning to "
        f"{number(float(ends[-1]))} at the largest amount.",
    )


def _said(amount: float) -> str:
    return f"{amount:,.0f} examples"


def _amount() -> pl.Expr:
    return (
        pl.when(pl.col("finetune_examples") == 0)
        .then(pl.lit(FEW_SHOT))
        .otherwise(pl.col("finetune_examples").map_elements(_said, return_dtype=pl.String))
    )
