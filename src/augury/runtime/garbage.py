"""Garbage collection of processes that are ours: commands and workers."""

from __future__ import annotations

import gc


def collect_garbage_less() -> None:
    """Look for cycles of dead objects after 10,000 new objects, not after 700.

    Nearly all that imports and compiling leave is alive until the process ends, and to look it
    through takes a tenth of a fit's CPU time.
    """
    gc.set_threshold(10_000, 20, 20)
