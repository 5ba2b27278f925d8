"""Which unit is next: ready ones, those with the longest remaining chain first; and what failed."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping

from augury.study.units.unit import StudyUnit, ranks


class Schedule:
    """The state of a running plan.

    Args:
        units: by key, each after all its dependencies.
        done: keys of existing results.
        retries: how often a failed unit is retried.

    Attributes:
        done: keys of units that are done.
        failed: the reason, by key, for units that failed for good.
        blocked: keys of units that cannot run, since a unit they wait for failed.
    """

    def __init__(self, units: Mapping[str, StudyUnit], done: Collection[str], retries: int) -> None:
        self.units = units
        self.done = {key for key in units if key in done}
        self.failed: dict[str, str] = {}
        self.blocked: set[str] = set()
        self._retries = retries
        self._attempts: dict[str, int] = {}
        self._rank = ranks(units)
        self._followers: dict[str, list[str]] = {key: [] for key in units}
        self._missing: dict[str, int] = {}
        self._ready: list[tuple[float, int, str]] = []
        self._order = {key: i for i, key in enumerate(units)}
        for key, unit in units.items():
            if key in self.done:
                continue
            waits = set(unit.waits) - self.done
            self._missing[key] = len(waits)
            for before in waits:
                self._followers[before].append(key)
            if not waits:
                self._push(key)

    @property
    def finished(self) -> bool:
        """Whether nothing is left that could still be done."""
        return len(self.done) + len(self.failed) + len(self.blocked) == len(self.units)

    def next(self, here: Collection[str] = (), begun: Collection[str] = ()) -> StudyUnit | None:
        """Return the unit to start now; None if none is ready.

        Args:
            here: programs that are compiled where it will run. Units of one of these come first:
                compiling takes longer than most of them.
            begun: programs that are compiled, or being compiled, anywhere. Next come units of
                others, so that two processes do not compile the same thing at once.
        """
        if not self._ready:
            return None
        if not begun:
            return self.units[heapq.heappop(self._ready)[2]]
        order = sorted(self._ready)
        programs = [self.units[key].program for _, _, key in order]
        own = (i for i, program in enumerate(programs) if program in here)
        new = (i for i, program in enumerate(programs) if program not in begun)
        chosen = order.pop(next(own, next(new, 0)))
        self._ready = order  # sorted, and so a heap
        return self.units[chosen[2]]

    def finish(self, key: str) -> None:
        """Mark a unit as done."""
        self.done.add(key)
        for follower in self._followers[key]:
            self._missing[follower] -= 1
            if not self._missing[follower] and follower not in self.blocked:
                self._push(follower)

    def fail(self, key: str, why: str) -> bool:
        """Mark a unit as failed; return whether it is retried."""
        self._attempts[key] = self._attempts.get(key, 0) + 1
        if self._attempts[key] <= self._retries:
            self._push(key)
            return True
        self.failed[key] = why
        waiting = list(self._followers[key])
        while waiting:
            follower = waiting.pop()
            if follower not in self.blocked:
                self.blocked.add(follower)
                waiting += self._followers[follower]
        return False

    def _push(self, key: str) -> None:
        heapq.heappush(self._ready, (-self._rank[key], self._order[key], key))
