"""Progress of a long computation: it counts its steps, and a watcher is told.

A computation iterates over `count_steps(items, "laws")` instead of `items`. Nobody watches unless
`watch_steps` wraps it, and even then only the watcher's own time is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
# Arguments of a watcher: name of the steps, number done, total number.
Watcher = Callable[[str, int, int], None]

_watcher: ContextVar[Watcher | None] = ContextVar("augury-steps", default=None)


@contextmanager
def watch_steps(watcher: Watcher) -> Iterator[None]:
    """Report the steps of what is computed inside to a function."""
    before = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(before)


def count_steps(items: Collection[Item], name: str) -> Iterator[Item]:
    """Yield the items; each is reported as done when the next one is requested.

    Args:
        items: what is processed one by one, each taking about the same time.
        name: what they are, in the plural.
    """
    watcher = _watcher.get()
    for done, item in enumerate(items):
        if watcher is not None:
            watcher(name, done, len(items))
        yield item
    if watcher is not None:
        watcher(name, len(items), len(items))
