"""What an evaluation asks of a model, whoever serves it: log-probabilities and samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from augury.errors import UsageError

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
        ranks: (t,) place of each token among all tokens, 1 the likeliest; None where the model does
            not show it.
    """

    tokens: Floats
    greedy: bool
    ranks: Floats | None = None

    @property
    def total(self) -> float:
        """Log-probability of the whole continuation, nats."""
        return float(self.tokens.sum())


@dataclass(frozen=True)
class SampleRequest:
    """Write `samples` continuations of `length` tokens after `prompt`.

    Attributes:
        seed: of this request's own stream. The i-th sample depends on prompt, seed, temperature
            and i: not on the batch it is drawn in, nor on how many follow.
        temperature: logits are divided by it.
        stop: a sample is cut before the first of these, and need not be written any further. What
            is left is what it would be if it were written in full and cut afterwards.
        possible: whether a text that has begun so can still pass; one that cannot need not be
            written any further. A backend may leave it aside.
        whole: the first samples of which this is not asked: they are there to be read.

    Raises:
        UsageError: a number is out of range.
    """

    prompt: str
    samples: int
    length: int
    seed: int
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    possible: Callable[[str], bool] | None = field(default=None, compare=False, repr=False)
    whole: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1 or self.length < 1:
            raise UsageError(
                f"samples and length must be positive, not {self.samples} and {self.length}"
            )
        if not 0 < self.temperature < float("inf"):
            raise UsageError(f"temperature must be positive, not {self.temperature}")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"seed must be from 0 to 2^63 - 1, not {self.seed}")
        if "" in self.stop:
            raise UsageError("an empty stop would cut every sample to nothing")


@dataclass
class TokenUsage:
    """Tokens that sampling took so far; None where a server does not say.

    Attributes:
        drawn: written in samples, an end token or a stop included.
        read: of prompts; a prompt that is shared by many samples counts once for each reading.
        paid: read and written, as a server bills them; 0 for a model in this process.
    """

    drawn: int | None = 0
    read: int | None = 0
    paid: int | None = 0

    def add(self, drawn: int | None, read: int | None, paid: int | None = 0) -> None:
        """Count more; what is unknown once stays unknown."""
        self.drawn = None if self.drawn is None or drawn is None else self.drawn + drawn
        self.read = None if self.read is None or read is None else self.read + read
        self.paid = None if self.paid is None or paid is None else self.paid + paid

    def copy(self) -> TokenUsage:
        """What it is now."""
        return TokenUsage(self.drawn, self.read, self.paid)


@dataclass(frozen=True)
class NextRequest:
    """Which token comes after `prompt` and the tokens `written` behind it?"""

    prompt: str
    written: tuple[int, ...] = ()


@runtime_checkable
class Backend(Protocol):
    """A model that can be measured.

    One that counts its tokens has an attribute `usage`, a `TokenUsage`.
    """

    @property
    def about(self) -> Mapping[str, Any]:
        """Columns of the observation table that say which model this is."""
        ...

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end a text when they are drawn. Their text is not part of it."""
        ...

    @property
    def unique_tokens(self) -> bool:
        """Whether a text is one sequence of tokens, so that probabilities of texts are exact."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens written behind a prompt."""
        ...

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Log-probabilities of given continuations, in the order of the requests."""
        ...

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        """Continuations, in the order of the requests; each ends at a token of `ends`."""
        ...

    def next_token_logprobs(self, requests: Sequence[NextRequest]) -> Floats:
        """(n, vocabulary) log-probabilities of the next token at temperature 1.

        Raises:
            UsageError: the model does not show them.
        """
        ...
