"""Shrink a page that is too large: its largest figures get fewer points, with a remark."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from typing import Any

from augury.report.page.story import Figure

# Pages are mailed and opened on phones; 0.9 MB of it is the chart library.
MOST_BYTES = 2_000_000
# Datasets of a chart with fewer rows than this are not thinned.
FEWEST_ROWS = 50


@dataclass(frozen=True)
class Thinned:
    """What a page keeps of a figure.

    Attributes:
        spec: the chart, with its data.
        csv: the data as base64; empty if they do not fit on the page.
        kept: one row in this many of every large dataset is drawn.
    """

    spec: dict[str, Any]
    csv: str
    kept: int = 1

    @classmethod
    def whole(cls, figure: Figure, spec: dict[str, Any]) -> Thinned:
        """Keep the whole figure."""
        return cls(spec, base64.b64encode(figure.data.write_csv().encode()).decode())

    @property
    def size(self) -> int:
        """Return its approximate size in bytes."""
        return len(self.csv) + len(json.dumps(self.spec))

    @property
    def about(self) -> str:
        """Return a sentence on what was left out."""
        if self.kept == 1 and self.csv:
            return ""
        drawn = f"one point in {self.kept} is drawn" if self.kept > 1 else "all points are drawn"
        return f" To keep the page small, {drawn}; a CSV next to the page has all data."


def thin_largest(figures: dict[str, Thinned]) -> bool:
    """Shrink the largest figure: first drop its CSV, then half of its points.

    Returns:
        Whether anything could be dropped.
    """
    for name, own in sorted(figures.items(), key=lambda pair: -pair[1].size):
        if own.csv and len(own.csv) > len(json.dumps(own.spec)) // 4:
            figures[name] = replace(own, csv="")
            return True
        spec = _halved(own.spec)
        if spec is not None:
            figures[name] = replace(own, csv="", spec=spec, kept=2 * own.kept)
            return True
    return False


def _halved(spec: dict[str, Any]) -> dict[str, Any] | None:
    datasets = spec.get("datasets", {})
    if not any(len(rows) >= FEWEST_ROWS for rows in datasets.values()):
        return None
    return spec | {
        "datasets": {
            name: rows[::2] if len(rows) >= FEWEST_ROWS else rows for name, rows in datasets.items()
        }
    }
