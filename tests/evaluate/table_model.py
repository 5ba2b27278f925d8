"""A tiny model for the tests: the last letter selects the table for drawing the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from augury.errors import UsageError
from augury.evaluate import NextRequest, SampleRequest, Score, ScoreRequest
from augury.evaluate.backend import Floats

LETTERS = "abcdefgh."


class TableModel:
    """Nine letters, the last of which ends a text; nothing here starts a thread."""

    unique_tokens = False
    ends = frozenset({len(LETTERS) - 1})

    def __init__(self, *, shows: bool = True, sharpness: float = 2.0) -> None:
        self.shows = shows
        rng = np.random.default_rng(1)
        table = np.exp(sharpness * rng.standard_normal((len(LETTERS), len(LETTERS))))
        table[:, -1] = table[:, :-1].sum(1) / 3  # a text ends after four letters on average
        self.table = table / table.sum(1, keepdims=True)
        self.about: Mapping[str, Any] = {"model": "table", "params": 81.0}

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(LETTERS[t] for t in tokens)

    def _after(self, request: NextRequest) -> Floats:
        last = request.written[-1] if request.written else LETTERS.index(request.prompt[-1])
        return self.table[last]

    def next_token_logprobs(self, requests: Sequence[NextRequest]) -> Floats:
        if not self.shows:
            raise UsageError("this model shows no probabilities of tokens")
        return np.log(np.array([self._after(r) for r in requests]))

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        raise UsageError("this model shows no log-probabilities")

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        return [self._texts(request) for request in requests]

    def _texts(self, request: SampleRequest) -> list[str]:
        table = self.table ** (1 / request.temperature)
        below = np.cumsum(table / table.sum(1, keepdims=True), 1)
        # Row i does not depend on the number of rows.
        aim = np.random.default_rng(request.seed).random((request.samples, request.length))
        last = np.full(request.samples, LETTERS.index(request.prompt[-1]))
        columns = []
        for k in range(request.length):
            last = np.minimum((below[last] <= aim[:, k : k + 1]).sum(1), len(LETTERS) - 1)
            columns.append(last)
        texts = ["".join(LETTERS[t] for t in row) for row in np.stack(columns, 1).tolist()]
        return [text.split(".")[0] for text in texts]
