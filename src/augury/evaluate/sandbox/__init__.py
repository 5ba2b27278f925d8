"""Run model-written Python behind walls, or not at all.

    with Sandbox() as sandbox:
        verdicts = sandbox.run([Program("1", code, tests=tests, entry_points=("f",))])

docs/sandbox.md says what it blocks, how, and what it does not promise.
"""

from augury.evaluate.sandbox.checking import check_programs, unit_tests_checker
from augury.evaluate.sandbox.pool import Sandbox
from augury.evaluate.sandbox.program import Limits, Program, Verdict, humaneval_program

__all__ = [
    "Limits",
    "Program",
    "Sandbox",
    "Verdict",
    "check_programs",
    "humaneval_program",
    "unit_tests_checker",
]
