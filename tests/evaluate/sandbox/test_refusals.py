"""Without walls nothing runs, and the message says what to do."""

import platform
import shutil
from pathlib import Path

import pytest

from augury.errors import UsageError
from augury.evaluate.sandbox import Limits, Program, Sandbox, walls
from augury.evaluate.sandbox.enclosure import missing
from tests.evaluate.sandbox.conftest import INNOCENT, WRONG, descendants


def test_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(UsageError, match=r"this is Darwin: run it in a Linux .*unsafe_no_walls"):
        Sandbox()


def test_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(UsageError, match="x86_64 and aarch64, not for riscv64"):
        Sandbox()


def test_without_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match=r"\(bwrap\) is not installed.*apt-get install bubblewrap"):
        Sandbox(workers=2)
    assert "bubblewrap" in (missing() or "")


def test_where_bubblewrap_may_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n"
    )
    fake.chmod(0o755)
    before = descendants()
    monkeypatch.setattr(walls, "required", lambda: str(fake))
    with pytest.raises(UsageError, match=r"No permissions to create.*user\.max_user_namespaces"):
        Sandbox(workers=1)
    assert not descendants() - before


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ({"cpu_seconds": 0}, "cpu_seconds must be positive, not 0"),
        ({"cpu_seconds": 1.5}, "whole number of seconds, not 1.5"),
        ({"memory_bytes": 1 << 20}, "at least 67108864"),
        ({"open_files": 3}, "at least 8, not 3"),
        ({"threads": -1}, "not be negative, not -1"),
        ({"output_bytes": -5}, "output_bytes must be positive, not -5"),
    ],
)
def test_limits_that_cannot_be(limits: dict[str, int], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        Limits(**limits)


def test_calls_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="at least one worker, not 0"):
        Sandbox(workers=0)
    with pytest.raises(UsageError, match="program 'p' has tests but no entry_points"):
        Program("p", "", tests="assert True")
    with pytest.raises(UsageError, match="program 'p' is judged by its tests or by its output"):
        Program("p", "", tests="f()", entry_points=("f",), expected_output="x")


def test_the_flag_is_loud_and_works(capsys: pytest.CaptureFixture[str]) -> None:
    before = descendants()
    sleeper = Program("sleeper", "import time\ntime.sleep(99)\n")
    with Sandbox(Limits(wall_seconds=1), workers=1, unsafe_no_walls=True) as sandbox:
        assert "WITHOUT WALLS" in capsys.readouterr().err
        assert list(sandbox.walls) == ["none"]
        script = Program("script", "import os\nprint(dict(os.environ))\n", expected_output="{}")
        exits = Program("exits", "import os\ndef f(x):\n    os._exit(0)\n", WRONG.tests, "", ("f",))
        verdicts = sandbox.run([INNOCENT, WRONG, script, exits, sleeper, INNOCENT])
    found = [v.outcome for v in verdicts]
    assert found == ["passed", "failed", "passed", "failed", "timeout", "passed"], verdicts
    assert not descendants() - before
