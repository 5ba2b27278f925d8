"""Many parallel requests to one server, up to a limit, from synchronous code."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import wait
from typing import Any, TypeVar

from augury.errors import DataError, UsageError

GLANCE = 0.2  # maximum seconds until Ctrl-C is noticed
LAST = 2.5  # seconds that cancelled requests have to end
T = TypeVar("T")
R = TypeVar("R")


class OwnLoop:
    """An event loop in its own thread, so that calls also work inside a notebook's loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finish: Any = None

    @property
    def running(self) -> bool:
        """Whether something was run since it was created or closed."""
        return self._loop is not None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and return its result; Ctrl-C cancels it."""
        if self._loop is None:
            loop = self._loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name=self._name, daemon=True)
            thread.start()
            self._finish = weakref.finalize(self, _stop, loop, thread)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            # Another thread may get Ctrl-C; this one checks from time to time.
            while not wait([future], timeout=GLANCE).done:
                pass
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C reaches this thread; the loop must stop its requests
            raise

    def close(self) -> None:
        """End the thread; the next run starts another."""
        if self._loop is not None:
            self._finish()
            self._loop = None


async def ask_all(
    one: Callable[[T], Coroutine[Any, Any, R]], requests: Sequence[T], in_flight: int
) -> list[R]:
    """Return answers in the order of the requests; the first error of ours cancels them all."""
    answers: list[Any] = [None] * len(requests)
    waiting = iter(enumerate(requests))

    async def some(waiting: Iterable[tuple[int, T]]) -> None:
        for i, request in waiting:
            answers[i] = await one(request)

    first: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(in_flight, len(requests))):
                group.create_task(some(waiting))
    except* (UsageError, DataError) as errors:
        first = errors.exceptions[0]
    if first is not None:
        raise first
    return answers


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    """Cancel what runs, let it end, and close the loop; tasks cut off would print warnings."""

    async def end() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=LAST)
        loop.stop()

    asyncio.run_coroutine_threadsafe(end(), loop)
    thread.join(timeout=2 * LAST)
    if not thread.is_alive():
        loop.close()
