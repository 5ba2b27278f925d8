"""Figures of a compute-optimal model: loss over size at equal compute, and the frontier."""

from __future__ import annotations

import math

import polars as pl

from augury.forecast.questions import ComputeOptimum
from augury.report.page.draw import NAMES, along, finished, tips
from augury.report.page.palette import BLUE, GREY, ORANGE, steps
from augury.report.page.story import Figure
from augury.report.page.words import count, interval_text, number


def optimum_figures(answer: ComputeOptimum) -> tuple[Figure, ...]:
    """Draw loss over size at several budgets, and the best size over compute."""
    return _isoflop_figure(answer), _frontier_figure(answer)


def _sentence(answer: ComputeOptimum) -> str:
    said = interval_text(answer.params.value, *answer.params.interval)
    return (
        f"At {number(answer.flops.value)} FLOPs, {said.value} parameters "
        f"({answer.level:.0%} interval: {said.interval}) and {count(answer.tokens.value)} tokens "
        "are optimal"
    )


def _isoflop_figure(answer: ComputeOptimum) -> Figure:
    import altair as alt

    budgets = sorted(answer.curves["flops"].unique())
    asked = min(budgets, key=lambda c: abs(math.log(c / answer.flops.value)))
    named = {c: f"{c:.2g} FLOPs" for c in budgets}
    fixed = answer.method == "law"  # parabolas have no curve at the requested budget
    curves = answer.curves.with_columns(
        budget=pl.col("flops").replace_strict(named, return_dtype=pl.String)
    )
    lowest = curves.filter(pl.col("loss") == pl.col("loss").min().over("flops"))
    colours = steps(len(budgets))
    if fixed:
        colours[budgets.index(asked)] = ORANGE
    colour = alt.Color(
        "budget:N",
        scale=alt.Scale(domain=[named[c] for c in budgets], range=colours),
        legend=alt.Legend(title=None, columns=5),
        sort=None,
    )
    top = float(curves["loss"].max())  # type: ignore[arg-type]
    y_scale = alt.Scale(zero=False, nice=False, padding=8)
    y = alt.Y("loss:Q", scale=y_scale, title="Loss, nats per token")
    x = along("params")
    layers = []
    if fixed:
        low, high = answer.flat
        band = pl.DataFrame({"low": [low], "high": [high]})
        layers.append(
            alt.Chart(band)
            .mark_rect(color=ORANGE, opacity=0.12)
            .encode(x=alt.X("low:Q", scale=x["scale"], title="Parameters"), x2="high:Q")
        )
    runs = answer.runs.filter(pl.col("loss") <= top)
    layers += [
        alt.Chart(runs)
        .mark_point(color=GREY, size=14, opacity=0.45, filled=True)
        .encode(x=x, y=y, tooltip=tips(params=".3~s", tokens=".3~s", loss=".4~f")),
        alt.Chart(curves)
        .mark_line(strokeWidth=2)
        .encode(x=x, y=y, color=colour, tooltip=tips(budget="", params=".3~s", loss=".4~f")),
        alt.Chart(lowest)
        .mark_point(filled=True, size=60, opacity=1)
        .encode(x=x, y=y, color=colour),
    ]
    low_text, high_text = count(answer.flat[0]), count(answer.flat[1])
    return Figure(
        "isoflop",
        _sentence(answer),
        "Each curve is one budget spent on models of different sizes; its dot is the best size. "
        + (
            f"Shaded: sizes within 1 % of the lowest loss at the requested budget ({low_text} to "
            f"{high_text}). Small dots: the runs."
            if fixed
            else "Parabolas through runs of equal compute, which are the small dots."
        ),
        "Runs on both sides of the best size at a larger budget.",
        finished(alt.layer(*layers), height=380),
        curves.select("budget", "params", "tokens", "loss"),
        f"{_sentence(answer)}; between {low_text} and {high_text} parameters the loss is within 1 "
        "% of the lowest.",
    )


def _frontier_figure(answer: ComputeOptimum) -> Figure:
    import altair as alt

    data = answer.frontier
    at = pl.DataFrame({
        "flops": [answer.flops.value], "params": [answer.params.value],
        "low": [answer.params.interval[0]], "high": [answer.params.interval[1]],
    })  # fmt: skip
    x = alt.X(
        "flops:Q",
        scale=alt.Scale(type="log", nice=False, padding=12),
        axis=alt.Axis(title=NAMES["flops"], format="~e", grid=False, tickCount=6),
    )
    scale = alt.Scale(type="log", nice=False, padding=8)
    y = alt.Y("params:Q", scale=scale, axis=alt.Axis(title="Parameters", format="~s", tickCount=6))
    tip = tips(flops=".3~e", params=".3~s", low=".3~s", high=".3~s")
    layers = [
        alt.Chart(answer.runs)
        .mark_point(color=GREY, size=14, opacity=0.45, filled=True)
        .encode(x=x, y=y),
        alt.Chart(data)
        .mark_area(color=BLUE, opacity=0.2)
        .encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        alt.Chart(data).mark_line(color=BLUE, strokeWidth=2).encode(x=x, y=y, tooltip=tip),
        alt.Chart(at).mark_rule(color=ORANGE, strokeWidth=2).encode(x=x, y="low:Q", y2="high:Q"),
        alt.Chart(at).mark_point(color=ORANGE, filled=True, size=90, opacity=1)
        .encode(x=x, y=y, tooltip=tip),
    ]  # fmt: skip
    return Figure(
        "frontier",
        "The best size for every budget",
        f"Line and band: the compute-optimal size with its {answer.level:.0%} interval"
        + (" with serving paid for" if "served" in answer.asked else "")
        + ". Orange: the requested budget. Small dots: the runs.",
        "Runs at larger budgets, which narrow the band.",
        finished(alt.layer(*layers), height=340),
        data,
        f"{_sentence(answer)}; the band widens beyond the runs.",
    )
