"""A story as one HTML document that makes no network requests.

The document enforces this itself: a content security policy allows only the scripts whose digests
it lists, and no fetching. Templates escape all text, wherever it comes from.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import polars as pl

from augury.notes import NOTES, Note
from augury.report.clean import clean_spec, clean_text
from augury.report.page.listing import HIGH, WIDE
from augury.report.page.palette import config, dark_rules
from augury.report.page.story import Figure, Outlook, Story, warnings_first
from augury.report.page.thin import MOST_BYTES, Thinned, thin_largest
from augury.report.page.words import number

if TYPE_CHECKING:
    from jinja2 import Environment

# Rows of a figure's data shown as a table: more would not be read. The CSV has all rows.
MOST_ROWS = 60
# Most rows of a section's table shown unfolded; longer tables are folded.
MOST_SHOWN = 24
# Pixels of a legend entry: its symbol and gap, and one letter in a common font.
KEY_ROOM, KEY_LETTER = 34, 7
# Extra width of a panel for its axis; names on the left need more.
AXES = 64
# Warnings shown in the answer; all of them are folded below it.
MOST_WARNINGS = 2
SEVERITY = {"serious": "Serious", "warning": "Warning", "info": "Note"}
# Notes whose own message is written for readers of the page; the others show the meaning of their
# code.
OWN_WORDS = ("status", "unfinished", "note", "how")


def html_of(story: Story) -> str:
    """Return the whole document, its largest figures thinned until it is at most 2 MB."""
    thinned = {figure.id: Thinned.whole(figure, chart_spec(figure)) for figure in story.figures}
    while len((text := _render(story, thinned)).encode()) > MOST_BYTES:
        if not thin_largest(thinned):
            return _render(story, thinned, pictures=False)
    return text


def chart_spec(figure: Figure) -> dict[str, Any]:
    """Return a figure's Vega-Lite specification, in the style of the page."""
    spec: dict[str, Any] = clean_spec(
        dict(figure.chart) if isinstance(figure.chart, dict) else figure.chart.to_dict()
    )
    spec.pop("$schema", None)
    spec["config"] = config() | {"aria": False}  # the figure's own text says it better
    _label_billions(spec)
    key = KEY_ROOM + KEY_LETTER * max(_names(spec), default=0)
    spec["usermeta"] = {"axes": AXES} | spec.get("usermeta", {}) | {"key": key}
    if "concat" not in spec:
        spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


def _names(part: Any) -> Iterator[int]:
    """Yield the lengths of names that legends show: domains of colours."""
    if isinstance(part, list):
        for one in part:
            yield from _names(one)
    elif isinstance(part, dict):
        for name, one in part.items():
            if name in ("color", "stroke", "fill") and isinstance(one, dict):
                yield from (len(str(x)) for x in one.get("scale", {}).get("domain", ()))
            elif name != "datasets":
                yield from _names(one)


def _label_billions(part: Any) -> None:
    """Label axes with numbers such as 7B, as the field writes them: SI calls it 7G."""
    if isinstance(part, list):
        for one in part:
            _label_billions(one)
    elif isinstance(part, dict):
        axis = part.get("axis")
        if isinstance(axis, dict) and str(axis.get("format", "")).endswith("s"):
            axis.setdefault("labelExpr", "replace(datum.label, 'G', 'B')")
        for name, one in part.items():
            if name != "datasets":
                _label_billions(one)


def csv_of(figure: Figure) -> str:
    """Return a figure's data as CSV text, with all digits."""
    return figure.data.write_csv()


def _render(story: Story, thinned: dict[str, Thinned], *, pictures: bool = True) -> str:
    charts, own = _bundle(), asset("page.js")
    digests = " ".join(f"'{digest_of(script)}'" for script in (charts, own))
    policy = (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:"
    )
    notes = warnings_first(story.notes)
    provenance = pl.DataFrame(
        {"what": list(story.provenance), "value": [str(v) for v in story.provenance.values()]},
        schema={"what": pl.String, "value": pl.String},
    )

    def shown(figure: Figure) -> dict[str, Any]:
        return _figure(figure, thinned[figure.id])

    return _templates().get_template("page.html").render(
        story=story,
        verdicts=story.verdicts,
        warnings=headlines(notes),
        story_notes=notes,
        heroes=[shown(figure) for figure in (story.hero, *story.beside) if figure],
        links=_links(story),
        most_rows=MOST_SHOWN,
        box=(WIDE, HIGH),
        forecasts=_forecasts(story.forecasts),
        sections=[
            {
                "heading": s.heading,
                "text": s.text,
                "notes": warnings_first(s.notes),
                "figures": [shown(figure) for figure in s.figures],
                "tables": [{"title": t.title, "table": _data_table(t.data)} for t in s.tables],
                "listing": s.listing
                if s.listing is None or pictures
                else s.listing.without_pictures(),
            }
            for s in story.sections
        ],
        provenance=_data_table(provenance) if provenance.height else None,
        policy=policy,
        style=_style(),
        specs=[(name, _json(t.spec)) for name, t in thinned.items()],
        charts=charts,
        own=own,
    )  # fmt: skip


def headlines(notes: tuple[Note, ...]) -> list[dict[str, str]]:
    """Return the answer's warnings: at most two, in words that need no statistics."""
    chosen: dict[str, dict[str, str]] = {}
    for note in notes:
        plain = NOTES.get(note.code)
        own = note.code in OWN_WORDS or plain is None
        said = note.message if own or plain is None else plain.plain or plain.meaning
        if note.severity != "info":
            chosen.setdefault(sentence(said), {"severity": note.severity, "text": sentence(said)})
    return list(chosen.values())[:MOST_WARNINGS]


def sentence(text: str) -> str:
    """Add a capital and a full stop, because messages are written to follow a colon."""
    end = "" if text.endswith((".", "!", "?")) else "."
    return text[:1].upper() + text[1:] + end


def _links(story: Story) -> list[tuple[str, str]]:
    links = [(f"section-{i}", s.heading) for i, s in enumerate(story.sections)]
    if story.forecasts:
        links.insert(0, ("forecasts", "Forecasts"))
    if story.provenance:
        links.append(("provenance", "Where this comes from"))
    return links


def _figure(figure: Figure, thinned: Thinned) -> dict[str, Any]:
    count = figure.data.height
    more = "" if count <= MOST_ROWS else f" (the first {MOST_ROWS}; the CSV has all)"
    return {
        "id": figure.id,
        "title": figure.title,
        "alt": figure.alt,
        "shows": figure.shows + thinned.about,
        "would_change": figure.would_change,
        "csv": thinned.csv,
        "count": count,
        "table": _data_table(figure.data.head(MOST_ROWS)),
        "more": more,
    }


def _forecasts(forecasts: tuple[Outlook, ...]) -> dict[str, Any] | None:
    if not forecasts:
        return None
    rows = [(_outlook_row(f), [_other_forecast(o) for o in f.others]) for f in forecasts]
    columns = [c for c in rows[0][0] if any(row[c] for row, _ in rows)]
    return {
        "columns": columns,
        "fared": _results_text(forecasts),
        "rows": [
            {"cells": [row[c].replace(" %", "\u00a0%") for c in columns], "others": others}
            for row, others in rows
        ],
    }


def _outlook_row(f: Outlook) -> dict[str, str]:
    said = f.said
    return {
        "forecast of": f.what,
        "value": said.value,
        "interval": f"{said.interval} ({f.level:.0%})",
        "run-to-run": "" if f.run_share is None else f"{f.run_share:.0%}",
        "beyond the data": "" if f.extrapolation != f.extrapolation
        else "inside" if f.extrapolation <= 0
        else f"{f.extrapolation:.2g} × their range",
        "made": f.made,
        "truth": ", ".join(f.say(t) for t in f.truth) if f.truth else "not known yet",
        "held": _held_text(f),
    }  # fmt: skip


def _other_forecast(f: Outlook) -> str:
    held = f"; {_held_text(f)}" if _held_text(f) else ""
    return f"{f.what}: {f.said.value} ({f.said.interval}){held}"


def _held_text(f: Outlook) -> str:
    """Return how many of the later runs lie inside; failed runs are reported as failed."""
    if f.held is None:
        return ""
    failed = len(f.truth) - f.held
    return f"{f.held} of {len(f.truth)} inside" + (f": {failed} failed" if failed else "")


def _results_text(forecasts: tuple[Outlook, ...]) -> str:
    """Explain a column, and summarise how all forecasts, also of other methods, turned out."""
    spread = ""
    if any(f.run_share is not None for f in forecasts):
        spread = (
            " Run-to-run: the share of the interval's squared width that is spread between runs, "
            "which no forecast can remove."
        )
    every = [own for f in forecasts for own in (f, *f.others) if own.held is not None]
    if not every:
        return spread
    held, count = sum(f.held or 0 for f in every), sum(len(f.truth) for f in every)
    return (
        f"{spread} Of {count} that were measured afterwards, {held} held and {count - held} failed."
    )


def _data_table(data: pl.DataFrame) -> dict[str, Any]:
    numeric = [data[c].dtype.is_numeric() for c in data.columns]
    return {
        "columns": [{"name": c, "numeric": n} for c, n in zip(data.columns, numeric, strict=True)],
        "rows": [
            [_cell(v, n) for v, n in zip(row, numeric, strict=True)] for row in data.iter_rows()
        ],
    }


def _cell(value: Any, numeric: bool) -> str:
    if value is None:
        return ""
    if numeric:
        return number(float(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _count_rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _breakable(name: str) -> Any:
    """Allow a name to break after each underscore; escaped like all text."""
    from markupsafe import Markup, escape

    return escape(clean_text(name)).replace("_", Markup("_<wbr>"))


def _tied(sentence: str) -> Any:
    """Format a sentence so that lines may break inside names, but not inside percentages."""
    return _breakable(sentence.replace(" %", "\u00a0%"))


def _json(spec: dict[str, Any]) -> str:
    # Only "</" and "<!--" could end the data of a script element early.
    return json.dumps(spec, separators=(",", ":")).replace("<", "\\u003c")


def _style() -> str:
    dark = "@media screen and (prefers-color-scheme: dark) {\n" + dark_rules() + "\n}\n"
    return asset("page.css") + dark


@lru_cache(maxsize=1)
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("augury.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda x: clean_text(x) if type(x) is str else x,
    )
    environment.filters |= {
        "breakable": _breakable, "rows": _count_rows, "sentence": sentence,
        "severity": SEVERITY.__getitem__, "tied": _tied,
    }  # fmt: skip
    return environment


def digest_of(script: str) -> str:
    """Return the name of a script in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def asset(name: str) -> str:
    """Read a style sheet or script of the page."""
    return (files("augury.report.page") / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _bundle() -> str:
    """Combine Vega, Vega-Lite and vega-embed in one script: 3 s, once per process."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # The two sequences that HTML interprets inside a script.
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")
