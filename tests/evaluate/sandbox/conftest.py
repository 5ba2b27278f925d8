"""One sandbox with one worker per test file, so that every program follows another."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from augury.evaluate.sandbox import Limits, Program, Sandbox, Verdict
from augury.evaluate.sandbox.enclosure import missing

LIMITS = Limits(
    cpu_seconds=1,
    wall_seconds=40.0,
    memory_bytes=256 << 20,
    disk_bytes=4 << 20,
    files=64,
    output_bytes=1 << 16,
)
INNOCENT = Program(
    "innocent",
    "import os\n\ndef f(x):\n    open('mine', 'w').write(str(x + 1))\n"
    "    left = os.listdir('.')\n    os.unlink('mine')\n    return left, x + 1\n",
    tests="assert f(1) == (['mine'], 2)\n",
    entry_points=("f",),
)
WRONG = Program("wrong", "def f(x):\n    return x\n", tests="assert f(1) == 2", entry_points=("f",))


def processes_of(sandbox: Sandbox) -> set[int]:
    """Processes of this sandbox only; those of other test files are ignored."""
    found: set[int] = set()
    for root in sandbox.processes:
        found |= {root, *descendants(root)}
    return {pid for pid in found if is_server(pid)}


def descendants(root: int = 0) -> set[int]:
    """Sandbox processes below a process of the host, by default this one.

    There may be sandboxes of other test files below this one: compare before and after.
    """
    root = root or os.getpid()
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if after[0] != "Z":
            parents[int(entry.parent.name)] = int(after[1])
    found = {root}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid for pid in found - {root} if is_server(pid)}


def is_server(pid: int) -> bool:
    """Whether a process belongs to a sandbox."""
    return b"inside.server" in command(pid)


def command(pid: int) -> bytes:
    """Its command line, which a fork inherits from its parent."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    problem = missing()
    if problem is not None:
        pytest.skip(problem)
    with Sandbox(LIMITS, workers=1) as made:
        made.run([INNOCENT])
        yield made


class Attacks:
    """Runs an attack between two programs that must not notice it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def __call__(self, attack: Program) -> Verdict:
        """The verdict of the attack; the programs after it are judged as usual."""
        before = len(processes_of(self.sandbox))
        verdicts = self.sandbox.run([attack, INNOCENT, WRONG])
        assert [v.outcome for v in verdicts[1:]] == ["passed", "failed"], verdicts
        assert (
            len(processes_of(self.sandbox)) == before
        )  # nothing is left running, and nothing is missing
        return verdicts[0]

    def script(self, code: str) -> Verdict:
        """The verdict of a script."""
        return self(Program("attack", code))

    def function(self, code: str, tests: str = "assert f() == 'right'\n") -> Verdict:
        """The verdict of a program with a function `f`, and a test that it should not pass."""
        return self(Program("attack", code, tests=tests, entry_points=("f",)))


@pytest.fixture
def attack(sandbox: Sandbox) -> Attacks:
    return Attacks(sandbox)
