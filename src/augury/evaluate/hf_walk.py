"""Transformers checkpoints, walked token by token: what was read stays in their cache."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from augury.evaluate.backend import Floats
from augury.evaluate.hf_load import needs_models


class Cache(Protocol):
    """Keys and values of rows (`hf._Past`)."""

    def select(self, rows: Any) -> None: ...

    def step(self, token: Any) -> Any: ...


class TransformersWalk:
    """A `walk.TokenWalk` for transformers.

    Args:
        logits: (rows, vocabulary) after the prompts.
        past: their cache.
        running: the backend's context for running the model.
    """

    def __init__(self, logits: Any, past: Cache, running: Any) -> None:
        self._logits, self._past, self._running = logits, past, running

    def logprobs(self) -> Floats:
        """Return (rows, vocabulary) log-probabilities, in double precision."""
        with self._guard():
            table: Floats = self._logits.double().log_softmax(1).cpu().numpy()
        return table

    def advance(self, kept: NDArray[np.int64], tokens: NDArray[np.int64]) -> None:
        """Keep these rows, in this order, and read one token after each."""
        torch = needs_models("torch")
        with self._guard():
            if len(kept) != len(self._logits) or (np.diff(kept) != 1).any():
                self._past.select(torch.from_numpy(kept))
            self._logits = self._past.step(torch.from_numpy(tokens))

    def _guard(self) -> AbstractContextManager[None]:
        guard: AbstractContextManager[None] = self._running()
        return guard
