"""Tokens that a measurement took, over all the times it was started: `tokens.json`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from augury.evaluate.backend import Backend, TokenUsage

FILE = "tokens.json"


class SpentTokens:
    """What was spent so far; read from the folder of the measurement and written there.

    Args:
        backend: the model, whose `usage` is watched; without one what it takes is unknown.
        folder: of the measurement; None keeps it in memory alone.
    """

    def __init__(self, backend: Backend, folder: Path | None) -> None:
        self._backend = backend
        self._path = None if folder is None else folder / FILE
        self.tokens = TokenUsage()
        if self._path is not None:
            with contextlib.suppress(OSError, ValueError, TypeError):
                self.tokens = TokenUsage(**json.loads(self._path.read_text()))

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Count what the backend samples in this block."""
        usage = getattr(self._backend, "usage", None)
        before = usage.copy() if isinstance(usage, TokenUsage) else None
        yield
        if isinstance(usage, TokenUsage) and before is not None:
            self.tokens.add(
                _more(before.drawn, usage.drawn),
                _more(before.read, usage.read),
                _more(before.paid, usage.paid),
            )

    def save(self) -> None:
        """Write it. A disk that is full costs this figure, not the run."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(vars(self.tokens)) + "\n")
            os.replace(fresh, self._path)


def _more(before: int | None, now: int | None) -> int | None:
    return None if before is None or now is None else now - before
