"""Files and folders that are written whole or not at all, whatever happens on the way."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from augury.runtime.disk import naming_path


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A fresh folder beside `folder`, which takes its place when the block ends well.

    Raises:
        OSError: the disk is full; it names the file.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with naming_path(folder):
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with naming_path(folder, fresh):
            yield fresh
            fresh.chmod(0o755)  # mkdtemp keeps others out; this is a folder like any other
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A fresh file beside `path`, which takes its place when the block ends well.

    What was written is on the disk before the name is: a power cut leaves the old file or the new.

    Raises:
        OSError: the disk is full; it names `path`.
    """
    with naming_path(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(handle)
    fresh = Path(name)
    try:
        with naming_path(path, fresh):
            yield fresh
            with fresh.open("rb") as written:
                os.fsync(written.fileno())
            fresh.chmod(0o644)  # as above
            os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
