"""What the first wave shows about the samples' distribution: `distribution.json`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from augury.evaluate.backend import Backend
from augury.evaluate.draw_check import REPEATS, Distribution, DrawCheck

FILE = "distribution.json"


class DistributionProof:
    """Watches a server in the first wave; samples drawn in this process are the model's own.

    Args:
        backend: the model. One that can be watched has an attribute `watch`; one that draws in this
            process says so with `distribution`.
        method: all but "independent" draw here, from the probabilities that a model shows.
        folder: of the measurement; None keeps the result in memory.
        seed: of the check.
    """

    def __init__(self, backend: Backend, method: str, folder: Path | None, seed: int) -> None:
        self._backend: Any = backend
        self._watched = method == "independent" and hasattr(backend, "watch")
        self._path = None if folder is None else folder / FILE
        self._seed = seed
        self._check: DrawCheck | None = None
        self.notes: list[str] = []
        self.distribution: Distribution = getattr(backend, "distribution", "unknown")
        if method != "independent":
            self.distribution = "own"
        elif self._watched and self._path is not None:
            with contextlib.suppress(OSError, ValueError, KeyError):
                told = json.loads(self._path.read_text())
                self.distribution = cast(Distribution, told["distribution"])
                self.notes = list(told["notes"])

    @contextlib.contextmanager
    def looking(self, *, first: bool) -> Iterator[None]:
        """Watch what is drawn in this block, if it is the first wave."""
        if not (first and self._watched):
            yield
            return
        self._watch()
        try:
            yield
            self._judge()
        finally:
            self._backend.watch = self._check = None

    def draw_again(self) -> bool:
        """Return whether the wave held copies and must be redrawn, one sample per request."""
        if self._check is None:
            return False
        copies = REPEATS["copies"] in self._check.verdict()[1]
        if copies and self._backend.ask_singly():
            self.notes.append(f"{REPEATS['copies']}: now requested one at a time")
            self._watch()
            return True
        return False

    def _watch(self) -> None:
        self._check = self._backend.watch = DrawCheck(self._seed)

    def _judge(self) -> None:
        if self._check is None:
            return
        self.distribution, notes = self._check.verdict()
        self.notes += notes
        if self._backend.refused:
            names = ", ".join(self._backend.refused)
            self.notes.append(f"the server refused {names}: its own settings apply to these")
        if self._path is not None:
            told = {"distribution": self.distribution, "notes": self.notes}
            with contextlib.suppress(OSError):
                self._path.write_text(json.dumps(told) + "\n")
