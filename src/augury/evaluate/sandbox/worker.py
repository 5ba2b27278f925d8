"""Judge one program after another, each from outside its process.

A worker holds two enclosures: programs run in one, their tests in the other. The expected values
are never where the program is, and a program that crashes its enclosure loses only that one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any

from augury.evaluate.sandbox.enclosure import Enclosure, LostError
from augury.evaluate.sandbox.inside import frames
from augury.evaluate.sandbox.inside.candidate import LONGEST_DETAIL, OUT_OF_MEMORY
from augury.evaluate.sandbox.inside.judge import GONE, LONGEST_JOB
from augury.evaluate.sandbox.program import Limits, Outcome, Program, Verdict

ATTEMPTS = 2  # retry in a new enclosure if the first was lost; the program may not be at fault
# Bytes of a failure message: JSON writes a character in up to 12, and a line number follows.
WORD = 16 * LONGEST_DETAIL
READ = 1 << 16
MOST_JUDGED = 1000  # programs per process of tests; a new process costs as much as one program


class Worker:
    """Judges programs one by one; create, use and close it in one thread (see `Enclosure`)."""

    def __init__(self, limits: Limits, *, walled: bool, packages: Sequence[str] = ()) -> None:
        self.limits, self.walled, self.packages = limits, walled, packages
        self.rooms: dict[str, Enclosure] = {}
        self.judge: socket.socket | None = None
        self.judged = 0
        self.walls = self.room("programs").walls
        self.room("tests")

    def room(self, name: str) -> Enclosure:
        """Return the enclosure for programs or for tests, creating it if needed."""
        if name not in self.rooms:
            self.rooms[name] = Enclosure(self.limits, walled=self.walled, packages=self.packages)
        return self.rooms[name]

    def leave(self, name: str) -> None:
        """Close an enclosure; the next program gets another."""
        room = self.rooms.pop(name, None)
        if room is not None:
            room.close()

    def close(self) -> None:
        """Close everything."""
        if self.judge is not None:
            self.judge.close()
        self.judge, self.judged = None, 0
        for name in list(self.rooms):
            self.leave(name)

    def verdict(self, program: Program) -> Verdict:
        """Judge one program.

        Raises:
            UsageError: a lost enclosure could not be replaced.
        """
        for _ in range(ATTEMPTS):
            try:
                if program.tests is not None:
                    return self._by_tests(program)
                return self._by_output(program)
            except LostError:
                self.close()
        return Verdict(program.id, "crash", f"its sandbox was lost with it, {ATTEMPTS} times")

    def _by_tests(self, program: Program) -> Verdict:
        tests = {
            "setup": program.setup,
            "tests": program.tests,
            "entry_points": list(program.entry_points),
        }
        try:
            jobs = _job({"code": program.code}), _job(tests)
        except ValueError as error:
            return Verdict(program.id, "refused", str(error))
        deadline = time.monotonic() + self.limits.wall_seconds
        with contextlib.ExitStack() as channels:
            asked, answering = map(channels.enter_context, socket.socketpair())
            said = channels.enter_context(self._start("programs", "functions", answering.fileno()))
            answering.close()  # otherwise the judge would not notice that the program hung up
            # Nothing reads this channel: it must not wait for it, nor start early.
            said.shutdown(socket.SHUT_RD)
            _send(said, jobs[0])
            judge = self._judge()
            _send(judge, jobs[1], asked.fileno())
            asked.close()
            answer = _word(judge, deadline)
            late = answer is None and time.monotonic() >= deadline
            report = self._ended("programs")  # its tests are over, whatever it does now
        end = None if answer is None else (answer["outcome"], answer["detail"])
        if end is None or end[0] not in ("passed", "failed"):
            judged = self._dismissed()
            end = end or (self._too_long(report) if late else self._of_tests(judged))
        if end[0] != "passed":
            end = self._end_of(report, gone=end[1] == GONE) or end
        outcome, detail = end
        lacks = None if answer is None else answer.get("lacks")
        return Verdict(program.id, outcome, detail, report["cpu"], lacks=lacks)

    def _of_tests(self, judged: dict[str, Any]) -> tuple[Outcome, str]:
        """Return the outcome if the process of the tests ended before they did."""
        outcome, detail = self._end_of(judged) or ("crash", f"exit status {judged['code']}")
        return outcome, f"its tests: {detail}"

    def _by_output(self, program: Program) -> Verdict:
        try:
            job = _job({"code": program.code, "stdin": program.stdin})
        except ValueError as error:
            return Verdict(program.id, "refused", str(error))
        if len(program.stdin.encode("utf-8", "surrogatepass")) > self.limits.disk_bytes:
            return Verdict(program.id, "refused", "its input is larger than disk_bytes")
        deadline = time.monotonic() + self.limits.wall_seconds
        allowed = self.limits.output_bytes
        with contextlib.ExitStack() as channels:
            reading, writing = (channels.enter_context(os.fdopen(fd, "rb")) for fd in os.pipe())
            said = channels.enter_context(self._start("programs", "script", writing.fileno()))
            writing.close()
            _send(said, job)
            output = _printed(reading.fileno(), allowed + 1, deadline)
            report = self._ended("programs", deadline if len(output) <= allowed else None)
            why = _said(said)
        text = output[:allowed].decode("utf-8", "replace")
        end = self._end_of(report)
        if end is None and len(output) > allowed:
            end = "failed", f"it printed more than {allowed} bytes"
        if end is None and report["ended"]:
            end = self._too_long(report)
        if end is None and report["code"] != 0:
            end = "failed", why or f"exit status {report['code']}"
        expected = program.expected_output
        if end is None and expected is not None and _lines(text) != _lines(expected):
            end = "failed", "its output differs from the expected output"
        return Verdict(program.id, *(end or ("passed", "")), report["cpu"], text)

    def _judge(self) -> socket.socket:
        """Return the channel to the process of the tests, creating it if needed."""
        if self.judged >= MOST_JUDGED:
            self._dismissed()
        if self.judge is None:
            self.judge = self._start("tests", "judge")
        self.judged += 1
        return self.judge

    def _dismissed(self) -> dict[str, Any]:
        """Return how the process of the tests ended, killing it if needed; the next one is new."""
        if self.judge is not None:
            self.judge.close()
        self.judge, self.judged = None, 0
        return self._ended("tests")

    def _start(self, room: str, kind: str, *peer: int) -> socket.socket:
        """Fork a child, and return our end of its channel."""
        enclosure = self.room(room)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                enclosure.go(kind, [theirs.fileno(), *peer])
            except LostError:
                ours.close()
                raise
        return ours

    def _ended(self, room: str, until: float | None = None) -> dict[str, Any]:
        """Return how a child ended, killing it if needed; close an enclosure that is not clean."""
        report = self.room(room).ended(until)
        if not report["clean"]:
            self.leave(room)
        return report

    def _end_of(self, report: dict[str, Any], *, gone: bool = False) -> tuple[Outcome, str] | None:
        """Return the outcome, if the way a process ended decides it.

        `gone`: it had hung up. A process that is being killed hangs up a moment before it counts as
        dead, so a kill of ours may come in between.
        """
        code, limit = report["code"], self.limits.cpu_seconds
        if code == -signal.SIGXCPU or (code == -signal.SIGKILL and report["cpu"] >= limit):
            return "timeout", f"more than {limit} s of CPU time"
        if code == OUT_OF_MEMORY:
            return "memory", f"more than {self.limits.memory_bytes} bytes of memory"
        if code == -signal.SIGSYS:
            return "refused", "a system call that no program needs (network, other processes, ...)"
        if code == -signal.SIGKILL and report["ended"] and not gone:
            return None  # we killed it
        if code < 0:
            return "crash", signal.Signals(-code).name
        return None

    def _too_long(self, report: dict[str, Any]) -> tuple[Outcome, str]:
        return (
            "timeout",
            f"no end within {self.limits.wall_seconds:g} s, including {report['cpu']:.2f} s"
            " of CPU time",
        )


def _job(content: dict[str, Any]) -> bytes:
    data = json.dumps(content).encode()
    if len(data) > LONGEST_JOB:
        raise ValueError(f"{len(data)} bytes of program and tests, where {LONGEST_JOB} are allowed")
    return data


def _send(channel: socket.socket, data: bytes, descriptor: int | None = None) -> None:
    try:
        if descriptor is None:
            frames.send(channel, data)
        else:
            frames.send_with(channel, data, descriptor)
    except OSError as error:
        raise LostError(str(error)) from error


def _word(channel: socket.socket, deadline: float) -> dict[str, Any] | None:
    """Return the judge's message; None if there is none."""
    channel.settimeout(max(deadline - time.monotonic(), 0.001))
    try:
        data = frames.receive(channel, WORD)
    except (OSError, frames.TooLongError):  # too late, or the judge died or sent nonsense
        return None
    return None if data is None else json.loads(data)


def _said(channel: socket.socket) -> str:
    """Return the reason that a finished script gave for stopping, truncated."""
    channel.settimeout(0)
    with contextlib.suppress(OSError, ValueError):
        return (frames.receive(channel, WORD) or b"").decode("utf-8", "replace")[:LONGEST_DETAIL]
    return ""


def _printed(pipe: int, most: int, deadline: float) -> bytes:
    """Read a pipe until its end, the deadline, or `most` bytes."""
    output = b""
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    while len(output) < most:
        left = deadline - time.monotonic()
        if left <= 0 or not waiting.poll(1000 * left):
            break
        data = os.read(pipe, READ)
        if not data:
            break
        output += data
    return output


def _lines(text: str) -> list[str]:
    """Return a text's lines without trailing white space or trailing empty lines."""
    return [line.rstrip() for line in text.rstrip().split("\n")]
