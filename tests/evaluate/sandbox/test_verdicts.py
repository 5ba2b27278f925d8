"""Verdicts on honest programs: right ones pass and wrong ones fail, for all kinds of values."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from augury.errors import DataError, UsageError
from augury.evaluate.sandbox import (
    Limits,
    Program,
    Sandbox,
    check_programs,
    humaneval_program,
    unit_tests_checker,
)
from augury.evaluate.sandbox.enclosure import missing
from augury.evaluate.tasks import Instance, read_task
from tests.evaluate.sandbox.conftest import (
    INNOCENT,
    LIMITS,
    WRONG,
    command,
    descendants,
    processes_of,
)

# In HumanEval's form: a helper in the prompt, used by the tests, an import, doctests.
PROBLEM = {
    "task_id": "Test/0",
    "prompt": "from typing import List\n\n\ndef double(x: int) -> int:\n    return 2 * x\n\n\n"
    "def doubled(xs: List[int]) -> List[int]:\n"
    '    """Every number doubled.\n    >>> doubled([1, 2])\n    [2, 4]\n    """\n',
    "entry_point": "doubled",
    "test": "\n\nMETADATA = {'author': 'nobody'}\n\n\ndef check(candidate):\n"
    "    assert candidate([]) == []\n"
    "    assert candidate([1, 2, 3]) == [double(x) for x in (1, 2, 3)]\n",
}
RIGHT = "    return [double(x) for x in xs]\n"
COMPLETIONS = {
    RIGHT: "passed",
    "    return [2 * x for x in xs]\n\n\nprint(doubled([1]))\n": "passed",
    "    return [x for x in xs]\n": "failed",
    "    return tuple(2 * x for x in xs)\n": "failed",
    "    return [double(x for x in xs]\n": "failed",
    "    return undefined\n": "failed",
    "    import os\n    os.abort()\n": "crash",
    "    x = bytearray(1 << 40)\n": "memory",
    "    while True:\n        pass\n": "timeout",
    "    import socket\n    socket.create_connection(('1.1.1.1', 80))\n": "refused",
}


def test_a_humaneval_problem(sandbox: Sandbox) -> None:
    verdicts = sandbox.run([humaneval_program(PROBLEM, text) for text in COMPLETIONS])
    assert [v.outcome for v in verdicts] == list(COMPLETIONS.values()), verdicts
    assert [v.id for v in verdicts] == ["Test/0"] * len(COMPLETIONS)
    assert "AssertionError" in verdicts[2].detail
    assert "SyntaxError" in verdicts[4].detail
    assert "NameError" in verdicts[5].detail
    assert "1 s of CPU time" in verdicts[8].detail


def test_a_task_file_is_checked_as_it_is(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    second = {**PROBLEM, "task_id": "Test/1", "canonical_solution": RIGHT}
    path.write_text("\n".join(json.dumps(p) for p in (PROBLEM, second)))
    first, last = read_task(path).instances
    pairs = [(first, RIGHT), (last, "    return []\n"), (last, RIGHT)]
    assert [v.outcome for v in check_programs(sandbox, pairs)] == ["passed", "failed", "passed"]
    assert unit_tests_checker(sandbox)(pairs) == [True, False, True]
    assert unit_tests_checker(sandbox)([]) == []


@pytest.mark.parametrize("field", ["entry_point", "test"])
def test_a_missing_field_is_named(sandbox: Sandbox, field: str) -> None:
    data = {k: v for k, v in PROBLEM.items() if k not in (field, "task_id", "prompt")}
    with pytest.raises(DataError, match=f"Test/0, column '{field}'.*lacks a field"):
        check_programs(sandbox, [(Instance("Test/0", PROBLEM["prompt"], (), data), RIGHT)])
    assert sandbox.run([INNOCENT])[0].passed


def test_a_prompt_that_is_no_python_is_named() -> None:
    with pytest.raises(DataError, match="Test/0, row 1, column 'prompt'"):
        humaneval_program({**PROBLEM, "prompt": "def f(:\n"}, RIGHT)


# Values that must be unchanged between a program and its tests.
CROSSING = """
import math
from decimal import Decimal
from fractions import Fraction
assert f(None, True, 1, 'é\\ud800', b'x') == (None, True, 1, 'é\\ud800', b'x')
assert f(2 ** 5000) == (2 ** 5000,)
assert math.isnan(f(float('nan'))[0]) and f(float('-inf'), 0.1) == (float('-inf'), 0.1)
assert f([1, (2, [3])], {(1, 2): {3}}) == ([1, (2, [3])], {(1, 2): {3}})
assert type(f(frozenset([1]))[0]) is frozenset and type(f(bytearray(b'x'))[0]) is bytearray
assert f(1 + 2j, range(3), Fraction(1, 3), Decimal('1.10')) == (
    1 + 2j, range(3), Fraction(1, 3), Decimal('1.10'))
assert f(1) is not True and type(f(True)[0]) is bool and type(f(1.0)[0]) is float
assert list(g(3)) == [0, 1, 2]
x = [3, 1, 2]
assert h(x) is None and x == [1, 2, 3]
try:
    k({})
except KeyError as error:
    assert 'missing' in str(error)
else:
    raise AssertionError('no KeyError')
assert f(*range(9), **{}) == tuple(range(9)) and d(b=1, a=2) == 1
"""


def test_values_cross_as_they_are(sandbox: Sandbox) -> None:
    code = (
        "def f(*a):\n    return a\ndef g(n):\n    yield from range(n)\n"
        "def h(x):\n    x.sort()\ndef k(d):\n    return d['missing']\n"
        "def d(a, b):\n    return a - b\n"
    )
    program = Program("values", code, tests=CROSSING, entry_points=tuple("fghkd"))
    (verdict,) = sandbox.run([program])
    assert verdict.passed, verdict


def test_tests_that_cannot_be_asked_are_refused(sandbox: Sandbox) -> None:
    call = Program("call", "def f(g):\n    return g(1)\n", "assert f(lambda x: x)", "", ("f",))
    broken = Program("broken", "def f():\n    return 1\n", "assert (", "", ("f",))
    verdicts = sandbox.run([call, broken, INNOCENT])
    assert [v.outcome for v in verdicts] == ["refused", "refused", "passed"]
    assert "cannot cross" in verdicts[0].detail
    assert "SyntaxError" in verdicts[1].detail


def test_scripts_are_judged_by_what_they_print(sandbox: Sandbox) -> None:
    code = "n = int(input())\nprint(sum(int(input()) for _ in range(n)), ' ')\nprint()\n"

    def script(text: str, stdin: str = "", expected_output: str | None = None) -> Program:
        return Program("s", text, stdin=stdin, expected_output=expected_output)

    verdicts = sandbox.run(
        [
            script(code, stdin="2\n3\n4\n", expected_output="7\n"),
            script(code, stdin="2\n3\n4\n", expected_output="8\n"),
            script(code, stdin="2\n3\n", expected_output="7\n"),
            script("print('a')\nraise SystemExit(3)\n"),
            script("print('ü')\n"),
            script("import sys\nsys.stdout.buffer.write(b'\\xff')\n", expected_output="x"),
        ]
    )
    found = [(v.outcome, v.output, v.detail) for v in verdicts]
    assert found[0] == ("passed", "7  \n\n", "")
    assert found[1][::2] == ("failed", "its output differs from the expected output")
    assert found[2] == ("failed", "", "EOFError: EOF when reading a line (line 2)")
    assert found[3] == ("failed", "a\n", "exit status 3")
    assert found[4] == ("passed", "ü\n", "")
    assert found[5][:2] == ("failed", "\ufffd")


def test_a_sleeping_program_ends_by_the_clock() -> None:
    problem = missing()
    if problem is not None:
        pytest.skip(problem)
    sleep = "import time\ndef f(x=0):\n    time.sleep(99)\n"
    with Sandbox(Limits(wall_seconds=0.3), workers=1) as sandbox:
        programs = [Program("f", sleep, "f()", "", ("f",)), Program("s", sleep + "f()\n")]
        programs += [Program("x", "import os\nos.close(1)\n" + sleep + "f()\n"), INNOCENT]
        verdicts = sandbox.run(programs)
    assert [v.outcome for v in verdicts] == ["timeout"] * 3 + ["passed"]
    assert all("no end within 0.3 s" in v.detail for v in verdicts[:3])
    assert all(v.cpu_seconds < 0.2 for v in verdicts[:3])


def test_a_program_too_long_is_refused(sandbox: Sandbox) -> None:
    long = Program("long", "#" * (1 << 26), "f()", "", ("f",))
    assert [v.outcome for v in sandbox.run([long, INNOCENT])] == ["refused", "passed"]


def test_workers_keep_the_order_and_leave_nothing(sandbox: Sandbox) -> None:
    before, descriptors = descendants(), len(os.listdir("/proc/self/fd"))
    programs = [
        Program(str(i), f"def f():\n    return {i}\n", f"assert f() == {i - i % 3}", "", ("f",))
        for i in range(150)
    ]
    with Sandbox(LIMITS, workers=3) as several:
        verdicts = several.run(iter(programs))
        assert len(processes_of(several)) >= 3
    assert [v.id for v in verdicts] == [p.id for p in programs]
    assert [v.passed for v in verdicts] == [i % 3 == 0 for i in range(150)]
    assert not descendants() - before
    assert len(os.listdir("/proc/self/fd")) == descriptors
    with pytest.raises(UsageError, match="closed"):
        several.run([INNOCENT])


def test_what_is_lost_is_replaced(sandbox: Sandbox) -> None:
    assert sandbox.run([INNOCENT])[0].passed
    before = processes_of(sandbox)
    assert before
    for pid in before:  # including fork servers and bubblewrap
        with contextlib.suppress(ProcessLookupError):  # it may have died with its parent
            os.kill(pid, signal.SIGKILL)
    assert [v.outcome for v in sandbox.run([INNOCENT, WRONG])] == ["passed", "failed"]
    after = processes_of(sandbox)
    assert len(after) == len(before)
    assert not after & before


HARNESS = """
from augury.evaluate.sandbox import Limits, Program, Sandbox
sandbox = Sandbox(Limits(cpu_seconds=60, wall_seconds=60), workers=1)
print("up", flush=True)
sandbox.run([Program("endless", "while True:\\n    pass\\n")])
"""


def test_nothing_outlives_its_harness(sandbox: Sandbox) -> None:
    with subprocess.Popen([sys.executable, "-c", HARNESS], stdout=subprocess.PIPE) as harness:
        assert harness.stdout is not None
        assert harness.stdout.readline() == b"up\n"
        started = descendants(harness.pid)
        harness.kill()
    assert len(started) >= 4
    end = time.monotonic() + 10
    while (left := [p for p in started if command(p)]) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left


def test_a_call_that_is_broken_off_leaves_the_sandbox_usable(sandbox: Sandbox) -> None:
    def programs() -> object:
        yield INNOCENT
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sandbox.run(programs())  # type: ignore[arg-type]
    assert [v.outcome for v in sandbox.run([WRONG, INNOCENT])] == ["failed", "passed"]


def test_the_walls_are_named(sandbox: Sandbox) -> None:
    assert sandbox.walls["seccomp"].startswith("allow-list")
    assert {"namespaces", "user", "files", "processes", "landlock"} < set(sandbox.walls)
