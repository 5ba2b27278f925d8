"""docs/compare.md: the part that is made from the record.

    python -m benchmarks.scorecard.page

Writes the tables between the marks and keeps the text around them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from augury.runtime.atomic import atomic_file

RECORD = Path(__file__).parent / "record.json"
PAGE = Path(__file__).parents[2] / "docs" / "compare.md"
BEGIN = "<!-- made by `python -m benchmarks.scorecard.page` -->"
END = "<!-- end of what is made -->"
HALVES = ("development", "scored")
# In this order; defaults of the package are in bold, its other methods in italics.
KINDS = ("loss", "task score", "pass rate", "trend ahead", "one curve")
DEFAULTS = ("forecast_ahead", "average", "outlook", "forecast_curve")
OFFERED = ("chinchilla", "combine", "logistic over loss, known", "pooled", "power")
UNIT = {"loss": "log", "task score": "points", "pass rate": "log", "trend ahead": "points",
        "one curve": "log"}  # fmt: skip


def main() -> None:
    """Write the tables into the page."""
    text = page_of(PAGE.read_text(encoding="utf-8"), json.loads(RECORD.read_text()))
    with atomic_file(PAGE) as path:
        path.write_text(text, encoding="utf-8")


def page_of(page: str, record: Sequence[dict[str, Any]]) -> str:
    """The page with its generated part replaced."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{tables(record)}\n{END}{after}"


def tables(record: Sequence[dict[str, Any]]) -> str:
    """One table per kind: forecasters by row, both halves side by side."""
    parts = []
    for kind in KINDS:
        rows = [r for r in record if r["kind"] == kind and r["corpus"] == "all"]
        if not rows:
            continue
        names = sorted({r["forecaster"] for r in rows}, key=lambda n: -_skill(rows, n))
        corpora = {
            half: sorted({r["corpus"] for r in record
                          if r["kind"] == kind and r["half"] == half} - {"all"})
            for half in HALVES
        }  # fmt: skip
        parts.append(
            f"### {kind.capitalize()} (in {'logarithms' if UNIT[kind] == 'log' else 'points'})\n\n"
            f"Development: {', '.join(corpora['development'])}. Scored: "
            f"{', '.join(corpora['scored'])}.\n"
        )
        head = " | ".join(["n", "WIS", "held", "width", "skill [90 %]"] * 2)
        parts.append(f"| | {head} |\n|---{'|---' * 10}|")
        for name in names:
            cells = [_cells(rows, half, name, UNIT[kind]) for half in HALVES]
            mark = "**" if name in DEFAULTS else "*" if name in OFFERED else ""
            shown = f"{mark}{name}{mark}"
            parts.append(f"| {shown} | {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts)


def _skill(rows: Sequence[dict[str, Any]], name: str) -> float:
    """Skill on the development half, which sets the order."""
    for half in HALVES:
        for row in rows:
            if row["forecaster"] == name and row["half"] == half and row["skill"]:
                return float(row["skill"]["value"])
    return -9.0


def _cells(rows: Sequence[dict[str, Any]], half: str, name: str, unit: str) -> str:
    found = [r for r in rows if r["half"] == half and r["forecaster"] == name]
    if not found or found[0]["skill"] is None:
        return " | ".join(["–"] * 5)
    row = found[0]
    skill = row["skill"]
    low, high = skill["interval"]
    width = row["width90"]
    return " | ".join(
        [
            str(row["n"]),
            f"{row['wis']:.3g}",
            f"{row['coverage90']:.0%}".replace("%", " %"),
            f"{width:.2g}" if unit == "log" else f"{100 * width:.1f} pt",
            f"{skill['value']:.2f} [{low:.2f}, {high:.2f}]",
        ]
    )


if __name__ == "__main__":
    main()
