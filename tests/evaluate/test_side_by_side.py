"""A loop in its own thread finishes its work before it is closed."""

from __future__ import annotations

import asyncio
import threading

import pytest

from augury.evaluate.side_by_side import OwnLoop


def test_what_is_cut_off_ends_before_the_loop_does() -> None:
    """As after Ctrl-C: the work is cancelled, and the loop is closed while it still cleans up."""
    begun, ended = threading.Event(), threading.Event()

    async def tidy_slowly() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            for _ in range(100):
                await asyncio.sleep(0)
            ended.set()

    async def both() -> None:
        task = asyncio.create_task(tidy_slowly())
        while not begun.is_set():
            await asyncio.sleep(0)
        assert not task.done()
        raise RuntimeError("cut off")

    own = OwnLoop("test")
    with pytest.raises(RuntimeError, match="cut off"):
        own.run(both())
    own.close()
    assert ended.is_set()
