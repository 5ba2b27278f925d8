"""JSON on disk: written completely, without NaN and infinity; read with one clear error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augury.errors import DataError
from augury.runtime.atomic import atomic_file


def to_plain(value: Any) -> Any:
    """Convert a value to plain JSON: numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(k): to_plain(x) for k, x in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(x) for x in value]
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return to_plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, content: Any) -> None:
    """Write JSON, completely or not at all; what is not finite becomes null."""
    with atomic_file(path) as fresh:
        fresh.write_text(json.dumps(to_plain(content), indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON that a run wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot be read: {error}", source=str(path), expected="JSON, as a run wrote it"
        ) from error
