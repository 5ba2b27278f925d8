"""Modules that replace, behind walls, those whose system calls would kill a program.

The C library looks users up through a socket (nscd), and `Path.home`, `expanduser`, `sysconfig`,
`zoneinfo` and `doctest` use `pwd`. Named semaphores live in /dev/shm, which does not exist here;
since there is never a second process, thread semaphores do the same job.
"""

from __future__ import annotations

import itertools
import os
import sys
from types import ModuleType
from typing import Any, NamedTuple

HOME = "/work"
NAME = "sandbox"


class struct_passwd(NamedTuple):  # noqa: N801 - as the library calls it
    """The only user."""

    pw_name: str
    pw_passwd: str
    pw_uid: int
    pw_gid: int
    pw_gecos: str
    pw_dir: str
    pw_shell: str


class struct_group(NamedTuple):  # noqa: N801
    """The only group."""

    gr_name: str
    gr_passwd: str
    gr_gid: int
    gr_mem: list[str]


def install() -> None:
    """Install the replacements where imports look first."""
    user = struct_passwd(NAME, "x", os.getuid(), os.getgid(), "", HOME, "")
    group = struct_group(NAME, "x", os.getgid(), [])
    sys.modules["pwd"] = _database("pwd", user.pw_uid, user, "getpwuid", "getpwnam")
    sys.modules["grp"] = _database("grp", group.gr_gid, group, "getgrgid", "getgrnam")
    # When imported, their C libraries ask daemons for the time and the user's home. `uuid` works
    # without them, and so do `pdb`, `cmd` and `doctest`.
    for name in ("_uuid", "readline"):
        sys.modules[name] = None  # type: ignore[assignment]
    multiprocessing = ModuleType("_multiprocessing")
    multiprocessing.SemLock = SemLock  # type: ignore[attr-defined]
    multiprocessing.sem_unlink = lambda name: None  # type: ignore[attr-defined]
    multiprocessing.flags = {}  # type: ignore[attr-defined]
    sys.modules["_multiprocessing"] = multiprocessing


def _database(module: str, number: int, entry: Any, by_id: str, by_name: str) -> ModuleType:
    """A module of user or group names that knows one entry."""

    def numbered(wanted: int) -> Any:
        if wanted != number:
            raise KeyError(f"{by_id}(): id not found: {wanted}")
        return entry

    def named(wanted: str) -> Any:
        if wanted != NAME:
            raise KeyError(f"{by_name}(): name not found: {wanted!r}")
        return entry

    made = ModuleType(module)
    everyone = f"{by_name.removesuffix('nam')}all"
    kind = type(entry)
    vars(made).update(
        {by_id: numbered, by_name: named, everyone: lambda: [entry], kind.__name__: kind}
    )
    return made


class SemLock:
    """A semaphore (kind 1), or a lock that its thread may acquire again (kind 0)."""

    SEM_VALUE_MAX = (1 << 31) - 1
    _numbers = itertools.count(1)

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        import threading  # only programs that use it pay for it

        self.kind, self.maxvalue = kind, maxvalue
        self.name = None if unlink else name  # an unnamed one needs no tracker process
        self.handle = next(self._numbers)
        self._value, self._owner, self._depth = value, 0, 0
        self._changed = threading.Condition(threading.Lock())
        self._own = threading.get_ident

    @classmethod
    def _rebuild(cls, *state: Any) -> SemLock:
        raise OSError("there is no other process here")

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquire it, waiting if allowed."""
        with self._changed:
            if self.kind == 0 and self._owner == self._own():
                self._depth += 1
                return True
            wait = timeout if block else 0.0
            if not self._changed.wait_for(lambda: self._value > 0, wait):
                return False
            self._value -= 1
            self._owner, self._depth = self._own(), self._depth + 1
            return True

    def release(self) -> None:
        """Release it."""
        with self._changed:
            if self.kind == 0:
                if self._owner != self._own():
                    raise AssertionError("attempt to release recursive lock not owned by thread")
                if self._depth > 1:
                    self._depth -= 1
                    return
                self._owner = 0
            elif self._value >= self.maxvalue:
                raise ValueError("semaphore or lock released too many times")
            self._depth -= 1
            self._value += 1
            self._changed.notify()

    def _count(self) -> int:
        return self._depth

    def _is_mine(self) -> bool:
        return self._depth > 0 and self._owner == self._own()

    def _get_value(self) -> int:
        return self._value

    def _is_zero(self) -> bool:
        return self._value == 0

    def _after_fork(self) -> None:
        self._depth = 0

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()
