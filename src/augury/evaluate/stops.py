"""Texts that end a sample: as a user writes them, and where they cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_ESCAPE = re.compile(r"\\(?:([ntr\\])|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4}))")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def unescape(text: str) -> str:
    r"""Text from a shell or a study file, its escapes read: \n, \t, \r, \\, \x0a and \u000a.

    A backslash before anything else stays what it is.
    """

    def read(found: re.Match[str]) -> str:
        letter, *codes = found.groups()
        if letter:
            return _LETTERS[letter]
        return chr(int(codes[0] or codes[1], 16))

    return _ESCAPE.sub(read, text)


def cut_text(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop in it."""
    ends = [at for s in stops if (at := text.find(s)) >= 0]
    return text[: min(ends)] if ends else text


def is_settled(text: str, stops: Sequence[str]) -> bool:
    """Whether the text holds a stop, and nothing written behind it can move the cut."""
    ends = [at for s in stops if (at := text.find(s)) >= 0]
    if not ends:
        return False
    # A longer stop that has begun before the first whole one may still become whole.
    return not any(s.startswith(text[at:]) for at in range(min(ends)) for s in stops)


def half_written(text: str, stops: Sequence[str]) -> bool:
    """Whether it ends in part of a character or of a stop, so that it says nothing yet."""
    return text.endswith("\ufffd") or any(
        text.endswith(s[:k]) for s in stops for k in range(1, len(s))
    )


def is_lost(text: str, stops: Sequence[str], possible: Callable[[str], bool]) -> bool:
    """Whether a text that is being written cannot pass any more, however it goes on."""
    if half_written(text, stops) or cut_text(text, stops) != text:
        return False
    return not possible(text)


def sendable_stops(stops: Sequence[str], most: int) -> list[str]:
    """The first stops that a server may cut at, so that the cut is where it would be here.

    A stop that lies inside another one is not sent: the server would end a text before it could
    tell which of the two comes.
    """
    alone = [s for s in stops if not any(s in other[1:] for other in stops if other != s)]
    return alone[:most]
