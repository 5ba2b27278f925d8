"""HumanEval's way of checking: a text passes when the program it completes passes its tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from augury.evaluate.sandbox.pool import Sandbox
from augury.evaluate.sandbox.program import Program, Verdict, humaneval_program
from augury.evaluate.tasks import Instance

Pair = tuple[Instance, str]


def check_programs(sandbox: Sandbox, pairs: Sequence[Pair]) -> list[Verdict]:
    """One verdict per (instance, text), in order; the text goes on where the prompt ends.

    The instance is a HumanEval problem as `read_task` reads it: its prompt, and in its data
    `entry_point` and `test`.

    Raises:
        DataError: an instance lacks one of these, or its prompt is not Python.
        UsageError: the sandbox is closed or cannot go on.
    """
    return sandbox.run(instance_program(instance, text) for instance, text in pairs)


def instance_program(instance: Instance, text: str) -> Program:
    """The program that a text completes.

    Raises:
        DataError: the instance lacks a field of HumanEval's, or its prompt is not Python.
    """
    return humaneval_program(
        {**instance.data, "task_id": instance.id, "prompt": instance.prompt}, text
    )


def unit_tests_checker(sandbox: Sandbox) -> Callable[[Sequence[Pair]], list[bool]]:
    """The same as a check of many texts at once: whether each passed."""
    return lambda pairs: [verdict.passed for verdict in check_programs(sandbox, pairs)]
