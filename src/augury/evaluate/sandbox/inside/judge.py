"""The process of the tests, in a sandbox without programs.

The tests call the program through a channel and compare plain values here. The program can reach
neither the tests nor the expected values, and this process alone decides whether the tests passed.
It judges one program after another, each over its own channel, until one ends in anything but a
plain pass or fail. Then the harness replaces it.
"""

from __future__ import annotations

import builtins
import os
import resource
import socket
import time
from array import array
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from types import CodeType
from typing import Any, NoReturn

from . import frames
from .candidate import LONGEST_DETAIL, lacking, module_of
from .codec import CannotCrossError, decode, dumps, encode, loads, refuse
from .remote import Remote

LONGEST_NAME = 60  # of a package, as reported by the program
NO_SETUP = "the tests cannot be set up"
GONE = "the program ended before its tests did"  # and hung up
LONGEST_JOB = 1 << 26  # bytes of a program's tests: the harness is trusted


class GoneError(BaseException):
    """The program hung up or sent nonsense. No `except Exception` in a test may swallow this."""


class ProgramError(Exception):
    """The program raised an exception of its own making."""


class Candidate:
    """The program as its tests see it: functions to call."""

    def __init__(self, channel: socket.socket, limit: int) -> None:
        self.channel, self.limit = channel, limit
        self.lost: str | None = None  # why nothing can pass any more, even if tests catch it
        self.cannot_ask: str | None = None
        self.lacks: str | None = None  # a missing package that the program asked for

    def heard(self) -> dict[str, Any]:
        """The program's next message."""
        try:
            data = frames.receive(self.channel, self.limit)
            message = {} if data is None else loads(data)
        except (OSError, ValueError) as error:
            raise self.gone(f"the program's answer is unreadable: {error}") from None
        if data is None:
            raise self.gone(GONE)
        lacks = message.get("lacks") if isinstance(message, dict) else None
        if isinstance(lacks, str) and lacks.isidentifier() and len(lacks) <= LONGEST_NAME:
            self.lacks = lacks
        if not isinstance(message, dict) or "broken" in message:
            raise self.gone(str(message.get("broken") if isinstance(message, dict) else message))
        return message

    def gone(self, why: str) -> GoneError:
        """Nothing passes from here on."""
        self.lost = self.lost or why[:LONGEST_DETAIL]
        return GoneError(self.lost)

    def function(self, name: str) -> Callable[..., Any]:
        """A stand-in for one of the program's functions."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            return self.ask(name, arguments, keywords)

        call.__name__ = call.__qualname__ = name
        return call

    def ask(
        self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any] | None = None
    ) -> Any:
        """The result of a call of the program, or of an operation on one of its objects."""
        if self.lost is not None:
            raise GoneError(self.lost)
        try:
            sent = [encode(a, self.form) for a in arguments]
            named = {k: encode(v, self.form) for k, v in (keywords or {}).items()}
            request = dumps([name, sent, named])
        except CannotCrossError as error:
            raise self.refused(
                f"the tests give '{name}' an argument that cannot cross: {error}"
            ) from None
        try:
            frames.send(self.channel, request)
        except OSError:
            raise self.gone(GONE) from None
        return self.answer(self.heard(), arguments)

    def refused(self, why: str) -> GoneError:
        """Fail, because the tests need something that cannot be requested from outside."""
        self.cannot_ask = why
        return self.gone(why)

    def form(self, value: Any) -> Any:
        """The number of an object of the program."""
        if isinstance(value, Remote) and value._of() is self:
            return {"object": value._number()}
        return refuse(value)

    def object_of(self, number: int) -> Remote:
        """The stand-in for an object of the program."""
        return Remote(self, number)

    def answer(self, message: dict[str, Any], arguments: tuple[Any, ...]) -> Any:
        """The result in a message, with its effect on the arguments."""
        if "raised" in message:
            raise rebuilt(message["raised"], str(message.get("detail"))[:LONGEST_DETAIL])
        try:
            value = decode(message["value"], self.object_of)
            after = [decode(a, self.object_of) for a in message.get("arguments", [])]
        except MemoryError:
            raise
        except Exception as error:  # rebuilding a value may fail in any way
            raise self.gone(f"the program's answer is unreadable: {error}") from None
        for old, new in zip(arguments, after, strict=False):
            if type(old) is not type(new):
                continue
            if isinstance(old, list | bytearray | array):
                old[:] = new
            elif isinstance(old, deque):
                old.clear()
                old.extend(new)
            elif isinstance(old, dict | set):
                old.clear()
                old.update(new)
        return value


def rebuilt(kinds: Any, detail: str) -> Exception:
    """The nearest built-in exception among the named kinds, so that tests can expect it."""
    for name in kinds if isinstance(kinds, list) else ():
        kind = getattr(builtins, name, None) if isinstance(name, str) else None
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(detail)
            except TypeError:  # some need more than a text
                continue
    return ProgramError(detail)


def judge(job: dict[str, Any], program: socket.socket, limit: int) -> dict[str, str]:
    """Run the tests against the program: {"outcome": ..., "detail": ...}."""
    candidate = Candidate(program, limit)
    names = module_of("tests")
    try:
        exec(compiled(job["setup"], "<setup>"), names)  # noqa: S102 - also behind walls
        tests = compiled(job["tests"], "<tests>")
    except BaseException as error:
        return {"outcome": "refused", "detail": needed(error) or f"{NO_SETUP}: {told(error)}"}
    names.update((name, candidate.function(name)) for name in job["entry_points"])
    try:
        candidate.heard()  # wait until its definitions are loaded
        exec(tests, names)  # noqa: S102
    except MemoryError:
        return {"outcome": "memory", "detail": "the tests ran out of memory"}
    except BaseException as error:
        if candidate.lacks is not None:
            lost = candidate.lost or told(error)
            detail = f"the program imports {candidate.lacks}, which the sandbox lacks: {lost}"
            return {
                "outcome": "failed",
                "detail": detail[:LONGEST_DETAIL],
                "lacks": candidate.lacks,
            }
        if candidate.lost is None and (lack := needed(error)):
            return {"outcome": "refused", "detail": lack}
        outcome = "refused" if candidate.cannot_ask else "failed"
        return {"outcome": outcome, "detail": candidate.lost or told(error)}
    if candidate.lost is not None:
        return {
            "outcome": "refused" if candidate.cannot_ask else "failed",
            "detail": candidate.lost,
        }
    return {"outcome": "passed", "detail": ""}


def needed(error: BaseException) -> str | None:
    """The message if the tests themselves import a missing package."""
    name = lacking(error)
    return None if name is None else f"the tests import {name}, which the sandbox lacks"


@lru_cache(maxsize=256)
def compiled(text: str, name: str) -> CodeType:
    """Compile tests once: the same ones come with every sample."""
    return compile(text, name, "exec")


def serve(harness: socket.socket, limit: int, cpu_seconds: int) -> NoReturn:
    """Judge programs and report to the harness until it hangs up."""
    while (received := frames.receive_with(harness, LONGEST_JOB)) is not None:
        job, descriptor = received
        spent = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (spent + 1 + cpu_seconds, resource.RLIM_INFINITY))
        with socket.socket(fileno=descriptor) as program:
            answer = judge(loads(job), program, limit)
        frames.send(harness, dumps(answer))
    os._exit(0)


def told(error: BaseException) -> str:
    """An exception in one line, with the line of the tests that raised it."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in ("<tests>", "<setup>"):
            line = trace.tb_lineno
        trace = trace.tb_next
    kind, said = type(error).__name__, str(error)
    # An exception from the program starts with its kind.
    text = said if said.startswith(f"{kind}: ") else f"{kind}: {said}".removesuffix(": ")
    text = text[:LONGEST_DETAIL]
    return text if line is None else f"{text} (line {line} of the tests)"
