"""A live view of a run on standard error; none if that is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from augury.cli.printing import LINE_EVERY, is_quiet
from augury.evaluate.passuntil_run import Progress
from augury.runtime.durations import duration


@contextmanager
def show_samples() -> Iterator[Callable[[Progress], None]]:
    """Yield a function that shows PassUntil's progress: passes, samples, tokens/s, expected end.

    Without a terminal, it prints a line every half minute.
    """
    import time

    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(
        TextColumn("{task.completed:.0f}/{task.total:.0f} instances"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        disable=is_quiet() or not console.is_terminal,
    ) as bar:
        line = bar.add_task("", total=1)
        began = told = time.monotonic()
        first: Progress | None = None

        def seen(now: Progress) -> None:
            nonlocal first, began, told
            clock = time.monotonic()
            if (
                first is None
            ):  # the journal's contents and compilation do not count towards this run's speed
                first, began = now, clock
            text = speed_text(now, first, clock - began)
            bar.update(line, completed=now.finished, total=now.instances, description=text)
            if not console.is_terminal and clock - told > LINE_EVERY and not is_quiet():
                told = clock
                print(f"{now.finished}/{now.instances} instances, {text}", file=sys.stderr)

        yield seen


def speed_text(now: Progress, first: Progress, seconds: float) -> str:
    """Return passes, samples, tokens per second and the expected end.

    Args:
        now: current progress.
        first: progress after the first wave.
        seconds: since then.
    """
    text = f"{now.passes:,} passes, {now.samples:,} samples"
    fresh = now.samples - first.samples
    if fresh <= 0 or seconds <= 0:
        return text
    if now.tokens is not None and first.tokens is not None:
        text += f", {(now.tokens - first.tokens) / seconds:,.0f} tokens/s"
    if now.expected_samples is not None:
        left = max(now.expected_samples - now.samples, 0) * seconds / fresh
        text += f", {duration(left)} left"
    return text


@contextmanager
def show_counts(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function of (name, done, of) that shows how many are done, and the latest one.

    Text after ": " in a name is a detail of the moment. Without a terminal, it prints a line every
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
        disable=is_quiet() or not console.is_terminal,
        transient=True,
    ) as bar:
        line = bar.add_task("", total=None)
        done: dict[str, int] = {}
        said = [time.monotonic()]

        def seen(name: str, so_far: int, of: int) -> None:
            done[name.partition(": ")[0]] = so_far
            if (
                not console.is_terminal
                and time.monotonic() - said[0] > LINE_EVERY
                and not is_quiet()
            ):
                said[0] = time.monotonic()
                console.print(f"{sum(done.values())} {what} done; {name}: {so_far}/{of}")
            bar.update(line, completed=sum(done.values()), description=f"{name}: {so_far}/{of}")

        yield seen
