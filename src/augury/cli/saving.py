"""`--out` of a command: checked before anything is computed, and filled afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def check_out(out: Path | None) -> None:
    """Check that a result can be written there.

    Raises:
        UsageError: it is a file, or a folder that holds something else.
    """
    if out is not None:
        from augury.fitting.store import check_folder

        check_folder(out)


def save_with_figures(result: Any, out: Path) -> None:
    """Write a result, and its figures into `figures/` next to it."""
    from augury.fitting.store import save
    from augury.report.page.result import save_figures

    save(result, out)
    save_figures(result, out / "figures")
