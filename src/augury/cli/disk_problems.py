"""A full disk, a folder where a file should be: what the machine refuses, said in one line."""

from __future__ import annotations

import errno
import os
import re

TOLD = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR,
    errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG,
}  # fmt: skip
FROM_POLARS = re.compile(r"\(os error (\d+)\)")


def disk_problem(error: Exception) -> str | None:
    """What is wrong with a file or the disk, or None where the error is about something else."""
    names: tuple[object, ...] = ()
    if isinstance(error, OSError):
        number, names = error.errno, (error.filename2, error.filename)
    else:
        found = FROM_POLARS.search(str(error)) if _is_of_polars(error) else None
        number = int(found.group(1)) if found else None
    if number not in TOLD:
        return None
    name = next((str(n) for n in names if n is not None), None)
    why = "is a file, not a folder" if number == errno.EEXIST else os.strerror(number)
    why = why[0].lower() + why[1:]
    return f"cannot write: {why}" if name is None else f"{name}: {why}"


def _is_of_polars(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] == "polars"
