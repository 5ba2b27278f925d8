"""Whether texts that are being written have met a stop, or cannot pass any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from augury.evaluate.backend import SampleRequest
from augury.evaluate.hf_text import TokenText
from augury.evaluate.stops import is_lost, is_settled

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


class RowWatch:
    """Says which rows of a batch need not be written any further.

    Args:
        text: of the model.
        requests: of each row.
        number: of each row, which sample of its request it is.
        stops: a watch for each kind of stops.
        give_up: whether rows end where they cannot pass; not where a part of the text is taken out
            later, as reasoning is.
    """

    def __init__(
        self,
        text: TokenText,
        requests: Sequence[SampleRequest],
        number: Sequence[int],
        stops: Mapping[tuple[str, ...], StopWatch],
        *,
        give_up: bool,
    ) -> None:
        self._text, self._requests, self._stops = text, requests, stops
        self._judged = {
            row
            for row, (request, n) in enumerate(zip(requests, number, strict=True))
            if give_up and request.possible is not None and n >= request.whole
        }
        self.looks = bool(stops or self._judged)

    def ended(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> list[bool]:
        """Of each of these rows, with its tokens so far."""
        met = [self._stopped(row, own) for row, own in zip(rows, tokens, strict=True)]
        left = [k for k, row in enumerate(rows) if row in self._judged and not met[k]]
        texts = self._text.texts([tokens[k] for k in left])
        for k, text in zip(left, texts, strict=True):
            request = self._requests[rows[k]]
            met[k] = request.possible is not None and is_lost(text, request.stop, request.possible)
        return met

    def _stopped(self, row: int, tokens: Sequence[int]) -> bool:
        watch = self._stops.get(self._requests[row].stop)
        return watch is not None and watch.may_end(tokens[-1]) and watch.has_ended(tokens)
