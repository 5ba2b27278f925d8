"""Texts that end a sample: how a user writes them, and where they cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_ESCAPE = re.compile(r"\\(?:([ntr\\])|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4}))")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def unescape(text: str) -> str:
    r"""Interpret escapes in text from a shell or a study file: \n, \t, \r, \\, \x0a and \u000a.

    A backslash before anything else is kept.
    """

    def read(found: re.Match[str]) -> str:
        letter, *codes = found.groups()
        if letter:
            return _LETTERS[letter]
        return chr(int(codes[0] or codes[1], 16))

    return _ESCAPE.sub(read, text)


def cut_text(text: str, stops: Sequence[str]) -> str:
    """Return the text before its first stop."""
    ends = [at for s in stops if (at := text.find(s)) >= 0]
    return text[: min(ends)] if ends else text


def is_settled(text: str, stops: Sequence[str]) -> bool:
    """Return whether the text holds a stop whose cut no later text can move."""
    ends = [at for s in stops if (at := text.find(s)) >= 0]
    if not ends:
        return False
    # A longer stop that began before the first complete one may still be completed.
    return not any(s.startswith(text[at:]) for at in range(min(ends)) for s in stops)


def half_written(text: str, stops: Sequence[str]) -> bool:
    """Return whether it ends inside a character or a stop, so that it is undecided."""
    return text.endswith("\ufffd") or any(
        text.endswith(s[:k]) for s in stops for k in range(1, len(s))
    )


def is_lost(text: str, stops: Sequence[str], possible: Callable[[str], bool]) -> bool:
    """Return whether a text being written can no longer pass, however it continues."""
    if half_written(text, stops) or cut_text(text, stops) != text:
        return False
    return not possible(text)


def sendable_stops(stops: Sequence[str], most: int) -> list[str]:
    """Return the first stops that a server may cut at, with the same result as cutting here.

    A stop that is part of another one is not sent: the server would end a text before it could tell
    which of the two comes.
    """
    alone = [s for s in stops if not any(s in other[1:] for other in stops if other != s)]
    return alone[:most]
