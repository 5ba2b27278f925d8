"""What a command prints: JSON for machines, notes on standard error."""

from __future__ import annotations

import json
import math
import sys
from typing import Any


def note(text: str) -> None:
    """One line on standard error, so that standard output holds the result alone."""
    print(f"augury: note: {text}", file=sys.stderr)


def print_json(value: Any) -> None:
    """One line of JSON on standard output."""
    print(json.dumps(_plain(value), allow_nan=False))


def _plain(value: Any) -> Any:
    """JSON has no word for infinity and NaN: null."""
    if isinstance(value, dict):
        return {str(k): _plain(x) for k, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    if hasattr(value, "item"):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
