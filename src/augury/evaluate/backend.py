"""What an evaluation asks of a model, whatever serves it: log-probabilities and samples."""

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
    """A request for the probability of `continuation` after `prompt`."""

    prompt: str
    continuation: str


@dataclass(frozen=True)
class Score:
    """The answer to a `ScoreRequest`.

    Attributes:
        tokens: (t,) log-probability of each token of the continuation, nats.
        greedy: whether greedy decoding would have written exactly this continuation.
        ranks: (t,) rank of each token among all tokens, 1 the likeliest; None if the model does not
            show it.
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
    """A request for `samples` continuations of `length` tokens after `prompt`.

    Attributes:
        seed: of this request's own stream. The i-th sample depends on prompt, seed, temperature and
            i: not on its batch, nor on how many follow.
        temperature: logits are divided by it.
        stop: a sample is cut before the first of these, and need not be continued beyond. The
            result is as if it had been written in full and cut afterwards.
        possible: whether a text with this beginning can still pass; if not, it need not be
            continued. A backend may ignore it.
        whole: number of first samples that are always written in full, for people to read.

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
    """Tokens that sampling has used so far; None if a server does not report them.

    Attributes:
        drawn: written in samples, including an end token or a stop.
        read: of prompts; a prompt shared by many samples counts once per reading.
        paid: read and written, as a server bills them; 0 for a model in this process.
    """

    drawn: int | None = 0
    read: int | None = 0
    paid: int | None = 0

    def add(self, drawn: int | None, read: int | None, paid: int | None = 0) -> None:
        """Add to the counts; an unknown count stays unknown."""
        self.drawn = None if self.drawn is None or drawn is None else self.drawn + drawn
        self.read = None if self.read is None or read is None else self.read + read
        self.paid = None if self.paid is None or paid is None else self.paid + paid

    def copy(self) -> TokenUsage:
        """Return a copy of the current counts."""
        return TokenUsage(self.drawn, self.read, self.paid)


@dataclass(frozen=True)
class NextRequest:
    """A request for the next-token distribution after `prompt` and the tokens `written`."""

    prompt: str
    written: tuple[int, ...] = ()


@runtime_checkable
class Backend(Protocol):
    """A model that can be measured.

    A backend that counts its tokens has an attribute `usage`, a `TokenUsage`.
    """

    @property
    def about(self) -> Mapping[str, Any]:
        """Columns of the observation table that identify this model."""
        ...

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end a text when they are drawn. Their text is not part of it."""
        ...

    @property
    def unique_tokens(self) -> bool:
        """Whether a text is one unique sequence of tokens, so that its probability is exact."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens written after a prompt."""
        ...

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Return log-probabilities of given continuations, in the order of the requests."""
        ...

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        """Return continuations, in the order of the requests; each ends at a token of `ends`."""
        ...

    def next_token_logprobs(self, requests: Sequence[NextRequest]) -> Floats:
        """Return (n, vocabulary) log-probabilities of the next token at temperature 1.

        Raises:
            UsageError: the model does not show them.
        """
        ...
