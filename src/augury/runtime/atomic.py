"""Files and folders that are written completely or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from augury.runtime.disk import naming_path

# The names that `tempfile` gives below.
UNFINISHED = re.compile(r"\..+-[a-z0-9_]{8}")


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a fresh folder beside `folder`, which replaces it when the block succeeds.

    Raises:
        OSError: the disk is full; it names the file.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with naming_path(folder):
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with naming_path(folder, fresh):
            yield fresh
            fresh.chmod(0o755)  # mkdtemp keeps others out; this should be a folder like any other
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a fresh file beside `path`, which replaces it when the block succeeds.

    The content is on disk before the name is: after a power cut, there is the old file or the new.

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


def remove_unfinished(folder: Path) -> None:
    """Delete what processes that were killed while writing left anywhere in `folder`.

    For a folder in which nobody else is writing.
    """
    for path in sorted(folder.rglob(".*")):
        if not UNFINISHED.fullmatch(path.name):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
