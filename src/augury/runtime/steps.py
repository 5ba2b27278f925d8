"""How far a long computation is: it counts its steps, and whoever watches is told.

A computation goes through `count_steps(items, "laws")` in place of `items`. Nobody watches unless
`watch_steps` is around it, and then nothing but the watcher's own time is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
# What is told: name of the steps, how many are done, how many there are.
Watcher = Callable[[str, int, int], None]

_watcher: ContextVar[Watcher | None] = ContextVar("augury-steps", default=None)


@contextmanager
def watch_steps(watcher: Watcher) -> Iterator[None]:
    """Have the steps of what is computed inside told to a function."""
    before = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(before)


def count_steps(items: Collection[Item], name: str) -> Iterator[Item]:
    """The items; each is told as done when the next one is asked for.

    Args:
        items: what is worked on one by one, each taking about as long as another.
        name: what they are, in the plural.
    """
    watcher = _watcher.get()
    for done, item in enumerate(items):
        if watcher is not None:
            watcher(name, done, len(items))
        yield item
    if watcher is not None:
        watcher(name, len(items), len(items))
