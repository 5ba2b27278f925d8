"""HumanEval's check: a text passes if its completed program passes the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from augury.errors import DataError
from augury.evaluate.sandbox.packages import lacking
from augury.evaluate.sandbox.pool import Sandbox
from augury.evaluate.sandbox.program import Program, Verdict, humaneval_program
from augury.evaluate.tasks import Instance

Pair = tuple[Instance, str]


class Judge(Protocol):
    """Runs and judges programs: Augury's sandbox, or one of Inspect's."""

    def run(self, programs: Iterable[Program]) -> list[Verdict]:
        """Return one verdict per program, in the given order."""
        ...


def check_programs(sandbox: Judge, pairs: Sequence[Pair]) -> list[Verdict]:
    """Return one verdict per (instance, text), in order; the text continues the prompt.

    The instance is a HumanEval problem as `read_task` reads it: its prompt, and in its data
    `entry_point` and `test`.

    Raises:
        DataError: an instance lacks one of these, or its prompt is not Python.
        UsageError: the sandbox is closed or cannot continue.
    """
    return sandbox.run(instance_program(instance, text) for instance, text in pairs)


def instance_program(instance: Instance, text: str) -> Program:
    """Return the program that a text completes.

    Raises:
        DataError: the instance lacks a HumanEval field, or its prompt is not Python.
    """
    return humaneval_program(
        {**instance.data, "task_id": instance.id, "prompt": instance.prompt}, text
    )


def validate_tests(instances: Sequence[Instance], offered: Sequence[str] | None = ()) -> None:
    """Find errors that would prevent judging, before any program is generated.

    Args:
        instances: the task's instances.
        offered: packages that the sandbox has besides the standard library; None if unknown here.

    Raises:
        DataError: an instance lacks a HumanEval field, its prompt is not Python, or its tests
            import a package that the sandbox does not have.
    """
    for instance in instances:
        program = instance_program(instance, "")
        if offered is None:
            continue
        missing = lacking(f"{program.setup}\n{program.tests}", offered)
        if missing:
            asked = ",".join(dict.fromkeys([*offered, *missing]))
            raise DataError(
                f"the tests of '{instance.id}' import {missing[0]}, which the sandbox lacks",
                column="test",
                expected="the standard library; where they are installed, the checker "
                f"unit-tests:{asked} offers packages to tests and programs",
            )


def unit_tests_checker(sandbox: Sandbox) -> Callable[[Sequence[Pair]], list[bool]]:
    """Return a check of many texts at once: whether each passed."""
    return lambda pairs: [verdict.passed for verdict in check_programs(sandbox, pairs)]
