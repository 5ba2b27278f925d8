"""Writing several texts token by token, with the model's probabilities at every step.

`open_walk` takes the model's own way where it has one (transformers: `hf_walk`), which keeps what
was read; any model that shows next-token probabilities can be walked without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from augury.evaluate.backend import Backend, Floats, NextRequest


class TokenWalk(Protocol):
    """Rows that are being written."""

    def logprobs(self) -> Floats:
        """(rows, vocabulary) log-probabilities of each row's next token at temperature 1."""
        ...

    def advance(self, kept: NDArray[np.int64], tokens: NDArray[np.int64]) -> None:
        """Keep these rows, and write one token behind each of them."""
        ...


@runtime_checkable
class Walkable(Protocol):
    """A model with a way of its own."""

    def walk(self, prompts: Sequence[str]) -> TokenWalk:
        """A row for each prompt; equal ones are read once."""
        ...

    def forced(
        self, rows: Sequence[tuple[str, tuple[int, ...]]], temperature: float
    ) -> list[float]:
        """Log-probability of the tokens behind each prompt."""
        ...

    def walk_rows(self, prompt: str, length: int) -> int:
        """Rows that fit the memory, with so many tokens written behind the prompt."""
        ...


def open_walk(backend: Backend, prompts: Sequence[str]) -> TokenWalk:
    """A walk with a row for each prompt.

    Raises:
        UsageError: the model shows no probabilities, or a prompt does not fit.
    """
    return backend.walk(prompts) if isinstance(backend, Walkable) else _AskedAgain(backend, prompts)


def forced_logprobs(
    backend: Backend, rows: Sequence[tuple[str, tuple[int, ...]]], temperature: float
) -> list[float]:
    """Log-probability of exactly these tokens behind each prompt; -inf of one it does not have."""
    if isinstance(backend, Walkable):
        return backend.forced(rows, temperature)
    totals = []
    for prompt, tokens in rows:
        asked = [NextRequest(prompt, tokens[:k]) for k in range(len(tokens))]
        table = backend.next_token_logprobs(asked) / temperature
        table -= np.logaddexp.reduce(table, 1, keepdims=True)
        known = all(token < table.shape[1] for token in tokens)
        chosen = table[np.arange(len(tokens)), list(tokens)].sum() if known else -np.inf
        totals.append(float(chosen))
    return totals


class _AskedAgain:
    """What was written is read again at every step."""

    def __init__(self, backend: Backend, prompts: Sequence[str]) -> None:
        self._backend = backend
        self._rows: list[tuple[str, tuple[int, ...]]] = [(prompt, ()) for prompt in prompts]

    def logprobs(self) -> Any:
        distinct = {row: i for i, row in enumerate(dict.fromkeys(self._rows))}
        table = self._backend.next_token_logprobs([NextRequest(*row) for row in distinct])
        return table[[distinct[row] for row in self._rows]]

    def advance(self, kept: NDArray[np.int64], tokens: NDArray[np.int64]) -> None:
        self._rows = [
            (self._rows[i][0], (*self._rows[i][1], int(token)))
            for i, token in zip(kept.tolist(), tokens, strict=True)
        ]
