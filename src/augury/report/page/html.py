"""A story as one HTML document that asks nothing of any network.

The document carries its own rules for that: a content security policy lets it run the scripts whose
digests it names, and fetch nothing. Text is escaped wherever it comes from.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import Any

import polars as pl

from augury.errors import UsageError
from augury.notes import Note
from augury.report.page.palette import config, dark_rules
from augury.report.page.story import (
    Figure,
    Outlook,
    Section,
    Story,
    Table,
    number,
    warnings_first,
)

# A page is mailed, and opened on a phone; 0.9 MB of it draw the charts.
MOST_BYTES = 2_000_000
# Rows of a figure's data shown as a table; the CSV has all of them. More is nothing one reads.
MOST_ROWS = 60
SEVERITY = {"serious": "Serious", "warning": "Warning", "info": "Note"}


def html_of(story: Story) -> str:
    """The whole document.

    Raises:
        UsageError: it would be larger than `MOST_BYTES`; the message names the largest figure.
    """
    charts, own = _bundle(), asset("page.js")
    digests = " ".join(f"'{digest_of(script)}'" for script in (charts, own))
    policy = (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:"
    )
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f'<meta name="description" content="{escape(story.answer[0])}">',
        f"<title>{escape(story.title)}</title>",
        '<link rel="icon" href="data:,">',
        f"<style>\n{_style()}</style>",
        "</head>",
        "<body>",
        '<a class="skip" href="#answer">Skip to the answer</a>',
        f"<header><p class=kind>Augury forecast</p><h1>{escape(story.title)}</h1></header>",
        "<main>",
        _answer(story),
        _contents(story),
        *([_forecasts(story.forecasts)] if story.forecasts else []),
        *(_section(section, i) for i, section in enumerate(story.sections)),
        *([_provenance(story)] if story.provenance else []),
        "</main>",
        "<footer><p>Made by Augury. This page is one file: it loads nothing and sends nothing. "
        "Figures stand in its folder as SVG, PNG and PDF.</p></footer>",
        *(_spec(figure) for figure in story.figures),
        f"<script>{charts}</script>",
        f"<script>{own}</script>",
        "</body>",
        "</html>",
    ]
    text = "\n".join(parts) + "\n"
    size = len(text.encode())
    if size > MOST_BYTES:
        largest = max(story.figures, key=lambda f: f.data.estimated_size(), default=None)
        rows = (
            "" if largest is None else f"; figure '{largest.id}' has {largest.data.height:,} rows"
        )
        raise UsageError(
            f"the page would be {size / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f} MB{rows}: "
            "draw fewer points"
        )
    return text


def chart_spec(figure: Figure) -> dict[str, Any]:
    """A figure's Vega-Lite specification, in the look of the page."""
    spec: dict[str, Any] = (
        dict(figure.chart) if isinstance(figure.chart, dict) else figure.chart.to_dict()
    )
    spec.pop("$schema", None)
    spec["config"] = config() | {"aria": False}  # the figure's own words say it better
    if "concat" not in spec:
        spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


def csv_of(figure: Figure) -> str:
    """A figure's data as CSV text, every digit kept."""
    return figure.data.write_csv()


def _answer(story: Story) -> str:
    first, *rest = story.answer
    return "\n".join(
        [
            '<section id="answer" aria-labelledby="answer-heading">',
            '<h2 id="answer-heading">The answer</h2>',
            f'<p class="lead">{escape(first)}</p>',
            *(f"<p>{escape(sentence)}</p>" for sentence in rest),
            _notes(story.notes),
            "</section>",
        ]
    )


def _contents(story: Story) -> str:
    links = [(f"section-{i}", s.heading) for i, s in enumerate(story.sections)]
    if story.forecasts:
        links.insert(0, ("forecasts", "Forecasts"))
    if story.provenance:
        links.append(("provenance", "Where this comes from"))
    items = "".join(f'<li><a href="#{at}">{escape(what)}</a></li>' for at, what in links)
    return f'<nav aria-label="On this page"><ul>{items}</ul></nav>' if items else ""


def _section(section: Section, index: int) -> str:
    at = f"section-{index}"
    return "\n".join(
        [
            f'<section id="{at}" aria-labelledby="{at}-heading">',
            f'<h2 id="{at}-heading">{escape(section.heading)}</h2>',
            *(f"<p>{escape(text)}</p>" for text in section.text),
            _notes(section.notes),
            *(_figure(figure) for figure in section.figures),
            *(_table(table) for table in section.tables),
            "</section>",
        ]
    )


def _figure(figure: Figure) -> str:
    at = figure.id
    csv = base64.b64encode(csv_of(figure).encode()).decode()
    count = figure.data.height
    shown = figure.data.head(MOST_ROWS)
    more = "" if count <= MOST_ROWS else f" (the first {MOST_ROWS}; the CSV has all)"
    return "\n".join(
        [
            f'<figure id="{at}" aria-labelledby="{at}-title">',
            f'<h3 id="{at}-title">{escape(figure.title)}</h3>',
            f'<div class="chart" id="{at}-chart" role="img" aria-label="{escape(figure.alt)}" '
            f'data-spec="{at}-spec" data-name="{at}"></div>',
            "<noscript><p>Charts are drawn by a script in this page, which is not allowed to run. "
            "Words and data are all here.</p></noscript>",
            "<figcaption>",
            f"<p><b>What it shows.</b> {escape(figure.shows)}</p>",
            f"<p><b>What would change it.</b> {escape(figure.would_change)}</p>",
            f'<p class="links"><a download="{at}.csv" '
            f'href="data:text/csv;charset=utf-8;base64,{csv}">'
            f"Data as CSV<span class=unseen> of “{escape(figure.title)}”</span></a> "
            f'<a class="picture" hidden href="#{at}" download="{at}.svg">'
            f"Picture as SVG<span class=unseen> of “{escape(figure.title)}”</span></a></p>",
            "</figcaption>",
            f"<details><summary>Data as a table: {_rows(count)}</summary>",
            _grid(shown, f"Data of “{figure.title}”{more}"),
            "</details>",
            "</figure>",
        ]
    )


def _table(table: Table) -> str:
    return _grid(table.data, table.title, seen=True)


def _forecasts(forecasts: Iterable[Outlook]) -> str:
    rows = []
    for f in forecasts:
        low, high = f.interval
        rows.append(
            {
                "forecast of": f.what,
                "value": f.say(f.value),
                "interval": f"{f.say(low)} to {f.say(high)} ({f.level:.0%})",
                "beyond the data": "" if f.extrapolation != f.extrapolation
                else "inside" if f.extrapolation <= 0
                else f"{f.extrapolation:.2g} × their range",
                "made": f.made,
                "truth": ", ".join(f.say(t) for t in f.truth) if f.truth else "not known yet",
                "held": "" if f.held is None else f"{f.held} of {len(f.truth)} inside",
            }
        )  # fmt: skip
    columns = [c for c in rows[0] if any(row[c] for row in rows)]
    data = pl.DataFrame(rows).select(columns)
    return "\n".join(
        [
            '<section id="forecasts" aria-labelledby="forecasts-heading">',
            '<h2 id="forecasts-heading">Forecasts</h2>',
            _stack(data, "Every forecast, and how it fared"),
            "</section>",
        ]
    )


def _provenance(story: Story) -> str:
    data = pl.DataFrame(
        {"what": list(story.provenance), "value": [str(v) for v in story.provenance.values()]}
    )
    return "\n".join(
        [
            '<section id="provenance" aria-labelledby="provenance-heading">',
            '<h2 id="provenance-heading">Where this comes from</h2>',
            _grid(data, "What it takes to get this page again", seen=True),
            "</section>",
        ]
    )


def _notes(notes: tuple[Note, ...]) -> str:
    if not notes:
        return ""
    items = "".join(
        f'<li class="{n.severity}"><b>{SEVERITY[n.severity]}.</b> '
        f"{escape(_sentence(n.message))}</li>"
        for n in warnings_first(notes)
    )
    return f'<ul class="notes">{items}</ul>'


def _sentence(text: str) -> str:
    """With a capital and a full stop: messages are written to follow a colon."""
    end = "" if text.endswith((".", "!", "?")) else "."
    return text[:1].upper() + text[1:] + end


def _grid(data: pl.DataFrame, caption: str, *, seen: bool = False) -> str:
    """A table that scrolls by itself where it is wider than the page, also by keyboard."""
    numeric = [data[c].dtype.is_numeric() for c in data.columns]
    head = "".join(
        f'<th scope="col"{" class=number" if n else ""}>{escape(c.replace("_", " "))}</th>'
        for c, n in zip(data.columns, numeric, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(_cell(v, n) for v, n in zip(row, numeric, strict=True)) + "</tr>"
        for row in data.iter_rows()
    )
    hidden = "" if seen else " class=unseen"
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<caption{hidden}>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _stack(data: pl.DataFrame, caption: str) -> str:
    """A table of words that becomes a list of its rows where the page is narrow.

    Roles are said aloud: a browser forgets that a table is one when its rows are laid out anew.
    """
    head = "".join(f'<th role="columnheader" scope="col">{escape(c)}</th>' for c in data.columns)
    body = "".join(
        '<tr role="row">'
        + "".join(
            f'<td role="cell" data-of="{escape(c)}">{escape(v)}</td>'
            if v
            else '<td role="cell"></td>'
            for c, v in row.items()
        )
        + "</tr>"
        for row in data.to_dicts()
    ).replace(" %", "&nbsp;%")
    return (
        f'<table class="stack" role="table"><caption>{escape(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )


def _cell(value: Any, numeric: bool) -> str:
    if value is None:
        return "<td></td>"
    if numeric:
        return f"<td class=number>{number(float(value))}</td>"
    if isinstance(value, bool):
        return f"<td>{'yes' if value else 'no'}</td>"
    return f"<td>{escape(str(value))}</td>"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _spec(figure: Figure) -> str:
    # In a script element only "</" and "<!--" could end the data early.
    text = json.dumps(chart_spec(figure), separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{figure.id}-spec">{text}</script>'


def _style() -> str:
    dark = "@media screen and (prefers-color-scheme: dark) {\n" + dark_rules() + "\n}\n"
    return asset("page.css") + dark


def digest_of(script: str) -> str:
    """What a content security policy calls a script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def asset(name: str) -> str:
    """A style sheet or script of the page."""
    return (files("augury.report.page") / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _bundle() -> str:
    """Vega, Vega-Lite and vega-embed in one script: 3 s to put together, once a process."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # The two sequences that mean something to HTML inside a script.
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")
