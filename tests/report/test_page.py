"""The page: one file that loads nothing, with text and data for every figure."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from augury.errors import UsageError
from augury.forecast.trends import trends
from augury.notes import Note
from augury.report.page import (
    Figure,
    Outlook,
    Section,
    Story,
    backtest_section,
    curve_section,
    emergence_section,
    pass_rate_section,
    pass_rate_verdict,
    trends_section,
    write_page,
)
from augury.report.page.html import html_of
from augury.report.page.outlook import emergence_figures, outlook_figure
from augury.report.page.palette import DARK
from augury.report.page.server import PageServer
from augury.report.page.thin import MOST_BYTES
from augury.report.page.words import rate_interval


def emergence() -> Section:
    rows = [
        {"model": f"m{i}", "loss": loss, "finetune_examples": a, "value": max(0.25, 2.6 - loss)}
        for a in (0, 100, 400)
        for i, loss in enumerate(np.linspace(2.8 - a / 2000, 1.9, 8))
    ]
    elbows = pl.DataFrame(
        {"finetune_examples": [5.0, 50.0, 400.0], "loss": [2.0, 2.1, 2.3],
         "low": [1.9, 2.0, 2.2], "high": [2.1, 2.2, 2.4]}
    )  # fmt: skip
    return emergence_section("sums", pl.DataFrame(rows), elbows=elbows, point=(2.0, 1.9, 2.1))


def backtested() -> Section:
    value = np.geomspace(1e-4, 0.2, 12)
    rows = pl.DataFrame(
        {"law": ["pass-rate"] * 6 + ["power"] * 6, "cut": ["params < 1e4"] * 12, "value": value,
         "observed": value * 1.3, "low": value / 1.5, "high": value * 1.2 + 1e-4,
         "held": [True, False] * 6, "crps": [0.1] * 12}
    )  # fmt: skip
    return backtest_section(rows, level=0.9, what="pass rate")


NOTED = (
    Note("far", "warning", "far beyond the data"),
    Note("condition", "warning", "the parameters are hardly told apart (condition number 1e9)"),
    Note("few-draws", "serious", "draws of 'full' are worth only 4"),
    Note("how", "info", "how the forecast was made"),
)


@lru_cache
def moved() -> Section:
    """Panels, laid out by the width of the page."""
    rng = np.random.default_rng(0)
    rows = [
        {"model": f"m{m}", "params": 10.0 ** (6 + m), "step": k, "task": task,
         "value": 0.5 + slope * k + 0.01 * rng.standard_normal()}
        for task, slope in (("rises", 0.03), ("falls", -0.03))
        for m in range(4) for k in range(1, 9)
    ]  # fmt: skip
    return trends_section(trends(pl.DataFrame(rows)))


def told() -> Story:
    """A story with a hostile title and all kinds of cheap figures."""
    x = np.geomspace(1e3, 1e5, 12)
    value = np.exp(-40 * x**-0.3)
    observed = pl.DataFrame(
        {"run": [f"run {i}" for i in range(8)], "params": x[:8], "value": value[:8]}
    )
    curve = pl.DataFrame({"params": x, "value": value, "low": value / 2, "high": np.sqrt(value)})
    truth = pl.DataFrame({"run": ["later"], "params": [x[10]], "value": [value[10]]})
    grows = curve_section(
        "How it grows", "params", observed, curve, level=0.9, what="pass rate", truth=truth,
        is_rate=True, notes=(Note("far", "warning", "far beyond the data"),),
    )  # fmt: skip
    outlooks = (
        Outlook("sums", 0.28, (0.14, 0.53), 0.9, 0.4, (0.3,), "today", is_rate=True,
                others=(Outlook("sums, by a line", 0.4, (0.2, 0.6), 0.9, 0.4, is_rate=True),)),
    )  # fmt: skip
    return Story(
        'Will it pass? <script>alert("no")</script>',
        ("At 100,000 parameters it passes 28 % of the time (90% interval: 14 % to 53 %).",),
        (grows, emergence(), backtested(), moved()),
        outlooks,
        notes=NOTED,
        provenance={"seed": "0"},
        hero=outlook_figure(outlooks),
        beside=emergence_figures(
            [
                Outlook(
                    "loss at which sums emerges", 2.0, (1.9, 2.1), 0.9, 0.2, (2.05,), is_loss=True
                )
            ]
        ),
    )


class Found(HTMLParser):
    """What a page would fetch, what it offers, and how it describes itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(told(), tmp_path_factory.mktemp("page") / "deep" / "story.html")


def test_the_page_fetches_nothing_and_is_small(page: Path) -> None:
    text = page.read_text()
    found = Found(text)
    for tag, attributes in found.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
    assert "@import" not in text
    policies = [m["content"] for m in found.of("meta") if m.get("http-equiv")]
    assert policies
    assert (policies[0] or "").startswith("default-src 'none'")
    assert len(text.encode()) < MOST_BYTES
    # A study's name is shown, never run: two scripts, and data.
    assert "<script>alert" not in text
    assert [s.get("type") for s in found.of("script")].count(None) == 2


def test_every_figure_has_words_and_data_that_parse_back(page: Path) -> None:
    found = Found(page.read_text())
    story = told()
    offered = {a["download"]: a["href"] for a in found.of("a") if a.get("download")}
    charts = {d["id"]: d for d in found.of("div") if d.get("role") == "img"}
    assert len(story.figures) == 8
    for figure in story.figures:
        href = offered[f"{figure.id}.csv"] or ""
        data = pl.read_csv(io.BytesIO(base64.b64decode(href.split("base64,")[1])))
        assert data.columns == figure.data.columns
        for name in data.columns:
            assert data[name].to_list() == pytest.approx(figure.data[name].to_list(), nan_ok=True)
        assert charts[f"{figure.id}-chart"]["aria-label"] == figure.alt
        assert figure.shows in page.read_text().replace("&#x27;", "'").replace("&quot;", '"')


def test_figures_lie_beside_it_as_pictures(page: Path) -> None:
    folder = page.parent / "story-figures"
    for figure in told().figures:
        assert (folder / f"{figure.id}.svg").read_bytes().startswith(b"<svg")
        assert (folder / f"{figure.id}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"{figure.id}.pdf").read_bytes().startswith(b"%PDF")


def test_the_order_is_answer_forecasts_sections_provenance(page: Path) -> None:
    found = Found(page.read_text())
    ids = [s["id"] for s in found.of("section")]
    assert ids == [
        "answer",
        "forecasts",
        "section-0",
        "section-1",
        "section-2",
        "section-3",
        "provenance",
    ]
    assert [tag for tag, _ in found.tags if tag in ("header", "main", "nav", "footer")] == [
        "header", "main", "nav", "footer",
    ]  # fmt: skip
    headings = [tag for tag, _ in found.tags if tag in ("h1", "h2", "h3")]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    assert "Far beyond the data." in page.read_text()


def test_colours_of_charts_all_have_a_dark_twin() -> None:
    text = html_of(told())
    for light, dark in DARK.items():
        assert f'.chart [fill="{light}"] {{ fill: {dark}; }}' in text


def test_a_page_that_would_be_too_large_is_thinned_and_says_so() -> None:
    wide = pl.DataFrame({"x": np.random.default_rng(0).normal(size=120_000)})
    chart = {"mark": "point", "data": {"name": "d"}, "datasets": {"d": wide.to_dicts()}}
    figure = Figure("big", "Big", "all of it.", "less", chart, wide, "many points")
    text = html_of(Story("Big", ("It is big.",), (Section("All", figures=(figure,)),)))
    assert 1_000_000 < len(text.encode()) <= MOST_BYTES
    assert "one point in 4 is drawn; a CSV next to the page has all data" in text
    assert 'download="big.csv"' not in text


def test_at_most_two_warnings_stand_in_the_answer_and_all_are_folded() -> None:
    text = html_of(told())
    answer = text[: text.index('id="forecasts"')].rpartition("</figure>")[2]
    shown, folded = answer.split("<details")
    assert shown.count('<li class="') == 2
    assert "The interval was computed from few cases" in shown  # the serious one, in plain words
    assert "The forecast lies far beyond the data." in shown
    assert "condition number" not in shown
    assert "importance" not in shown
    assert folded.count('<li class="') == len(NOTED)
    assert "Measure a larger model before you rely on it." in folded  # the remedy


def test_forecasts_that_failed_are_called_failed() -> None:
    missed = Outlook("far", 0.5, (0.4, 0.6), 0.9, 0.4, (0.9, 0.55), is_rate=True)
    other = Outlook("far, by a line", 0.3, (0.2, 0.4), 0.9, 0.4, (0.9, 0.55), is_rate=True)
    text = html_of(Story("S", ("A.",), forecasts=(replace(missed, others=(other,)),)))
    assert "1 of 2 inside: 1 failed" in text
    assert "0 of 2 inside: 2 failed" in text
    assert "Of 4 that were measured afterwards, 1 held and 3 failed." in text


def test_names_that_no_renderer_takes_are_cleaned(tmp_path: Path) -> None:
    """A NUL in a model's name ended the process: vl-convert panics on it."""
    name = "bad\x00name\ud800\x1b[31m"
    observed = pl.DataFrame({"run": ["a", "b"], "params": [1e3, 1e4], "value": [0.1, 0.2]})
    curve = observed.drop("run").with_columns(low=pl.col("value") / 2, high=pl.col("value") * 2)
    found = curve_section(name, "params", observed, curve, level=0.9, what=f"rate of {name}")
    page = write_page(Story(name, (f"Of {name}.",), (found,)), tmp_path / "p.html")
    assert "bad\ufffdname\ufffd\ufffd[31m" in page.read_text()
    assert (tmp_path / "p-figures" / "curve.png").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"id": "No Spaces"}, "figure id 'No Spaces'"), ({"alt": " "}, "has no text for 'alt'"),
     ({"data": pl.DataFrame({"x": []})}, "must be rows")],
)  # fmt: skip
def test_figures_without_words_or_data_are_refused(change: dict[str, object], message: str) -> None:
    good = {"id": "f", "title": "t", "shows": "s", "would_change": "w", "chart": {},
            "data": pl.DataFrame({"x": [1]}), "alt": "a"}  # fmt: skip
    with pytest.raises(UsageError, match=message):
        Figure(**(good | change))  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_pass_rate_section_from_counts() -> None:
    from augury.forecast.passrate import forecast_pass_rate, growth, series

    rng = np.random.default_rng(1)
    rows = [
        {"model": f"m{i}", "params": n, "task": "t", "instance": f"i{k}", "samples": 1e5,
         "passes": float(rng.binomial(100_000, np.exp(-60 * n**-0.3)))}
        for i, n in enumerate(np.geomspace(1e3, 3e4, 8)) for k in range(6)
    ]  # fmt: skip
    table = pl.DataFrame(rows)
    seen = series(table, ["params"])
    found = forecast_pass_rate(table, [{"params": n} for n in (1e3, 1e4, 6e4)])
    section = pass_rate_section("t", seen, growth(seen), found, target=found[-1])
    (figure,) = section.figures
    assert figure.data.filter(pl.col("shown") == "measured").height == 8
    low, high = found[-1].methods["average"].interval
    verdict = pass_rate_verdict("t", found[-1], seen)
    assert rate_interval(found[-1].methods["average"].value, low, high).interval in verdict.lead
    assert verdict.details[0].startswith(f"Of this interval, {found[-1].run_share:.0%} of the ")
    assert verdict.details[1] == "That is 2x larger than the largest model measured."


def test_the_page_is_served_on_loopback_and_follows_changes(tmp_path: Path) -> None:
    path = write_page(told(), tmp_path / "page.html", pictures=False)
    with PageServer(path) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def get(what: str, **headers: str) -> str:
            asked = urllib.request.Request(server.url + what, headers=headers)
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return str(answer.read().decode())

        assert server.url.startswith("http://127.0.0.1:")
        before = get("version")
        first = get("")
        assert before in first
        assert "connect-src &#x27;self&#x27;" in first
        path.write_text(first.replace("Will it pass?", "Changed"))
        assert get("version") != before
        assert "Changed" in get("")
        for what, headers in (("../secret", {}), ("", {"Host": "evil.example"})):
            with pytest.raises(urllib.error.HTTPError):
                get(what, **headers)
        server.shutdown()


def test_a_folder_without_anything_says_so_on_the_page(tmp_path: Path) -> None:
    with PageServer(tmp_path) as server:
        assert "is a folder without measurements" in server.page()
    with pytest.raises(UsageError, match="no such file or folder"):
        PageServer(tmp_path / "nothing")


def test_a_law_that_cannot_say_how_sure_it_is_is_drawn_without_a_band(tmp_path: Path) -> None:
    """JSON has no NaN: the page's scripts and the renderer fail on one."""
    observed = pl.DataFrame({"run": ["a", "b"], "params": [1e3, 1e4], "value": [1e-5, 2e-5]})
    nothing = pl.lit(float("nan"))
    curve = observed.drop("run").with_columns(low=nothing, high=nothing)
    truth = pl.DataFrame({"run": ["c"], "params": [1e4], "value": [1e-4]})
    found = curve_section(
        "No band", "params", observed, curve, level=0.9, what="rate", truth=truth, is_rate=True
    )
    outlook = Outlook("sums", 0.2, (float("nan"), float("nan")), 0.9, 0.4, is_rate=True)
    story = Story("No band", ("None.",), (found,), (outlook,), hero=outlook_figure((outlook,)))
    page = write_page(story, tmp_path / "p.html").read_text()
    specs = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page)
    assert len(specs) == 2
    for spec in specs:
        json.loads(spec, parse_constant=pytest.fail)  # called for NaN and infinities
    assert "It has no band" in page
    assert "lie in the band" not in page
