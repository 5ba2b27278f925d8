"""Colours of the page and its charts, each with its counterpart on a dark background.

Charts are drawn in the light colours only; the page's style sheet maps each value to its dark
counterpart. So one chart works on a light screen, on a dark screen and on paper.
"""

from __future__ import annotations

from typing import Any

# Okabe & Ito's colours: distinguishable with every kind of colour vision, and in grey.
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#00795c", "#6b6b6b"
PURPLE, GOLD = "#a6427f", "#8a6d00"
INK, SOFT, LINE, PAPER = "#1b1b1b", "#565656", "#e3e3e3", "#ffffff"
# Small to large, or little to much: darker is more, and the lightest is still visible on white.
STEPS = ("#8fbbe0", "#69a3d6", "#4489c8", "#2a6fb0", "#175593", "#0a3c73", "#062a55", "#021a38")

DARK = {
    BLUE: "#56b4e9",
    ORANGE: "#ff9a4d",
    GREEN: "#4fd1ac",
    GREY: "#a8a8a8",
    PURPLE: "#e48fc0",
    GOLD: "#f0c94a",
    INK: "#ececec",
    SOFT: "#b9b9b9",
    LINE: "#3a3d42",
    PAPER: "#16181c",
    # On black, brighter is more.
    **dict(
        zip(
            STEPS,
            (
                "#39506b",
                "#45648b",
                "#5078ab",
                "#5f8fc9",
                "#78a9e0",
                "#98c2f0",
                "#bcdafa",
                "#e2f0ff",
            ),
            strict=True,
        )
    ),
}
KINDS = (BLUE, ORANGE, GREEN, PURPLE, GOLD, GREY)


def steps(count: int) -> list[str]:
    """Return this many colours from little to much, at most eight different ones."""
    last = len(STEPS) - 1
    if count == 1:
        return [STEPS[4]]
    return [STEPS[round(i * last / (count - 1))] for i in range(count)]


def config() -> dict[str, Any]:
    """Return Vega-Lite's `config`: one style for all charts, in colours with a dark counterpart."""
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
    return {
        "background": None,
        "font": font,
        "view": {"stroke": None},
        "axis": {
            "labelColor": SOFT,
            "titleColor": INK,
            "tickColor": LINE,
            "domainColor": GREY,
            "gridColor": LINE,
            "labelFontSize": 12,
            "titleFontSize": 12.5,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelOverlap": "greedy",
            "labelSeparation": 8,
        },
        "axisY": {"labelLimit": 220},
        "legend": {
            "labelColor": INK,
            "titleColor": INK,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "orient": "top",
            "direction": "horizontal",
            "labelLimit": 300,
            "symbolStrokeWidth": 2,
        },
        "title": {
            "color": INK,
            "subtitleColor": SOFT,
            "anchor": "start",
            "fontSize": 15,
            "subtitleFontSize": 12,
            "offset": 10,
        },
        "header": {"labelColor": INK, "titleColor": INK},
        "text": {"color": INK},
    }


def dark_rules() -> str:
    """Return CSS that maps the light colours of a chart to their dark counterparts."""
    return "\n".join(
        f'.chart [{part}="{light}"] {{ {part}: {dark}; }}'
        for light, dark in DARK.items()
        for part in ("fill", "stroke")
    )
