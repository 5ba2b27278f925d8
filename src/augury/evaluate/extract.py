"""The part of an answer that is judged: a fenced block, the last line, or a pattern's match.

Chat models wrap code in Markdown, write a few words before and after it, and write whole functions
where a base model continues with the body.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from augury.errors import UsageError

FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)


def extractor(rule: str) -> Callable[[str], str]:
    """Return a function from an answer to the part that is judged.

    Args:
        rule: "fence" (the first non-empty fenced block, else the whole), "last-line" (the last
            non-blank line) or a regular expression: its first group, or all of it, at its last
            match; nothing if it does not match.

    Raises:
        UsageError: it is none of these.
    """
    if rule == "fence":
        return lambda text: fenced(text) if "```" in text else text
    if rule == "last-line":
        return last_line
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise UsageError(
            f"extract '{rule}': expected fence, last-line or a regular expression: {error}"
        ) from error

    def search(text: str) -> str:
        found = list(pattern.finditer(text))
        return "" if not found else found[-1].group(1 if pattern.groups else 0) or ""

    return search


def fenced(text: str) -> str:
    """Return the first non-empty fenced block; an unclosed one extends to the end."""
    return next((b for b in FENCE.findall(text) if b.strip()), "")


def last_line(text: str) -> str:
    """Return the last non-blank line."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
