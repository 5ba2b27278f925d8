"""The figure of ranked mixtures: each with its interval, best first."""

from __future__ import annotations

from augury.forecast.questions import MixtureRanking
from augury.report.page.draw import finished, tips
from augury.report.page.palette import BLUE
from augury.report.page.story import Figure

# Number of mixtures drawn: the best.
MOST = 40


def ranking_figures(answer: MixtureRanking) -> tuple[Figure, ...]:
    """Draw one row per mixture."""
    import altair as alt

    data = answer.ranking.head(MOST)
    base = alt.Chart(data)
    y = alt.Y("mixture:N", sort=data["mixture"].to_list(), title="Mixture")
    scale = alt.Scale(zero=False, nice=True)
    title = "Forecast, relative to the mean of the ranked mixtures"
    tip = tips(mixture="d", rank="d", value=".4f", low=".4f", high=".4f")
    layers = [
        base.mark_rule(color=BLUE, strokeWidth=2, opacity=0.5).encode(
            x=alt.X("low:Q", scale=scale, title=title), x2="high:Q", y=y, tooltip=tip
        ),
        base.mark_point(color=BLUE, filled=True, size=45, opacity=1).encode(
            x=alt.X("value:Q", scale=scale, title=title), y=y, tooltip=tip
        ),
    ]
    best = data["mixture"][0]
    what = answer.columns[0] if len(answer.columns) == 1 else f"the mean of {len(answer.columns)}"
    return (
        Figure(
            "ranking",
            f"Mixture {best} is forecast to {answer.goal} {what} best, of {answer.ranking.height}",
            f"Dots are forecasts, lines their {answer.level:.0%} intervals: the errors on runs "
            "that were held out.",
            "Some of the mixtures trained at a second, larger size.",
            finished(alt.layer(*layers), height=60 + 14 * data.height),
            data,
            f"{data.height} mixtures with the intervals of their forecasts.",
        ),
    )
