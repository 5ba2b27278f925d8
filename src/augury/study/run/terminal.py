"""A live view of a run on standard error; none if that is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from augury.runtime.durations import duration
from augury.study.run.status import counts
from augury.study.run.tracker import Tracker


@contextmanager
def live_view() -> Iterator[Callable[[Tracker], None]]:
    """Yield a function that draws a run's state: units, rate, expected end, running units."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda tracker: None
        return
    with Live(console=console, transient=True, auto_refresh=False) as live:

        def draw(tracker: Tracker) -> None:
            state = tracker.state()
            lines = []
            for unit in state.running:
                share = f" {unit.share:.0%}" if unit.share else ""
                spent = duration(state.now - unit.since)
                lines.append(Text(f"  {unit.label}{share}  {spent}", no_wrap=True))
            failed = [Text(f"  failed: {u.label}", style="red") for u in state.failed]
            bar = ProgressBar(total=max(state.units, 1), completed=state.done, width=20)
            head = Table.grid(padding=(0, 1))
            head.add_row(bar, Text(counts(state)))
            live.update(Group(head, *lines, *failed), refresh=True)

        yield draw
