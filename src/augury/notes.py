"""Notes: what a reader of a result has to know before believing it, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["info", "warning", "serious"]


@dataclass(frozen=True)
class Note:
    """Something a reader of a result has to know, as data.

    Attributes:
        code: what kind, stable between versions ("influential-points", "condition" ...).
        severity: "info", "warning" (read it before you use the result) or "serious" (do not).
        message: one sentence.
        details: the figures behind it.
    """

    code: str
    severity: Severity
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
