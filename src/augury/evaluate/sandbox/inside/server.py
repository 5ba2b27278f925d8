"""The fork server: the first process of a sandbox, which starts every other.

It never reads a program: each child is forked before it receives its job over its own channel, so
no child finds an earlier job in its inherited memory. One child runs at a time. When it ends,
everything else in the sandbox is killed. If a file is left over, the server reports that, and the
sandbox is replaced.

Messages from the harness: ["go", number, kind] with two descriptors, and ["end", number] to kill
the child. Messages to the harness: the walls found, then one report per child. All are JSON padded
to one size, so that two messages are never read as one.

Without walls (`config["walled"]` is false, which needs an explicit flag) children get only resource
limits.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from typing import Any, NoReturn

from . import candidate, frames, judge, kernel, seccomp, stand_ins
from .codec import loads
from .judge import LONGEST_JOB

WORK = "/work"
PACKAGES = "/packages"  # offered by the user besides the standard library
MESSAGE = 256  # bytes
JOB_FD, PEER_FD, ABOVE = 3, 4, 32
PATIENCE = 5  # milliseconds between checks of a child, if no descriptor signals its end

# Imported once here, so that no program pays for it: what the prompts of HumanEval and MBPP and
# their answers import. Modules that slow every fork are left out: hashlib loads OpenSSL (10 %);
# threading and random (which statistics needs) run code in each child (15 % and 10 %).
PRELOADED = """
abc array base64 bisect calendar cmath collections copy dataclasses datetime decimal enum fractions
functools heapq inspect io itertools json math numbers operator re string struct sys textwrap time
traceback types typing unicodedata
"""


class Server:
    """One sandbox, seen from inside."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.control = socket.socket(fileno=os.dup(0))
        self.walled = bool(config["walled"])
        self.filter: seccomp.Filter | None = None
        self.new = (0, 0, 0)
        self.null = os.open("/dev/null", os.O_RDWR)
        os.dup2(self.null, 0)

    def prepare(self) -> None:
        """Drop privileges, prepare what children need, and report the walls to the harness."""
        config = self.config
        walls: dict[str, int] = {}
        if self.walled:
            kernel.mount_tmpfs(WORK, config["uid"], config["disk_bytes"], config["files"])
            kernel.drop_privileges(config["uid"])
            # Changing user clears this; without it an orphan would live until it reads EOF.
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
            # Otherwise each thread reserves 64 MiB of addresses.
            kernel.libc.mallopt(kernel.M_ARENA_MAX, 1)
            os.chdir(WORK)
            kernel.landlock_enter(config["readable"], [WORK, "/dev/null"])
            self.filter = seccomp.Filter(seccomp.program(os.uname().machine))
            stand_ins.install()
            walls = {"landlock": kernel.landlock_version(), "uid": os.getuid(), "pid": os.getpid()}
        if self.walled and config["packages"]:
            sys.path.append(PACKAGES)
        for name in (*PRELOADED.split(), *config["packages"]):
            __import__(name)
        os.environ.clear()
        self.new = self.shape()
        self.limit()
        self.say(walls)
        os.dup2(self.null, 1)
        os.dup2(self.null, 2)
        gc.collect()
        gc.freeze()  # otherwise the first collection in a child copies every page

    def say(self, message: dict[str, Any]) -> None:
        """Send one message to the harness."""
        self.control.send(json.dumps(message).encode().ljust(MESSAGE))

    def serve(self) -> NoReturn:
        """Run children until the harness hangs up."""
        while True:
            data, descriptors, _, _ = socket.recv_fds(self.control, MESSAGE, 2)
            if not data:
                os._exit(0)
            message = json.loads(data)
            if message[0] != "go":
                continue  # an "end" sent before the child's report arrived
            pid = os.fork()
            if pid == 0:
                self.child(message[2], descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            self.say(self.watch(pid, message[1]))

    def watch(self, pid: int, number: int) -> dict[str, Any]:
        """Wait for a child and report how it ended; kill it if told to."""
        process = os.pidfd_open(pid) if self.walled else -1
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        if self.walled:
            poll.register(process, select.POLLIN)
        ended = False
        while True:
            ready = poll.poll(None if self.walled else PATIENCE)
            done, status, usage = os.wait4(pid, os.WNOHANG)
            if done:
                break
            for fd, _ in ready:
                if fd == process:
                    continue
                data = self.control.recv(MESSAGE)
                if not data:
                    os.kill(pid, signal.SIGKILL)
                    os._exit(0)
                if json.loads(data) == ["end", number]:
                    ended = True
                    os.kill(pid, signal.SIGKILL)
        if self.walled:
            os.close(process)
        return {
            "number": number,
            "code": os.waitstatus_to_exitcode(status),
            "cpu": usage.ru_utime + usage.ru_stime,
            "ended": ended,
            "clean": self.clean(),
        }

    def clean(self) -> bool:
        """Kill whatever is left, and say whether the sandbox is clean."""
        left = False
        if self.walled:  # -1 is every process in this sandbox; without walls, all of the user's
            try:
                os.kill(-1, signal.SIGKILL)
                os.waitpid(-1, 0)
                left = True
            except (ProcessLookupError, ChildProcessError):
                pass
        try:
            return not left and not os.listdir(".") and self.shape() == self.new
        except OSError:  # its owner has no access
            return False

    def shape(self) -> tuple[int, int, int]:
        """Permissions and owner of the work directory, which a program may change."""
        found = os.stat(".")
        return found.st_mode, found.st_uid, found.st_gid

    def child(self, kind: str, descriptors: list[int]) -> NoReturn:
        """Run a child: receive its job, go behind the inner walls, do the work."""
        try:
            self.keep(descriptors)
            harness = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=JOB_FD)
            limit = self.config["output_bytes"]
            if kind == "judge":
                self.wall_in(resource.RLIM_INFINITY)  # it limits each program's tests itself
                judge.serve(harness, limit, self.config["cpu_seconds"])
            data = frames.receive(harness, LONGEST_JOB)
            if data is None:
                os._exit(0)
            job = loads(data)
            if kind == "script":
                os.dup2(PEER_FD, 1)
                os.close(PEER_FD)
                give(job["stdin"].encode("utf-8", "surrogatepass"))
            self.wall_in(self.config["cpu_seconds"] + 1)
            if kind == "script":
                candidate.run(job["code"], harness)
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=PEER_FD)
            candidate.serve(job["code"], peer, limit)
        finally:
            os._exit(1)

    def keep(self, descriptors: list[int]) -> None:
        """Close all but the child's channels, which get fixed numbers."""
        self.control.detach()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, ABOVE) for fd in descriptors]
        os.closerange(3, ABOVE)
        for fd, number in zip(high, (JOB_FD, PEER_FD), strict=False):
            os.dup2(fd, number)
            os.close(fd)

    def limit(self) -> None:
        """Limits for all children, which also apply to this server."""
        config = self.config
        limits = {
            resource.RLIMIT_AS: config["memory_bytes"],
            resource.RLIMIT_FSIZE: config["disk_bytes"],
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_MEMLOCK: 0,
        }
        if config["count_threads"]:
            # This server and the program's first thread count as well.
            limits[resource.RLIMIT_NPROC] = config["threads"] + 2
        for what, most in limits.items():
            try:
                resource.setrlimit(what, (most, most))
            except (OSError, ValueError):
                if self.walled:  # macOS refuses some, and has no walls anyway
                    raise

    def wall_in(self, cpu_hard: int) -> None:
        """Set a child's own limits and the filter, permanently."""
        config = self.config
        # The first limit sends a signal, the second kills.
        resource.setrlimit(resource.RLIMIT_CPU, (config["cpu_seconds"], cpu_hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (config["open_files"],) * 2)
        if self.filter is not None:
            self.filter.install()


def give(stdin: bytes) -> None:
    """Make `stdin` this process's standard input."""
    given = os.open("stdin", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink("stdin")
    os.write(given, stdin)
    os.lseek(given, 0, os.SEEK_SET)
    os.dup2(given, 0)
    os.close(given)


def main() -> None:
    """The entry point that bubblewrap starts."""
    server = Server(json.loads(sys.argv[1]))
    server.prepare()
    server.serve()
