"""Clean text for drawing: replace characters that XML forbids.

A table may contain a name with a NUL, on which the chart renderer ends the process.
"""

from __future__ import annotations

import math
import re
from typing import Any

# What XML 1.0 does not allow: control characters, unpaired surrogates, and two non-characters.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
REPLACEMENT = "\ufffd"


def clean_text(text: str) -> str:
    """Replace what XML forbids in a text."""
    return FORBIDDEN.sub(REPLACEMENT, text)


def clean_spec(value: Any) -> Any:
    """Make a chart's specification valid JSON: text and keys cleaned, NaN as null."""
    if isinstance(value, dict):
        return {clean_text(str(k)): clean_spec(v) for k, v in value.items()}
    if isinstance(value, list):
        return [clean_spec(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN; a mark without a value is not drawn
    return clean_text(value) if isinstance(value, str) else value
