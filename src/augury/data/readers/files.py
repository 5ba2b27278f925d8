"""Files found, read and parsed, with errors that name the file and what is wrong in it."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from augury.data.readers.part import LeftOut
from augury.data.table_text import decode_utf8
from augury.errors import DataError

APART = re.compile(rb'"\s+:')  # a key apart from its colon
# json.loads stops at 4,300 digits; counts and scores hold at most what float64 can.
TOO_LONG = "a number with too many digits"


def find_files(paths: Iterable[Path], fits: Callable[[Path], bool]) -> list[Path]:
    """Find the given files, and fitting files in given folders (recursively), sorted by name.

    Raises:
        DataError: a path does not exist, or a folder holds nothing that fits.
    """
    files: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = [p for p in _below(path) if fits(p)]
            if not inside:
                raise DataError("no file of this kind in this folder", source=str(path))
            files.update(dict.fromkeys(inside))
        elif path.exists():
            files[path] = None
        else:
            raise DataError("there is no such file or folder", source=str(path))
    return list(files)


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(root, name) for name in sorted(names))


def read_content(path: Path) -> bytes:
    """Read the bytes of a file.

    Raises:
        DataError: it cannot be read, or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror}", source=str(path), expected="a readable file"
        ) from error
    if not data or data.isspace():
        raise DataError("the file is empty", source=str(path), expected="results")
    return data


def parse_json(data: bytes, source: str, line: int | None = None) -> Any:
    """Parse JSON in which every key of an object occurs once.

    Raises:
        DataError: it names the line and what is wrong there.
    """
    try:
        value = from_json(data)
    except ValueError:
        return parse_strictly(data, source, line)
    return value if has_keys_once(data, count_keys(value)) else parse_strictly(data, source, line)


def lines_of(path: Path, data: bytes, left_out: list[LeftOut]) -> Iterator[tuple[int, Any]]:
    """Yield number and value of every non-blank line, each a separate piece of JSON.

    A last line without an end, as a killed program leaves it, is left out.

    Raises:
        DataError: any other line is broken, or has a duplicate key.
    """
    source = str(path)
    lines = data.split(b"\n")
    if lines[0].startswith(b"\xef\xbb\xbf"):
        lines[0] = lines[0][3:]
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            value = parse_json(raw, source, number)
        except DataError:
            if number < len(lines) or number == 1 or _is_whole(raw):
                raise
            cut = raw[:40].decode("utf-8", "replace")
            left_out.append(LeftOut(path, f"line {number}", cut, "the last line is cut off"))
            return
        yield number, value


def _is_whole(raw: bytes) -> bool:
    """Return whether a line has its end, so that any error in it is not a cut."""
    return raw.rstrip().endswith(b"}")


def has_keys_once(data: bytes, count: int) -> bool:
    """Return whether JSON with this many different keys holds each once.

    Every key precedes a colon, so it is enough to count as many colons as keys. If texts contain
    colons, it counts `":`; texts may contain that too, and a key may be separated from its colon:
    then the answer is no, and the careful parser decides.
    """
    if data.count(b":") == count:
        return True
    return data.count(b'":') == count and APART.search(data) is None


def parse_strictly(data: bytes, source: str, line: int | None = None) -> Any:
    """Parse like `parse_json`, slower, with the standard parser, which says where it stopped."""
    first = 1 if line is None else line
    text = decode_utf8(data, source, first)
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        at = first + error.lineno - 1
        problem = f"line {at}, character {error.colno}: not JSON ({error.msg})"
    except KeyError as error:
        problem = f"{'' if line is None else f'line {line}: '}duplicate key {error}"
    except RecursionError:
        problem = f"line {first}: nested too deeply"
    except ValueError:
        problem = f"line {first}: {TOO_LONG}"
    raise DataError(problem, source=source, expected="complete JSON without duplicate keys")


def count_keys(value: Any) -> int:
    """Count the keys in a parsed value, at all depths."""
    total, left = 0, [value]
    while left:
        item = left.pop()
        if type(item) is dict:
            total += len(item)
            left.extend(x for x in item.values() if type(x) in (dict, list))
        elif type(item) is list:
            left.extend(x for x in item if type(x) in (dict, list))
    return total


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise KeyError(next(name for name in names if names.count(name) > 1))
    return made


def require_object(value: Any, source: str, where: str) -> dict[str, Any]:
    """Return the value if it is an object.

    Raises:
        DataError: it is not.
    """
    if not isinstance(value, dict):
        raise DataError(f"{where} is missing or not an object", source=source, value=shorten(value))
    return value


def read_score(value: Any, *, truth: bool = False) -> tuple[float | None, str | None]:
    """Return a score (None if missing), and why it is not a score if it is something else.

    An infinite score (of a model that diverged) is missing, with that reason.

    Args:
        value: as parsed.
        truth: whether true and false mean 1 and 0.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan", "n/a")):
        return None, None
    if isinstance(value, int | float) and (truth or not isinstance(value, bool)):
        try:
            made = float(value)
        except OverflowError:
            made = math.inf
        if math.isinf(made):
            return None, "is infinite"
        return (None if math.isnan(made) else made), None
    kind = {list: "a list", dict: "an object", str: "text", bool: "true or false"}.get(type(value))
    return None, f"{kind or type(value).__name__} is not a score"


def first_text(mapped: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of these keys that holds text or a number, as text."""
    for name in names:
        value = mapped.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            return str(value)
    return None


def shorten(value: Any) -> str | None:
    """Shorten a value for a message."""
    if value is None:
        return None
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # integers of more than 4,300 digits
        shown = f"a huge {type(value).__name__}"
    return shown if len(shown) <= 60 else shown[:57] + "..."
