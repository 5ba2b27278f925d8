"""The page in a real browser: it draws every chart, requests nothing, and fits a phone.

Needs chromium and axe-core, which `.ci/system-packages` installs, and playwright to drive them.
Screenshots are in `build/screenshots` after a run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from augury import fit
from augury.report.page import write_page
from augury.report.page.fit import fit_story
from augury.report.page.measurements import table_story
from tests.report.test_page import told
from tests.report.test_stories import losses
from tests.report.test_trends_page import table as trained

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BUILD = Path(__file__).parents[2] / "build"
AXE = BUILD / "axe.min.js"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: .ci/system-packages gets it"),
]
READY = "document.documentElement.dataset.ready === 'yes'"
# Marks that represent data, without axes, legends and grids.
MARKS = """[...document.querySelectorAll('.chart')].map((box) => [
  box.dataset.name, box.dataset.drawn, box.querySelector('svg')?.getBoundingClientRect().width || 0,
  [...box.querySelectorAll('.role-mark path, .role-mark line')]
    .filter((mark) => mark.getBoundingClientRect().width + mark.getBoundingClientRect().height > 1)
    .length])"""
# Names in legends that end outside their picture.
CUT = """[...document.querySelectorAll('.chart svg')].flatMap((svg) =>
  [...svg.querySelectorAll('.role-legend text')]
    .filter((name) => name.getBoundingClientRect().right > svg.getBoundingClientRect().right + 1)
    .map((name) => svg.closest('.chart').dataset.name + ': ' + name.textContent))"""
LOOKS = [(w, scheme) for w in (1280, 390) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(told(), tmp_path_factory.mktemp("page") / "page.html", pictures=False)


def opened(browser: Any, page: Path, **options: Any) -> Any:
    tab = browser.new_context(**options).new_page()
    tab.goto(page.as_uri())
    tab.wait_for_function(READY, timeout=30_000)
    return tab


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_chart_is_drawn_and_nothing_is_asked_for(
    browser: Any, page: Path, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    tab = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(page.as_uri())
    tab.wait_for_function(READY, timeout=30_000)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    drawn = tab.evaluate(MARKS)
    assert [name for name, *_ in drawn] == [figure.id for figure in told().figures]
    for name, state, wide, marks in drawn:
        assert state == "yes", name
        assert marks > 0, f"{name} is empty"
        assert 0 < wide <= width, name
    assert tab.evaluate(CUT) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 24, 28)")
    # The figure is on the first screen.
    top = tab.evaluate("document.querySelector('#answer .chart').getBoundingClientRect().top")
    assert top < 500
    tab.screenshot(path=BUILD / "screenshots" / f"page-{width}-{scheme}.png", full_page=True)
    context.close()


@pytest.mark.skipif(not AXE.exists(), reason=f"no build/{AXE.name}: .ci/system-packages gets it")
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_axe_finds_nothing_serious(browser: Any, page: Path, width: int, scheme: str) -> None:
    tab = opened(
        browser,
        page,
        viewport={"width": width, "height": 844},
        color_scheme=scheme,
        bypass_csp=True,
    )
    tab.add_script_tag(path=str(AXE))
    found = tab.evaluate("axe.run()")["violations"]
    serious = [v["id"] for v in found if v["impact"] in ("serious", "critical")]
    assert serious == []
    tab.context.close()


def test_an_empty_chart_is_noticed(browser: Any, page: Path, tmp_path: Path) -> None:
    """The test of drawn charts fails if a chart loses its data."""
    emptied = tmp_path / "empty.html"
    emptied.write_text(page.read_text().replace('"datasets":{', '"datasets":{},"none":{'))
    tab = opened(browser, emptied)
    assert all(marks == 0 for *_, marks in tab.evaluate(MARKS))
    tab.context.close()


def test_hovering_names_the_run_and_searching_finds_scores(browser: Any, page: Path) -> None:
    tab = opened(browser, page)
    tab.locator("#curve-chart .mark-symbol.role-mark path").first.hover(force=True)
    assert "run 0" in tab.locator("#vg-tooltip-element").inner_text()
    rows = tab.locator(".listing tbody tr:visible")
    assert rows.count() == 2
    tab.locator(".search input").fill("FALLS worse")
    assert [row.split("\t")[0] for row in rows.all_inner_texts()] == ["falls"]
    assert tab.locator(".found").inner_text() == "1 found"
    tab.locator(".search input").fill("")
    assert rows.count() == 2
    tab.context.close()


def test_on_paper_it_is_whole_and_light(browser: Any, page: Path) -> None:
    tab = opened(browser, page, color_scheme="dark")
    tab.emulate_media(media="print")
    paper = tab.evaluate("getComputedStyle(document.body).color")
    assert paper == "rgb(27, 27, 27)"
    assert tab.locator("nav").evaluate("(x) => getComputedStyle(x).display") == "none"
    assert tab.locator(".listing tbody tr:visible").count() == 2
    assert tab.pdf(path=BUILD / "screenshots" / "page.pdf").startswith(b"%PDF")
    tab.context.close()


def test_pages_of_checkpoints_and_of_fits_are_whole_on_a_phone(
    browser: Any, tmp_path: Path
) -> None:
    fitted = fit("chinchilla", losses())
    place = {"params": 1e10, "tokens": 2e11}
    for name, story in (
        ("trends", table_story(trained(), "checkpoints")),
        ("fit", fit_story(fitted, "losses", at=place)),
    ):
        written = write_page(story, tmp_path / f"{name}.html", pictures=False)
        for width, scheme in ((1280, "light"), (390, "dark")):
            view = {"width": width, "height": 844}
            tab = opened(browser, written, viewport=view, color_scheme=scheme)
            assert all(state == "yes" and n for _, state, _, n in tab.evaluate(MARKS)), name
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert tab.evaluate(CUT) == []
            kept = BUILD / "screenshots" / f"{name}-{width}-{scheme}.png"
            tab.screenshot(path=kept, full_page=True)
            tab.context.close()
