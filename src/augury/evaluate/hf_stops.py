"""Whether tokens that are being written have met a stop, without decoding every row each time."""

from __future__ import annotations

from collections.abc import Sequence

from augury.evaluate.hf_text import TokenText
from augury.evaluate.stops import is_settled

# A character takes up to four tokens of single bytes.
CHARACTER_TOKENS = 4


class StopWatch:
    """Looks for the stops of one kind of request in rows of one tokenizer.

    What it calls ended has ended for certain: the whole text is decoded before it says so. A row
    that it misses (tokens without text between those of a stop) is merely written further.

    Args:
        text: of the model.
        stops: at least one.
    """

    def __init__(self, text: TokenText, stops: tuple[str, ...]) -> None:
        self._text, self._stops = text, stops
        self._last = {s[-1] for s in stops}
        self._window = CHARACTER_TOKENS + max(map(len, stops))
        self._known: dict[int, bool] = {}

    def may_end(self, token: int) -> bool:
        """Whether a stop can end with this token."""
        if token not in self._known:
            piece = self._text.texts([[token]])[0]
            # Of a part of a character only the row's text can tell.
            self._known[token] = "\ufffd" in piece or not self._last.isdisjoint(piece)
        return self._known[token]

    def has_ended(self, tokens: Sequence[int]) -> bool:
        """Whether the text of these tokens holds a stop that nothing behind it can move."""
        tail = self._text.texts([tokens[-self._window :]])[0]
        if not any(s in tail for s in self._stops):
            return False
        return is_settled(self._text.texts([tokens])[0], self._stops)
