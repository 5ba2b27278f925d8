"""What a command prints: JSON for machines, notes on standard error, as verbose as requested."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

QUIET, NORMAL, VERBOSE = -1, 0, 1
# Seconds between two progress lines in a log.
LINE_EVERY = 30.0
# How much this process prints on standard error, set by -q and -v.
_talk = NORMAL


def set_talk(level: int) -> None:
    """Print less (`QUIET`) or more (`VERBOSE`) than usual on standard error."""
    global _talk
    _talk = level


def is_quiet() -> bool:
    """Return whether notes and progress are left out."""
    return _talk <= QUIET


def is_verbose() -> bool:
    """Return whether details are requested."""
    return _talk >= VERBOSE


def note(text: str) -> None:
    """Print one line on standard error, so that standard output holds only the result."""
    if not is_quiet():
        print(f"augury: note: {text}", file=sys.stderr)


def detail(text: str) -> None:
    """Print one line on standard error, only with -v."""
    if is_verbose():
        print(f"augury: {text}", file=sys.stderr)


def print_answer(answer: Any, remedy: str) -> None:
    """Print a result, and what to do about it unless its own notes say so."""
    text = str(answer)
    print(text)
    if remedy and remedy not in text:
        print(f"  {remedy}")


def print_json(value: Any) -> None:
    """Print one line of JSON on standard output."""
    print(json.dumps(_plain(value), allow_nan=False))


def _plain(value: Any) -> Any:
    """Replace infinity and NaN, which JSON lacks, by null."""
    if isinstance(value, dict):
        return {str(k): _plain(x) for k, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    if hasattr(value, "item"):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
