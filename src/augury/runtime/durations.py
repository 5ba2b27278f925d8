"""Durations as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Format seconds in a suitable unit: 40 s, 12 min, 3.4 h, 2.1 days."""
    for size, unit in ((86400.0, "days"), (3600.0, "h")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"
