"""One walled fork server, as the harness controls it."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from augury.errors import UsageError
from augury.evaluate.sandbox import walls
from augury.evaluate.sandbox.inside.server import MESSAGE
from augury.evaluate.sandbox.program import Limits

START_SECONDS = 60.0  # for the server to start: .1 s, or many times that on a busy machine
GRACE_SECONDS = 20.0  # for the server to report a killed child, which takes a millisecond
CLOSE_SECONDS = 5.0  # for the server to exit after its channel is closed


class LostError(Exception):
    """The fork server is gone or does not answer and has to be replaced."""


class Enclosure:
    """A fork server behind walls (or, if requested, without).

    The thread that creates it must live as long: the kernel kills bubblewrap with it.

    Raises:
        UsageError: the walls cannot be built here; the message says what is missing.
    """

    def __init__(self, limits: Limits, *, walled: bool, packages: Sequence[str] = ()) -> None:
        self.number = 0
        self.folder: str | None = None
        self.walls: dict[str, str] = {}
        if not walled:
            self.folder = tempfile.mkdtemp(prefix="augury-unsafe-")
            self._start(
                walls.interpreter(sys.executable),
                walls.configuration(limits, packages),
                str(walls.INSIDE.parent),
            )
            self.walls = {"none": "no walls, resource limits only"}
            return
        complaints: list[str] = []
        for command, config in walls.commands(walls.required(), limits, packages):
            try:
                hello = self._start(command, config, walls.SHOWN_AT)
            except LostError as error:
                complaints.append(str(error))
                continue
            self.walls = walls.described(config, hello, command)
            return
        raise walls.refused("; then ".join(complaints))

    def _start(self, command: list[str], config: dict[str, Any], path: str) -> dict[str, Any]:
        """Start the server and read which walls it found."""
        self.control, theirs = socket.socketpair()
        start = [*command, "-c", walls.START.format(path=path), json.dumps(config)]
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                start,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=self.folder or "/",
                start_new_session=True,  # Ctrl-C is for this process, which closes the server
                env={"PYTHONHASHSEED": "0"},  # pass on no variables of ours, even without walls
            )
        assert self.process.stderr is not None
        with self.process.stderr as complaints:
            try:
                return self._heard(time.monotonic() + START_SECONDS)
            except LostError:
                self.process.kill()
                said = complaints.read().decode(errors="replace").strip()
                self.close()
                raise LostError(said.splitlines()[-1] if said else "no answer") from None

    def go(self, kind: str, descriptors: list[int]) -> None:
        """Fork a child of this kind with two descriptors: its job's channel, and a peer."""
        self.number += 1
        message = json.dumps(["go", self.number, kind]).encode().ljust(MESSAGE)
        try:
            socket.send_fds(self.control, [message], descriptors)
        except OSError as error:
            raise LostError(str(error)) from error

    def end(self) -> None:
        """Kill the child, if it still runs."""
        with contextlib.suppress(OSError):  # `report` will say that the server is gone
            self.control.send(json.dumps(["end", self.number]).encode().ljust(MESSAGE))

    def report(self, deadline: float) -> dict[str, Any] | None:
        """Return how the child ended; None if it still runs at the deadline (on the monotonic
        clock).

        Raises:
            LostError: the server is gone or its answer is invalid.
        """
        while True:
            self.control.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                message = self._read()
            except TimeoutError:
                return None
            if message.get("number") == self.number:
                return message

    def ended(self, until: float | None = None) -> dict[str, Any]:
        """Wait until a time (on the monotonic clock), then kill the child; return how it ended."""
        report = None if until is None else self.report(until)
        if report is None:
            self.end()
            report = self.report(time.monotonic() + GRACE_SECONDS)
        if report is None:
            raise LostError("the fork server does not answer")
        return report

    def _heard(self, deadline: float) -> dict[str, Any]:
        self.control.settimeout(deadline - time.monotonic())
        try:
            return self._read()
        except TimeoutError:
            raise LostError("no answer") from None

    def _read(self) -> dict[str, Any]:
        try:
            data = self.control.recv(MESSAGE, socket.MSG_WAITALL)
            message = json.loads(data) if data else None
        except TimeoutError:
            raise
        except (OSError, ValueError) as error:
            raise LostError(str(error)) from error
        if not isinstance(message, dict):
            raise LostError("the fork server has ended")
        return message

    def close(self) -> None:
        """End the server and everything in it, and leave nothing behind."""
        self.control.close()
        try:
            self.process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def missing() -> str | None:
    """Return why no walls can be built here; None if they can."""
    try:
        Enclosure(Limits(), walled=True).close()
    except UsageError as error:
        return str(error)
    return None
