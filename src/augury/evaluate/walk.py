"""Writing several texts token by token, with the model's probabilities at every step.

`open_walk` uses the model's own implementation if it has one (transformers: `hf_walk`), which keeps
what was read; any model that shows next-token probabilities can be walked without.
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
        """Return (rows, vocabulary) log-probabilities of each row's next token at temperature 1."""
        ...

    def advance(self, kept: NDArray[np.int64], tokens: NDArray[np.int64]) -> None:
        """Keep these rows, and write one token after each of them."""
        ...


@runtime_checkable
class Walkable(Protocol):
    """A model with its own implementation."""

    def walk(self, prompts: Sequence[str]) -> TokenWalk:
        """Return one row per prompt; equal ones are read once."""
        ...

    def forced(
        self, rows: Sequence[tuple[str, tuple[int, ...]]], temperature: float
    ) -> list[float]:
        """Return the log-probability of the tokens after each prompt."""
        ...

    def walk_rows(self, prompt: str, length: int) -> int:
        """Return the number of rows that fit the memory, with this many tokens after the prompt."""
        ...


def open_walk(backend: Backend, prompts: Sequence[str]) -> TokenWalk:
    """Open a walk with one row per prompt.

    Raises:
        UsageError: the model shows no probabilities, or a prompt does not fit.
    """
    return (
        backend.walk(prompts) if isinstance(backend, Walkable) else _RereadingWalk(backend, prompts)
    )


def forced_logprobs(
    backend: Backend, rows: Sequence[tuple[str, tuple[int, ...]]], temperature: float
) -> list[float]:
    """Return log-probabilities of exactly these tokens after each prompt; -inf if unknown."""
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


class _RereadingWalk:
    """A walk that reads everything written again at every step."""

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
