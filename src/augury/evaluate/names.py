"""What a model is called: a hub id, or the last folder of a path."""

from __future__ import annotations

from pathlib import Path


def model_name(path_or_id: str | Path) -> str:
    """Return a hub id unchanged, and a path's last folder."""
    path = Path(path_or_id)
    return path.resolve().name if path.exists() else str(path_or_id)
