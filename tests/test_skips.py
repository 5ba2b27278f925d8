"""A skip is a failure only where everything is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = {
    "test_in_a_test.py": "import pytest\ndef test():\n    pytest.skip('needs the extra x')\n",
    "test_of_a_module.py": "import pytest\npytest.importorskip('surely_not_there')\n",
    "test_by_a_mark.py": "import pytest\n@pytest.mark.skip(reason='x')\ndef test():\n    pass\n",
    "test_of_shared_data.py": "import pytest\n"
    "@pytest.mark.skip(reason='the shared data are absent')\ndef test():\n    pass\n",
}


@pytest.mark.slow
@pytest.mark.parametrize(("strict", "failed"), [("1", 3), ("", 0)])
def test_a_skip_is_a_failure_where_it_is_said(tmp_path: Path, strict: str, failed: int) -> None:
    for name, text in TESTS.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-q",
         "--continue-on-collection-errors", "--rootdir", tmp_path, tmp_path],
        cwd=ROOT, env={**os.environ, "AUGURY_NO_SKIPS": strict}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout.count(": a skip is a failure here") >= failed, done.stdout
    last = done.stdout.splitlines()[-1]
    assert ("1 skipped" if failed else "4 skipped") in last, done.stdout
    assert done.returncode == (1 if failed else 0) or (not failed and done.returncode == 5)
