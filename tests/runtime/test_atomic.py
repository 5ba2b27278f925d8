"""Files left by a killed process are recognised and removed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from augury.runtime.atomic import remove_unfinished

# Killed inside both blocks, as by SIGKILL: nothing is cleaned up.
KILLED = """
import os, sys
from pathlib import Path
from augury.runtime.atomic import atomic_file, atomic_folder
here = Path(sys.argv[1])
with atomic_file(here / "unit.json") as fresh, atomic_folder(here / "in" / "sweep-d16") as folder:
    fresh.write_text("half")
    (folder / "record.json").write_text("half")
    os._exit(9)
"""


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = [tmp_path / "rows.parquet", tmp_path / ".hidden", tmp_path / "in" / "part-abcdefgh"]
    (tmp_path / "in").mkdir()
    for path in kept:
        path.write_text("done")
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=dict(os.environ))
    assert run.returncode == 9
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) == len(kept) + 2
    remove_unfinished(tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(kept)
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"part-abcdefgh"}
