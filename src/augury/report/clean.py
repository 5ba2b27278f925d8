"""Text that can be drawn: what XML forbids is replaced before a chart or a page is made.

A name with a NUL in it is a name like any other in a table; the renderer of charts ends the
process over it.
"""

from __future__ import annotations

import math
import re
from typing import Any

# What XML 1.0 does not allow: control characters, unpaired surrogates, and the two non-characters.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
REPLACEMENT = "\ufffd"


def clean_text(text: str) -> str:
    """The text with what XML forbids replaced."""
    return FORBIDDEN.sub(REPLACEMENT, text)


def clean_spec(value: Any) -> Any:
    """A chart's specification as JSON allows it: text cleaned, keys included, NaN as null."""
    if isinstance(value, dict):
        return {clean_text(str(k)): clean_spec(v) for k, v in value.items()}
    if isinstance(value, list):
        return [clean_spec(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN; a mark without a value is not drawn
    return clean_text(value) if isinstance(value, str) else value
