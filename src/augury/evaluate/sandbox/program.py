"""A program, its limits, and its verdict."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from augury.errors import DataError, UsageError
from augury.evaluate.sandbox.answers import judged_program

Outcome = Literal["passed", "failed", "timeout", "memory", "crash", "refused"]

# CPython with the preloaded modules uses about 40 MB of addresses before a program starts.
LEAST_MEMORY = 64 << 20
HUMANEVAL_FIELDS = ("task_id", "prompt", "entry_point", "test")


@dataclass(frozen=True)
class Limits:
    """What one program may use. Every program starts with the full limits.

    `cpu_seconds` decides a timeout, so a busy machine does not change a verdict. `wall_seconds` is
    only for programs that sleep: a program that computes reaches it first only if the machine gives
    it less than a tenth of one core's time.
    """

    cpu_seconds: int = 5
    wall_seconds: float = 50.0
    memory_bytes: int = 512 << 20  # of address space
    disk_bytes: int = 16 << 20  # in its work directory, which is in memory
    files: int = 1024  # in its work directory
    open_files: int = 64
    threads: int = 16  # besides the first; there is never a second process
    output_bytes: int = 1 << 20  # printed, and in any one answer to its tests

    def __post_init__(self) -> None:
        for name in ("cpu_seconds", "wall_seconds", "disk_bytes", "files", "output_bytes"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be positive, not {getattr(self, name)}")
        if self.cpu_seconds != int(self.cpu_seconds):
            raise UsageError(f"cpu_seconds is a whole number of seconds, not {self.cpu_seconds}")
        if self.memory_bytes < LEAST_MEMORY:
            raise UsageError(
                f"memory_bytes must be at least {LEAST_MEMORY}, which Python itself needs,"
                f" not {self.memory_bytes}"
            )
        if self.open_files < 8:
            raise UsageError(f"open_files must be at least 8, not {self.open_files}")
        if self.threads < 0:
            raise UsageError(f"threads must not be negative, not {self.threads}")


@dataclass(frozen=True)
class Program:
    """One model-written program, and how to judge it.

    With `tests`, the tests call the program's functions named in `entry_points` from another
    sandbox: arguments and answers are exchanged as plain values. `setup` is trusted code from the
    task that the tests need (helper functions of a prompt). Without `tests`, the program is a
    script: it reads `stdin`, and passes if it ends with status 0 and prints `expected_output`,
    ignoring white space at the ends of lines and of the text. With `expected_output=None`, status 0
    is enough, and the verdict contains the output for the caller to judge.
    """

    id: str
    code: str
    tests: str | None = None
    setup: str = ""
    entry_points: tuple[str, ...] = ()
    stdin: str = ""
    expected_output: str | None = None

    def __post_init__(self) -> None:
        if self.tests is not None and not self.entry_points:
            raise UsageError(f"program '{self.id}' has tests but no entry_points for them to call")
        if self.tests is not None and (self.stdin or self.expected_output is not None):
            raise UsageError(
                f"program '{self.id}' is judged by its tests or by its output, not by both"
            )


@dataclass(frozen=True)
class Verdict:
    """The verdict on one program.

    Only `passed` counts as a pass. `outcome` distinguishes programs that were refused, stopped or
    crashed, and `lacks` names a package that the program imports and the sandbox does not have.
    `detail` gives the reason in one line; where it quotes the program, it may contain anything.
    `cpu_seconds` is the program's own CPU time; `output` is what a script printed.
    """

    id: str
    outcome: Outcome
    detail: str = ""
    cpu_seconds: float = 0.0
    output: str = ""
    lacks: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the program passed."""
        return self.outcome == "passed"


def humaneval_program(problem: Mapping[str, Any], completion: str) -> Program:
    """Build a program from a completion of a HumanEval problem (task_id, prompt, entry_point,
    test).

    Chen et al. 2021 (arXiv 2107.03374). The tests see the prompt's helper functions as the prompt
    has them, and the completed function through the sandbox. Whole functions and code in fences are
    taken as well as bodies (`answers`).

    Raises:
        DataError: a field is missing or not text, or the prompt is not Python.
    """
    for field in HUMANEVAL_FIELDS:
        if not isinstance(problem.get(field), str):
            raise DataError(
                "a HumanEval problem lacks a field",
                source=str(problem.get("task_id", "problem without task_id")),
                column=field,
                value=problem.get(field),
                expected="text",
            )
    task, prompt, entry = problem["task_id"], problem["prompt"], problem["entry_point"]
    stub = _complete(prompt, task)
    return Program(
        id=task,
        code=judged_program(prompt, stub, completion, entry),
        tests=f"{problem['test']}\ncheck({entry})\n",
        setup=stub,
        entry_points=(entry,),
    )


@lru_cache(maxsize=1024)
def _complete(prompt: str, task: str) -> str:
    """The prompt as a module, whose last function has a docstring as its body, or gets one."""
    for ending in ("", "\n    pass\n"):
        try:
            ast.parse(prompt + ending)
        except SyntaxError as error:
            problem = error
        else:
            return prompt + ending
    raise DataError(
        f"the prompt is not Python up to the completion: {problem.msg}",
        source=task,
        row=problem.lineno,
        column="prompt",
    )
