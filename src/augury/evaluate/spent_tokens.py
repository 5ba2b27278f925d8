"""Tokens that a measurement used, wave by wave: `tokens.json` next to the journal."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from augury.evaluate.backend import Backend, TokenUsage

FILE = "tokens.json"


class SpentTokens:
    """What the waves of a measurement used; a repeated wave counts once.

    Args:
        backend: the model, whose `usage` is watched; without it the use is unknown.
        folder: of the measurement; None keeps it in memory.
    """

    def __init__(self, backend: Backend, folder: Path | None) -> None:
        self._backend = backend
        self._path = None if folder is None else folder / FILE
        self._waves: list[TokenUsage] = []
        if self._path is not None:
            with contextlib.suppress(OSError, ValueError, TypeError):
                self._waves = [TokenUsage(**wave) for wave in json.loads(self._path.read_text())]

    @property
    def tokens(self) -> TokenUsage:
        """Return the total."""
        total = TokenUsage()
        for wave in self._waves:
            total.add(wave.drawn, wave.read, wave.paid)
        return total

    @property
    def last(self) -> TokenUsage:
        """Return the last wave's tokens."""
        return self._waves[-1]

    def resume(self, waves: int) -> None:
        """Resume after this many waves; the use of an unknown one stays unknown."""
        missing = [TokenUsage(None, None, None)] * (waves - len(self._waves))
        self._waves = [*self._waves[:waves], *missing]

    @contextlib.contextmanager
    def wave(self) -> Iterator[TokenUsage]:
        """Count what the backend samples in this block, and what the block adds to it."""
        usage = getattr(self._backend, "usage", None)
        before = usage.copy() if isinstance(usage, TokenUsage) else None
        spent = TokenUsage()
        yield spent
        if isinstance(usage, TokenUsage) and before is not None:
            spent.add(
                _more(before.drawn, usage.drawn),
                _more(before.read, usage.read),
                _more(before.paid, usage.paid),
            )
        self._waves.append(spent)

    def save(self) -> None:
        """Write it. A full disk costs this figure, not the run."""
        if self._path is None:
            return
        told: list[dict[str, Any]] = [vars(wave) for wave in self._waves]
        with contextlib.suppress(OSError):
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(told) + "\n")
            os.replace(fresh, self._path)


def _more(before: int | None, now: int | None) -> int | None:
    return None if before is None or now is None else now - before
