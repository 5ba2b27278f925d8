"""Values of the standard library (and NumPy arrays) in plain form, rebuilt from their content.

Each entry says which values it takes, what their content is, and how to rebuild them. Modules that
a program has not imported are not imported here, because it can have no values from them.
"""

from __future__ import annotations

import array
import builtins
import collections
import datetime
import re
import sys
from collections.abc import Callable, ItemsView, KeysView, ValuesView
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NamedTuple

PATHS = ("PurePosixPath", "PosixPath", "PureWindowsPath")
NUMBERS = "biufcSUmM"  # kinds of NumPy types that hold no objects
CONSTANTS: dict[str, Any] = {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}


class Kind(NamedTuple):
    """One kind of value."""

    takes: Callable[[Any], bool]
    content: Callable[[Any], list[Any]]
    make: Callable[..., Any]


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _loaded(module: str, name: str) -> Callable[[Any], bool]:
    """Whether a value has a type whose module may not have been imported."""

    def takes(value: Any) -> bool:
        found = getattr(sys.modules.get(module), name, None)
        return isinstance(found, type) and isinstance(value, found)

    return takes


def _matched(pattern: re.Pattern[Any], text: Any, start: int, end: int, last: int) -> Any:
    """Rebuild a match: the same pattern in the same place."""
    for again in (pattern.match(text, start, last), pattern.fullmatch(text, start, end)):
        if again is not None and again.span() == (start, end):
            return again
    raise ValueError("no such match")


def _path(kind: str, text: str) -> Any:
    if kind not in PATHS:
        raise ValueError(f"no kind of path is called {kind!r}")
    return getattr(import_module("pathlib"), kind)(text)


def _builtin(name: str) -> Any:
    found = getattr(builtins, name, None)
    if not isinstance(found, type):
        raise ValueError(f"no built-in type is called {name!r}")
    return found


def _exception(name: str, arguments: list[Any]) -> Any:
    kind = _builtin(name)
    if not issubclass(kind, BaseException):
        raise ValueError(f"no exception is called {name!r}")
    return kind(*arguments)


def _is_builtin(value: Any) -> bool:
    return isinstance(value, type) and getattr(builtins, value.__name__, None) is value


def _is_numpy(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return (
        numpy is not None
        and isinstance(value, numpy.ndarray | numpy.generic)
        and value.dtype.kind in NUMBERS + "?"
    )


def _numpy_content(value: Any) -> list[Any]:
    scalar = isinstance(value, sys.modules["numpy"].generic)
    return [value.dtype.str, list(value.shape), value.tobytes(), scalar]


def _numpy(dtype: str, shape: list[int], data: bytes, scalar: bool) -> Any:
    numpy = import_module("numpy")
    kind = numpy.dtype(dtype)
    if kind.kind not in NUMBERS + "?":
        raise ValueError(f"arrays of type {dtype!r} cannot be sent")
    made = numpy.frombuffer(data, kind).reshape(shape).copy()
    return made[()] if scalar else made


def _is_named(value: Any) -> bool:
    fields = getattr(type(value), "_fields", None)
    return (
        isinstance(value, tuple)
        and isinstance(fields, tuple)
        and len(fields) == len(value)
        and all(isinstance(field, str) for field in fields)
    )


def _named(name: str, fields: list[str], values: list[Any]) -> Any:
    return collections.namedtuple(name, fields)(*values)


_OPTIONAL: dict[str, Callable[..., Any]] = {
    "list": list, "dict": dict, "set": set, "int": int, "float": float, "str": str, "tuple": tuple,
    "bool": bool,
}  # fmt: skip


def _default(kind: str | None, items: list[Any]) -> Any:
    return collections.defaultdict(None if kind is None else _OPTIONAL[kind], items)


def _factory(value: Any) -> str | None:
    name = getattr(value.default_factory, "__name__", None)
    return name if _OPTIONAL.get(str(name)) is value.default_factory else None


# Types checked before the codec's own rules, which would treat them as plain types.
SPECIAL: dict[str, Kind] = {
    "numpy": Kind(_is_numpy, _numpy_content, _numpy),
    "namedtuple": Kind(
        _is_named, lambda v: [type(v).__name__, list(type(v)._fields), list(v)], _named
    ),
    "Counter": Kind(
        _is(collections.Counter),
        lambda v: [list(dict.items(v))],
        lambda items: collections.Counter(dict(items)),
    ),
    "defaultdict": Kind(
        _is(collections.defaultdict), lambda v: [_factory(v), list(dict.items(v))], _default
    ),
    "OrderedDict": Kind(
        _is(collections.OrderedDict),
        lambda v: [list(v.items())],
        lambda items: collections.OrderedDict(items),
    ),
}

OTHER: dict[str, Kind] = {
    "constant": Kind(
        lambda v: any(v is c for c in CONSTANTS.values()),
        lambda v: [next(name for name, c in CONSTANTS.items() if v is c)],
        lambda name: CONSTANTS[name],
    ),
    "deque": Kind(
        _is(collections.deque), lambda v: [list(v), v.maxlen], lambda v, n: collections.deque(v, n)
    ),
    "array": Kind(_is(array.array), lambda v: [v.typecode, v.tolist()], array.array),
    "datetime": Kind(
        _is(datetime.datetime),
        lambda v: [
            v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, v.tzinfo, v.fold
        ],
        lambda *v: datetime.datetime(*v[:8], fold=v[8]),
    ),
    "date": Kind(_is(datetime.date), lambda v: [v.year, v.month, v.day], datetime.date),
    "time": Kind(
        _is(datetime.time),
        lambda v: [v.hour, v.minute, v.second, v.microsecond, v.tzinfo],
        datetime.time,
    ),
    "timedelta": Kind(
        _is(datetime.timedelta), lambda v: [v.days, v.seconds, v.microseconds], datetime.timedelta
    ),
    "timezone": Kind(
        _is(datetime.timezone), lambda v: [v.utcoffset(None), v.tzname(None)], datetime.timezone
    ),
    "ZoneInfo": Kind(
        _loaded("zoneinfo", "ZoneInfo"),
        lambda v: [str(v)],
        lambda key: import_module("zoneinfo").ZoneInfo(key),
    ),
    "UUID": Kind(
        _loaded("uuid", "UUID"), lambda v: [v.hex], lambda h: import_module("uuid").UUID(h)
    ),
    "path": Kind(_loaded("pathlib", "PurePath"), lambda v: [type(v).__name__, str(v)], _path),
    "slice": Kind(_is(slice), lambda v: [v.start, v.stop, v.step], slice),
    "pattern": Kind(_is(re.Pattern), lambda v: [v.pattern, v.flags], re.compile),
    "match": Kind(
        _is(re.Match), lambda v: [v.re, v.string, v.start(), v.end(), v.endpos], _matched
    ),
    "keys": Kind(_is(KeysView), lambda v: [list(v)], lambda v: dict.fromkeys(v).keys()),
    "items": Kind(_is(ItemsView), lambda v: [list(v)], lambda v: dict(v).items()),
    "values": Kind(_is(ValuesView), lambda v: [list(v)], lambda v: dict(enumerate(v)).values()),
    "memoryview": Kind(_is(memoryview), lambda v: [v.tobytes()], memoryview),
    "namespace": Kind(
        _is(SimpleNamespace), lambda v: [vars(v)], lambda v: SimpleNamespace(**v)
    ),
    "type": Kind(_is_builtin, lambda v: [v.__name__], _builtin),
    "exception": Kind(
        lambda v: isinstance(v, BaseException) and _is_builtin(type(v)),
        lambda v: [type(v).__name__, list(v.args)],
        _exception,
    ),
}  # fmt: skip

MAKE = {name: kind.make for kinds in (SPECIAL, OTHER) for name, kind in kinds.items()}


def plain(kinds: dict[str, Kind], value: Any) -> tuple[str, list[Any]] | None:
    """The kind of a value and its content, if it is one of these."""
    for name, kind in kinds.items():
        if kind.takes(value):
            return name, kind.content(value)
    return None
