"""A full disk, a folder where a file should be: system errors in one line."""

from __future__ import annotations

import errno
import os

from augury.runtime.disk import FULL, error_number

TOLD = FULL | {
    errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG,
}  # fmt: skip


def disk_problem(error: Exception) -> str | None:
    """Return what is wrong with a file or the disk, or None for any other error."""
    number = error_number(error)
    if number is None or number not in TOLD:
        return None
    names = (error.filename2, error.filename) if isinstance(error, OSError) else ()
    name = next((str(n) for n in names if n is not None), None)
    why = "is a file, not a folder" if number == errno.EEXIST else os.strerror(number)
    why = why[0].lower() + why[1:]
    return f"cannot write: {why}" if name is None else f"{name}: {why}"
