"""A progress line on standard error for computations of more than two seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from augury.cli.printing import LINE_EVERY, detail, is_quiet
from augury.runtime.durations import duration
from augury.runtime.steps import watch_steps

# Seconds before the first line: what takes less does not need one.
PATIENCE = 2.0
# Seconds between two updates of the line on a terminal.
REFRESH = 0.5


class Wait:
    """How far a computation is, in words, with its expected end if its steps are known."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock.

        Args:
            what: what is computed.
            clock: returns seconds.
        """
        self.what, self.clock = what, clock
        self.began = clock()
        self._steps: tuple[str, int, int] | None = None
        self._first = self.began
        self._at = self.began

    def see(self, name: str, done: int, of: int) -> None:
        """Record how many steps are done."""
        now = self.clock()
        if self._steps is None or self._steps[0] != name or done < self._steps[1]:
            self._first = now
        self._steps, self._at = (name, done, of), now

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.began

    def __str__(self) -> str:
        """Describe what is computed, how far it is, the time so far and the time left."""
        parts = [self.what]
        if self._steps is not None:
            name, done, of = self._steps
            parts.append(f"{done} of {of} {name}")
        parts.append(duration(self.seconds))
        if self._steps is not None and 0 < self._steps[1] < self._steps[2]:
            _, done, of = self._steps
            each = (self._at - self._first) / done
            left = max((of - done) * each - (self.clock() - self._at), 0.0)
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)


@contextmanager
def show_wait(what: str, stream: TextIO | None = None) -> Iterator[Wait]:
    """Show a line during a computation: at once on a terminal, from time to time in a log.

    Args:
        what: what is computed.
        stream: where to write; standard error by default.
    """
    out = stream or sys.stderr
    wait = Wait(what)
    over = threading.Event()
    live = out.isatty()

    def draw() -> None:
        first, pause = (PATIENCE, REFRESH) if live else (LINE_EVERY, LINE_EVERY)
        drawn = False
        while not over.wait(pause if drawn else first):
            drawn = True
            out.write(f"\r\x1b[2K{wait}" if live else f"augury: {wait}\n")
            out.flush()
        if drawn and live:
            out.write("\r\x1b[2K")
            out.flush()

    painter = None if is_quiet() else threading.Thread(target=draw, daemon=True)
    with watch_steps(wait.see):
        if painter is not None:
            painter.start()
        try:
            yield wait
        finally:
            over.set()
            if painter is not None:
                painter.join()
    detail(f"{what}: {wait.seconds:.1f} s")
