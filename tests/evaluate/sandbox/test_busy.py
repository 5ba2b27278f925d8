"""A busy machine does not change a verdict: what counts is CPU time."""

import os
import subprocess
import sys

import pytest

from augury.evaluate.sandbox import Program, Sandbox
from tests.evaluate.sandbox.conftest import LIMITS

WORK = "def f(n):\n    x = 0\n    for i in range(n):\n        x += i\n    return x\n"
BURN = "import time\nend = time.time() + 60\nwhile time.time() < end:\n    pass\n"


@pytest.mark.slow
def test_a_busy_machine_does_not_change_verdicts(sandbox: Sandbox) -> None:
    size = 1_000_000
    (short,) = sandbox.run([program(size)])
    size = int(size * 0.5 * LIMITS.cpu_seconds / short.cpu_seconds)
    pair = [program(size), program(100 * size)]
    calm = sandbox.run(pair)
    burners = [subprocess.Popen([sys.executable, "-S", "-c", BURN]) for _ in range(4 * cores())]
    try:
        busy = sandbox.run(pair)
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    for verdicts in (calm, busy):
        assert [v.outcome for v in verdicts] == ["passed", "timeout"], verdicts
        assert verdicts[1].detail == "more than 1 s of CPU time"


def program(n: int) -> Program:
    return Program(str(n), WORK, f"assert f({n}) == {n * (n - 1) // 2}", "", ("f",))


def cores() -> int:
    return len(os.sched_getaffinity(0))
