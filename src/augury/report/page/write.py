"""Write a page to disk: the HTML file, and its figures as SVG, PNG and PDF next to it."""

from __future__ import annotations

import copy
import json
import textwrap
from pathlib import Path
from typing import Any

from augury.errors import UsageError
from augury.report.clean import clean_spec
from augury.report.page.html import chart_spec, html_of
from augury.report.page.palette import PAPER
from augury.report.page.story import Figure, Story
from augury.runtime.atomic import atomic_file, atomic_folder

# Width of an exported chart in points: a text column of a paper or half a slide.
WIDTH = 640
# What names beside rows need beyond what is measured, in the widest of the fonts of browsers.
WIDER_NAMES = 28
# Pixels of the PNG per point.
SCALE = 2.0
KINDS = ("svg", "png", "pdf")
PAGES = (".html", ".htm")  # suffixes of a page


def write_page(story: Story, path: str | Path, *, pictures: bool = True) -> Path:
    """Write the page, completely or not at all, and its figures into `NAME-figures/`.

    Args:
        story: the content.
        path: path of the .html file; folders are created.
        pictures: whether to write the figures as files too.

    Returns:
        The path of the page.

    Raises:
        UsageError: the suffix is not .html.
    """
    path = Path(path)
    if path.suffix not in PAGES:
        raise UsageError(f"{path}: a page is an .html file")
    text = html_of(story)
    path.parent.mkdir(parents=True, exist_ok=True)
    if pictures and story.figures:
        with atomic_folder(figures_folder(path)) as folder:
            for figure in story.figures:
                for kind, data in rendered(figure).items():
                    (folder / f"{figure.id}.{kind}").write_bytes(data)
                (folder / f"{figure.id}.csv").write_text(figure.data.write_csv())
    with atomic_file(path) as fresh:
        fresh.write_text(text, encoding="utf-8")
    return path


def figures_folder(path: Path) -> Path:
    """Return the folder of a page's figures."""
    return path.with_name(f"{path.stem}-figures")


def rendered(figure: Figure) -> dict[str, bytes]:
    """Render a figure with its title, on white, as SVG, PNG and PDF, by vl-convert."""
    import vl_convert

    svg = svg_of(figure)
    return {
        "svg": svg.encode(),
        "png": vl_convert.svg_to_png(svg, scale=SCALE),
        "pdf": vl_convert.svg_to_pdf(svg),
    }


def svg_of(figure: Figure) -> str:
    """Render a figure with its title, on white, as SVG."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(json.dumps(standalone_spec(figure)))
    return svg


def _names_rows(spec: Any) -> bool:
    """Return whether some y axis has names instead of numbers."""
    if isinstance(spec, list):
        return any(map(_names_rows, spec))
    if not isinstance(spec, dict):
        return False
    y = spec.get("y")
    named = isinstance(y, dict) and y.get("type") == "nominal" and y.get("axis", {}) is not None
    return named or any(_names_rows(part) for key, part in spec.items() if key != "datasets")


def standalone_spec(figure: Figure) -> dict[str, Any]:
    """Return a figure as a separate chart: with its title, on white, of fixed width."""
    spec = copy.deepcopy(chart_spec(figure))
    spec["background"] = PAPER
    spec["config"].pop("background", None)
    more = WIDER_NAMES if _names_rows(spec) else 0
    spec["padding"] = {"left": 12 + more, "right": 12, "top": 12, "bottom": 12}
    if spec.get("width") == "container":
        spec["width"] = WIDTH
    spec["config"]["legend"]["columns"] = max(1, int(WIDTH // spec["usermeta"]["key"]))
    # In the widest of the fonts that browsers take, a line of 71 bold letters fills the width.
    spec["title"] = {
        "text": textwrap.wrap(figure.title, 70),
        "subtitle": textwrap.wrap(figure.shows, 86),
    }
    return dict(clean_spec(spec))
