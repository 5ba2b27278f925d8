"""Figures of a mixture: the best shares, those of the best run, and the domains' effects."""

from __future__ import annotations

import polars as pl

from augury.forecast.questions import MixtureAnswer
from augury.report.page.draw import finished, tips
from augury.report.page.palette import BLUE, GREY, ORANGE, PAPER
from augury.report.page.story import Figure
from augury.report.page.words import number


def mixture_figures(answer: MixtureAnswer) -> tuple[Figure, ...]:
    """Draw the shares, and the effect of every domain on every column."""
    return _shares_figure(answer), _effects_figure(answer)


def _shares_figure(answer: MixtureAnswer) -> Figure:
    import altair as alt

    run = answer.best_run["shares"]
    caps = dict(answer.limits.select("domain", "cap").iter_rows())
    data = pl.DataFrame([
        {"domain": n, "share": e.value, "low": e.interval[0], "high": e.interval[1],
         "best_run": run[n], "cap": caps[n]}
        for n, e in answer.shares.items()
    ]).sort("share", descending=True)  # fmt: skip
    base = alt.Chart(data)
    y = alt.Y("domain:N", sort=data["domain"].to_list(), title=None)
    scale, axis = alt.Scale(domainMin=0, nice=True), alt.Axis(format=".0%")

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=scale, axis=axis, title="Share of the mixture")

    tip = tips(domain="", share=".1%", low=".1%", high=".1%", best_run=".1%", cap=".1%")
    layers = [
        base.mark_bar(color=BLUE, opacity=0.55, height=12).encode(x=x("share"), y=y, tooltip=tip),
        base.mark_rule(color=BLUE, strokeWidth=2).encode(x=x("low"), x2="high:Q", y=y),
        base.mark_point(color=GREY, size=45, strokeWidth=2).encode(x=x("best_run"), y=y),
    ]
    mean = answer.predicted.get("mean", answer.predicted[answer.columns[0]])
    what = answer.columns[0] if len(answer.columns) == 1 else f"the mean of {len(answer.columns)}"
    return Figure(
        "mixture",
        f"The best mixture to {answer.goal} {what}: {number(mean.value)} forecast, "
        f"{number(answer.best_run['value'])} in the best run",
        f"Bars: the best shares with their {answer.level:.0%} intervals over draws of the law. "
        "Rings: the mixture of the best run.",
        "Runs with mixtures near the best one.",
        finished(alt.layer(*layers), height=60 + 20 * data.height),
        data,
        f"Shares of {data.height} domains in the best mixture.",
    )


def _effects_figure(answer: MixtureAnswer) -> Figure:
    import altair as alt

    data = answer.effects
    largest = float(data["effect"].abs().max() or 1.0)  # type: ignore[arg-type]
    good, bad = (BLUE, ORANGE) if answer.goal == "minimise" else (ORANGE, BLUE)
    chart = (
        alt.Chart(data)
        .mark_rect()
        .encode(
            x=alt.X(
                "domain:N",
                title="One more percentage point of this domain",
                axis=alt.Axis(labelAngle=-45, labelOverlap=False),
            ),
            y=alt.Y("column:N", title=None),
            color=alt.Color(
                "effect:Q",
                scale=alt.Scale(
                    domain=[-largest, 0, largest], range=[good, PAPER, bad], interpolate="rgb"
                ),
                legend=alt.Legend(title="Change", format=".2~g"),
            ),
            tooltip=tips(column="", domain="", effect=".3~g", low=".3~g", high=".3~g"),
        )
    )
    return Figure(
        "effects",
        "Which domain helps which",
        "Change of every column for one more percentage point of a domain's share, with the "
        "others scaled down equally, from the mean mixture of the table. Blue helps, orange "
        "harms.",
        "Runs with more of a domain.",
        finished(chart, height=60 + 24 * data["column"].n_unique()),
        data,
        "Effects of domains on columns.",
    )
