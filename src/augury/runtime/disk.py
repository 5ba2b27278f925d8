"""Disk errors with the path that was being written: a full disk names none itself."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Errors met while writing to a file that was opened without trouble: nothing names it.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})
FROM_RUST = re.compile(r"\(os error (\d+)\)")  # the wording of Polars and safetensors
RUST = ("polars", "safetensors")


def error_number(error: BaseException) -> int | None:
    """Return the system's number of an error, whichever library met it; None if it has none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    library = type(error).__module__.partition(".")[0].lstrip("_")
    if library not in RUST and not isinstance(error, OSError):
        return None
    found = FROM_RUST.search(str(error))
    return int(found.group(1)) if found else None


@contextmanager
def naming_path(path: Path, fresh: Path | None = None) -> Iterator[None]:
    """Wrap writing: disk errors become an OSError that names `path`.

    Args:
        path: what is written.
        fresh: where it is written until it is complete; a name in there is reported as its final
        one.
    """
    try:
        yield
    except Exception as error:
        name = _name_for(error, path, fresh)
        number = error_number(error)
        if name is None or number is None:
            raise
        raise OSError(number, os.strerror(number), name) from error


def _name_for(error: Exception, path: Path, fresh: Path | None) -> str | None:
    """Return the path to name; None if the error already names one, or is about something else."""
    named = error.filename if isinstance(error, OSError) else None
    if named is None:
        return str(path) if error_number(error) in FULL else None
    if fresh is None or not isinstance(named, str | os.PathLike):
        return None
    if not Path(named).is_relative_to(fresh):
        return None
    return str(path / Path(named).relative_to(fresh))
