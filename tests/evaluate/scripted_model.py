"""A model that answers what the test specifies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from augury.errors import UsageError
from augury.evaluate import SampleRequest, Score, ScoreRequest
from tests.evaluate.table_model import TableModel


class Scripted(TableModel):
    """Every request gets the texts in order from the first; there are no token probabilities.

    `scores` are the log-probabilities of continuations.
    """

    def __init__(self, *texts: str, scores: Mapping[str, float] | None = None) -> None:
        super().__init__(shows=False)
        self.texts = texts
        self.scores = scores or {}

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        return [[self.texts[i % len(self.texts)] for i in range(r.samples)] for r in requests]

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        if any(r.continuation not in self.scores for r in requests):
            raise UsageError("this model scores what its script says, and nothing else")
        return [Score(np.array([self.scores[r.continuation]]), greedy=False) for r in requests]
