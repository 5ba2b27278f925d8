"""A journal: records that are on disk before they are counted.

One JSON object per line, each preceded by the checksum of its text. A process that dies while
writing leaves a torn last line: it is cut off, and its work is repeated. Any other checksum
mismatch is damage, and is reported. One process at a time: the file is locked while it is open.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from augury.errors import DataError, UsageError


class Journal:
    """An open journal; use it in a `with` block.

    Args:
        path: the file, created if missing.

    Attributes:
        records: what was read on opening, in order.
        torn: bytes of an unfinished last line that were cut off.

    Raises:
        UsageError: another process has it open.
        DataError: a record is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UsageError(
                    f"{path} is in use: another process is running this measurement; wait "
                    "for it, or write to another folder"
                ) from error
            self.records, good, size = self._read()
            self.torn = size - good
            if self.torn:
                os.ftruncate(self._file, good)
                os.fsync(self._file)
            self._end = good
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)  # and with it the lock

    def append(self, record: dict[str, Any]) -> None:
        """Write one record; it is on disk when this returns.

        Raises:
            DataError: the disk is full, or cannot be written to. The journal is unchanged.
        """
        line = _line(record)
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise DataError(
                f"could not be written to: {error.strerror}; nothing is lost up to here, and the "
                "same command resumes from here",
                source=str(self.path),
                expected="space on the disk",
            ) from error
        self._end += len(line)

    def _read(self) -> tuple[list[dict[str, Any]], int, int]:
        """Return records, the end of the valid ones, and the size of the file."""
        with open(os.dup(self._file), "rb") as file:
            file.seek(0)
            data = file.read()
        records, good = [], 0
        for number, line in enumerate(_lines(data), 1):
            record = _record(line)
            if record is None:
                if good + len(line) == len(data):
                    break  # the last one: torn
                raise DataError(
                    "does not match its checksum: the file was changed or the disk is damaged",
                    source=str(self.path),
                    row=number,
                    expected="the line as it was written; delete the file to measure again",
                )
            records.append(record)
            good += len(line)
        return records, good, len(data)


def _lines(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _record(line: bytes) -> dict[str, Any] | None:
    """Parse the record of a line; None if it is incomplete."""
    if not line.endswith(b"\n") or line[8:9] != b" ":
        return None
    text = line[9:-1]
    if b"%08x" % zlib.crc32(text) != line[:8]:
        return None
    found: dict[str, Any] = json.loads(text)
    return found
