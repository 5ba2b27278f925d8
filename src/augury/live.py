"""A live view of a run on standard error; none where that is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from augury.evaluate.passuntil import Progress


@contextmanager
def watched() -> Iterator[Callable[[Progress], None]]:
    """A function that shows how far PassUntil is: instances done, passes, speed, time left."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(
        TextColumn("{task.completed:.0f}/{task.total:.0f} instances"),
        BarColumn(),
        TextColumn("{task.fields[passes]:,} passes {task.fields[samples]:,} samples"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bar:
        line = bar.add_task("", total=1, passes=0, samples=0, rate=0.0)
        first: list[int] = []

        def seen(now: Progress) -> None:
            task = bar.tasks[line]
            first[:] = first or [now.samples]  # what the journal held is not this run's speed
            spent = task.elapsed or 1e-9
            bar.update(
                line,
                completed=now.finished,
                total=now.instances,
                passes=now.passes,
                samples=now.samples,
                rate=(now.samples - first[0]) / spent,
            )

        yield seen
