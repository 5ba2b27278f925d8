"""Whether texts being written have met a stop, or can no longer pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from augury.evaluate.backend import SampleRequest
from augury.evaluate.hf_text import TokenText
from augury.evaluate.stops import is_lost, is_settled

# A character takes up to four tokens of single bytes.
CHARACTER_TOKENS = 4


class StopWatch:
    """Looks for the stops of one kind of request in rows of one tokenizer.

    A row that it reports as ended has certainly ended: the whole text is decoded first. A row that
    it misses (tokens without text between those of a stop) is merely continued.

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
        """Return whether a stop can end with this token."""
        if token not in self._known:
            piece = self._text.texts([[token]])[0]
            # For a part of a character only the row's text can tell.
            self._known[token] = "\ufffd" in piece or not self._last.isdisjoint(piece)
        return self._known[token]

    def has_ended(self, tokens: Sequence[int]) -> bool:
        """Return whether the text of these tokens holds a stop that later text cannot move."""
        tail = self._text.texts([tokens[-self._window :]])[0]
        if not any(s in tail for s in self._stops):
            return False
        return is_settled(self._text.texts([tokens])[0], self._stops)


class RowWatch:
    """Tells which rows of a batch need not be continued.

    Args:
        text: of the model.
        requests: of each row.
        number: (rows,) index of each row's sample in its request.
        stops: one watch per kind of stops.
        give_up: whether rows end if they cannot pass; not if a part of the text is removed later,
            as reasoning is.
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
        """Return whether each of these rows, with its tokens so far, has ended."""
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
