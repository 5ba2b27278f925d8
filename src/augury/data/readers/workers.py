"""Files read by several processes at once, if there are enough of them to be worth it.

Started as `python -m augury.data.readers.worker KIND`: a list of files goes in, and parts come out
as bytes: a header (JSON), the frames that parts share (Arrow) and their numbers (float64). A
process is started by its command, so that a script that reads files needs no `if __name__ ==
"__main__":`.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.data.readers.part import ForeignFileError, LeftOut, ModelInfo, Part, call_guarded
from augury.data.readers.reader import Reader, find_reader, kinds
from augury.errors import DataError
from augury.runtime.jobs import cores

# Starting a process takes as long as reading about this many bytes.
WORTH_A_PROCESS = 100e6  # bytes
MOST = 8
Made = list[Part] | DataError


def read_files(reader: Reader, files: Sequence[Path]) -> Iterator[tuple[Path, Made]]:
    """Yield each file and its parts, or its error, in order."""
    sizes = [_size(path) for path in files]
    workers = min(cores(), MOST, len(files), int(sum(sizes) / WORTH_A_PROCESS))
    known = reader.kind in kinds() and find_reader(reader.kind) is reader
    if workers < 2 or not known:
        for path in files:
            yield path, read_one(reader, path)
        return
    shares = _shares(files, sizes, workers)
    # The first share is read here in the meantime.
    with ThreadPoolExecutor(len(shares)) as pool:
        others = [pool.submit(_read_there, reader.kind, share) for share in shares[1:]]
        for path in shares[0]:
            yield path, read_one(reader, path)
        for share, other in zip(shares[1:], others, strict=True):
            yield from zip(share, other.result(), strict=True)


def read_one(reader: Reader, path: Path) -> Made:
    """Return a file's parts, or its error."""
    made = call_guarded(path, reader.read)
    if isinstance(made, Part):
        return [made]
    return made if isinstance(made, DataError) else list(made)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _shares(files: Sequence[Path], sizes: list[int], count: int) -> list[list[Path]]:
    """Split the files into parts of about equal size, in order."""
    ends = np.cumsum(sizes)
    at = [int(np.searchsorted(ends, ends[-1] * k / count)) for k in range(1, count)]
    bounds = [0, *at, len(files)]
    shares = [list(files[a:b]) for a, b in pairwise(bounds)]
    return [share for share in shares if share]


def _read_there(kind: str, files: list[Path]) -> list[Made]:
    told = json.dumps([str(p) for p in files]).encode()
    command = [sys.executable, "-m", "augury.data.readers.worker", kind]
    done = subprocess.run(command, input=told, stdout=subprocess.PIPE, check=False)  # noqa: S603
    if done.returncode:
        # Killed, or out of memory: reading one file at a time needs less.
        reader = find_reader(kind)
        return [read_one(reader, path) for path in files]
    return unpack_parts(done.stdout)


def pack_parts(made: Sequence[Made]) -> bytes:
    """Pack parts and errors as bytes."""
    frames: dict[int, int] = {}
    kept: list[pl.DataFrame] = []
    numbers: list[np.ndarray[Any, Any]] = []
    items: list[Any] = []
    for one in made:
        if isinstance(one, DataError):
            items.append({"error": _error(one)})
            continue
        parts = []
        for part in one:
            at = frames.setdefault(id(part.rows), len(kept))
            if at == len(kept):
                kept.append(part.rows)
            numbers += part.numbers.values()
            parts.append(
                {
                    "path": str(part.path),
                    "info": asdict(part.info),
                    "rows": at,
                    "tasks": part.tasks,
                    "numbers": [*part.numbers],
                    "notes": part.notes,
                    "left_out": [(str(x.path), x.key, x.value, x.why) for x in part.left_out],
                }
            )
        items.append({"parts": parts})
    blobs = []
    for rows in kept:
        into = io.BytesIO()
        rows.write_ipc(into, compression="uncompressed")
        blobs.append(into.getvalue())
    header = json.dumps({"items": items, "frames": [len(b) for b in blobs]}).encode()
    floats = np.concatenate([np.zeros(0), *numbers]).astype("<f8").tobytes()
    return b"".join([len(header).to_bytes(8, "little"), header, *blobs, floats])


def unpack_parts(data: bytes) -> list[Made]:
    """Unpack what `pack_parts` made."""
    at = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:at])
    frames = []
    for length in header["frames"]:
        frames.append(pl.read_ipc(data[at : at + length]))
        at += length
    floats = np.frombuffer(data, "<f8", offset=at)
    place = 0
    made: list[Made] = []
    for item in header["items"]:
        if "error" in item:
            made.append(_raised(item["error"]))
            continue
        parts = []
        for part in item["parts"]:
            rows = frames[part["rows"]]
            numbers = {}
            for name in part["numbers"]:
                numbers[name] = floats[place : place + rows.height]
                place += rows.height
            left_out = [
                LeftOut(Path(p), key, value, why) for p, key, value, why in part["left_out"]
            ]
            parts.append(
                Part(
                    Path(part["path"]), ModelInfo(**part["info"]), rows, tuple(part["tasks"]),
                    numbers, tuple(part["notes"]), tuple(left_out),
                )
            )  # fmt: skip
        made.append(parts)
    return made


def _error(error: DataError) -> dict[str, Any]:
    names = ("problem", "source", "row", "column", "value", "expected")
    told = {name: getattr(error, name) for name in names}
    value = told["value"]
    plain = value is None or isinstance(value, str | int | float | bool)
    return told | {
        "value": value if plain else repr(value),
        "foreign": type(error) is ForeignFileError,
    }


def _raised(told: dict[str, Any]) -> DataError:
    kind = ForeignFileError if told.pop("foreign") else DataError
    return kind(told.pop("problem"), **told)
