"""A live view of a run on standard error; none where that is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from augury.evaluate.passuntil_run import Progress

# Seconds between two lines of a log.
QUIET = 30.0


@contextmanager
def show_samples() -> Iterator[Callable[[Progress], None]]:
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


@contextmanager
def show_counts(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """A function of (name, done, of) that shows how many are done in all, and who was last.

    What follows ": " in a name says more of the moment. Where there is no terminal, a line every
    half minute.
    """
    import time

    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    with Bar(
        SpinnerColumn(),
        TextColumn("{task.completed:.0f} " + what + " done"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as bar:
        line = bar.add_task("", total=None)
        done: dict[str, int] = {}
        said = [time.monotonic()]

        def seen(name: str, so_far: int, of: int) -> None:
            done[name.partition(": ")[0]] = so_far
            if not console.is_terminal and time.monotonic() - said[0] > QUIET:
                said[0] = time.monotonic()
                console.print(f"{sum(done.values())} {what} done; {name}: {so_far}/{of}")
            bar.update(line, completed=sum(done.values()), description=f"{name}: {so_far}/{of}")

        yield seen
