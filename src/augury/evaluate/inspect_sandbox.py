"""Unit tests in Inspect's sandboxes: `docker`, those of plugins, or `local`, which has no walls.

By Inspect's documented way: a `Task` whose samples have a sandbox, in which a solver runs commands
(`inspect_ai.util.sandbox` answers inside a task only). Every program has a sandbox of its own.

What it promises is less than ours: the tests run in the program's own process, in which they end by
printing a word that is made up for each program. A program that looks for this word can pass.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Iterable
from typing import Any

from augury.errors import UsageError
from augury.evaluate.sandbox.pool import NO_WALLS
from augury.evaluate.sandbox.program import Limits, Outcome, Program, Verdict

PREFIX = "inspect-"  # unit-tests:inspect-docker
SCRIPT = """{setup}
from program import {names}
{tests}
print({word!r})
"""
# The limits are those of the shell, so that they hold in any sandbox that has one.
COMMAND = "ulimit -S -t {cpu}; ulimit -v {memory}; exec python3 check.py"
LONGEST_DETAIL = 300
CPU_ENDS = (-24, 152)  # SIGXCPU, as a child's status and as a shell's


class InspectSandbox:
    """Judges programs in sandboxes of Inspect's.

    Args:
        provider: as Inspect calls it: "docker", "local", or that of a plugin.
        limits: CPU time, wall time and memory of each program; other limits are the sandbox's.
        together: programs judged at a time.

    Raises:
        UsageError: the extra `inspect` is missing.
    """

    def __init__(self, provider: str, *, limits: Limits | None = None, together: int = 4) -> None:
        try:
            import inspect_ai  # noqa: F401
        except ModuleNotFoundError as error:
            raise UsageError(
                'this needs inspect-ai, which is not installed: pip install "augury[inspect]"'
            ) from error
        if provider == "local":
            sys.stderr.write(NO_WALLS.format(by="Inspect's sandbox 'local'"))
        self.provider, self.limits, self._together = provider, limits or Limits(), together

    def run(self, programs: Iterable[Program]) -> list[Verdict]:
        """One verdict per program, in the order given.

        Raises:
            UsageError: a program has no tests, or Inspect cannot start the sandbox.
        """
        jobs = {str(i): program for i, program in enumerate(programs)}
        if not jobs:
            return []
        words = {key: secrets.token_hex(16) for key in jobs}
        ends = self._ends({key: _files(program, words[key]) for key, program in jobs.items()})
        return [
            Verdict(program.id, *_judged(ends[key], words[key], self.limits))
            for key, program in jobs.items()
        ]

    def _ends(self, files: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
        """How each program ended, by key."""
        import inspect_ai
        from inspect_ai.dataset import Sample
        from inspect_ai.solver import Generate, TaskState, solver
        from inspect_ai.util import sandbox

        limits = self.limits
        command = COMMAND.format(cpu=limits.cpu_seconds, memory=limits.memory_bytes >> 10)

        @solver  # type: ignore[untyped-decorator]  # the package is not read
        def run_tests() -> Any:
            async def solve(state: TaskState, generate: Generate) -> TaskState:
                box = sandbox()
                for name, text in state.metadata["files"].items():
                    await box.write_file(name, text)
                try:
                    done = await box.exec(
                        ["sh", "-c", command],
                        timeout=int(limits.wall_seconds),
                        timeout_retry=False,
                    )
                    end = {"code": done.returncode, "out": done.stdout, "err": done.stderr}
                except TimeoutError:
                    end = {"late": True}
                except Exception as error:  # it printed too much, or what is not text
                    end = {"code": 1, "out": "", "err": f"{type(error).__name__}: {error}"}
                state.metadata["end"] = end
                return state

            return solve

        samples = [Sample(input=key, id=key, metadata={"files": f}) for key, f in files.items()]
        with tempfile.TemporaryDirectory() as logs:
            try:
                (log,) = inspect_ai.eval(
                    inspect_ai.Task(dataset=samples, solver=run_tests(), sandbox=self.provider),
                    model="mockllm/model",  # never asked
                    display="none",
                    log_dir=logs,
                    score=False,
                    max_samples=self._together,
                    max_subprocesses=self._together,
                )
            except Exception as error:
                raise UsageError(self._refused(str(error))) from error
            if log.status != "success":
                raise UsageError(self._refused(log.error.message if log.error else log.status))
            # Read where the log still is: samples are fetched when they are asked for.
            return {str(s.id): s.metadata["end"] for s in log.samples or []}

    def _refused(self, why: str) -> str:
        return f"Inspect's sandbox '{self.provider}' cannot be used: {' '.join(why.split())[:300]}"


def _files(program: Program, word: str) -> dict[str, str]:
    """What lies in the sandbox: the program, and its tests."""
    if program.tests is None:
        raise UsageError(f"Inspect's sandboxes judge programs by tests; '{program.id}' has none")
    names = ", ".join(program.entry_points)
    check = SCRIPT.format(setup=program.setup, names=names, tests=program.tests, word=word)
    return {"program.py": program.code, "check.py": check}


def _judged(end: dict[str, Any], word: str, limits: Limits) -> tuple[Outcome, str]:
    """The outcome, and why in a line."""
    if end.get("late"):
        return "timeout", f"no end within {limits.wall_seconds:g} s"
    code, out, err = end["code"], str(end["out"]), str(end["err"])
    if code in CPU_ENDS:
        return "timeout", f"more than {limits.cpu_seconds} s of CPU time"
    if code == 0 and out.rstrip().splitlines()[-1:] == [word]:
        return "passed", ""
    last = (err.rstrip().splitlines() or [""])[-1][:LONGEST_DETAIL]
    if last.startswith("MemoryError"):
        return "memory", f"more than {limits.memory_bytes} bytes of memory"
    return "failed", last or f"its tests did not end (exit status {code})"
