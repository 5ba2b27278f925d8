"""What an evaluation asks of a model, whoever serves it: log-probabilities and samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScoreRequest:
    """How probable is `continuation` after `prompt`?"""

    prompt: str
    continuation: str


@dataclass(frozen=True)
class Score:
    """The answer.

    Attributes:
        tokens: (t,) log-probability of each token of the continuation, nats.
        greedy: whether greedy decoding would have written exactly this continuation.
    """

    tokens: Floats
    greedy: bool

    @property
    def total(self) -> float:
        """Log-probability of the whole continuation, nats."""
        return float(self.tokens.sum())


@dataclass(frozen=True)
class SampleRequest:
    """Write `samples` continuations of `length` tokens after `prompt`.

    Attributes:
        seed: of this request's own stream: what it gets does not depend on its batch.
    """

    prompt: str
    samples: int
    length: int
    seed: int
    temperature: float = 1.0


@runtime_checkable
class Backend(Protocol):
    """A model that can be measured."""

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Log-probabilities of given continuations, in the order of the requests."""
        ...

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        """Continuations, in the order of the requests."""
        ...

    def next_token_logprobs(self, prompts: Sequence[str]) -> Floats:
        """(n, vocabulary) log-probabilities of the next token after each prompt."""
        ...
