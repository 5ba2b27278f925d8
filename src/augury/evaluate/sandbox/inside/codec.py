"""Plain values as JSON text: the only values that cross between a program and its tests.

A value is rebuilt on the other side from its content alone, so an object with its own methods (an
`__eq__` that is always true, say) cannot cross: subclasses arrive as the plain type. If both sides
agree, such an object stays where it is, and a number is sent in its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import Any

from .library_values import MAKE, OTHER, SPECIAL, plain

Other = Callable[[Any], Any]
LONGEST_ITERATOR = 10_000  # most items of a `yield` answer that are sent; `check`s use dozens
SMALL = 1 << 63  # larger integers are sent in base 16: decimal text is quadratic, and capped


class CannotCrossError(TypeError):
    """A value has no plain form."""


def refuse(value: Any) -> Any:
    """Refuse a value that has no plain form.

    Raises:
        CannotCrossError: always.
    """
    raise CannotCrossError(f"a value of type '{type(value).__name__}' cannot be sent")


def encode(value: Any, other: Other = refuse) -> Any:
    """The JSON form of a value: scalars and lists are themselves, the rest is {tag: content}.

    Args:
        value: any value.
        other: returns the form of a value that has no plain one, or raises.

    Raises:
        CannotCrossError: the value, or one inside it, is not made of plain types.
    """
    kind = type(value)
    if kind in _PLAIN:
        if kind is not int or -SMALL < value < SMALL:
            return value
        return {"int": hex(value)}
    if kind is list:
        return [encode(v, other) for v in value]
    if kind not in _COMMON:
        special = plain(SPECIAL, value)
        if special is not None:
            return {special[0]: [encode(v, other) for v in special[1]]}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        n = int.__index__(value)
        return n if -SMALL < n < SMALL else {"int": hex(n)}
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, list):
        return [encode(v, other) for v in list.__iter__(value)]
    if isinstance(value, tuple):
        return {"tuple": [encode(v, other) for v in tuple.__iter__(value)]}
    if isinstance(value, dict):
        return {"dict": [[encode(k, other), encode(v, other)] for k, v in dict.items(value)]}
    return _encode_rare(value, other)


def _encode_rare(value: Any, other: Other) -> Any:
    if isinstance(value, set):
        return {"set": [encode(v, other) for v in set.__iter__(value)]}
    if isinstance(value, frozenset):
        return {"frozenset": [encode(v, other) for v in frozenset.__iter__(value)]}
    if isinstance(value, bytes):
        return {"bytes": bytes.hex(value)}
    if isinstance(value, bytearray):
        return {"bytearray": bytearray.hex(value)}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, range):
        return {"range": [encode(n) for n in (value.start, value.stop, value.step)]}
    if isinstance(value, Fraction):
        return {"Fraction": [encode(value.numerator), encode(value.denominator)]}
    if isinstance(value, Decimal):
        return {"Decimal": str(value)}
    found = plain(OTHER, value)
    if found is not None:
        return {found[0]: [encode(v, other) for v in found[1]]}
    if isinstance(value, Iterator):
        items = [encode(v, other) for v in islice(value, LONGEST_ITERATOR + 1)]
        return {"iterator": [items[:LONGEST_ITERATOR], len(items) > LONGEST_ITERATOR]}
    return other(value)


def decode(form: Any, object_of: Callable[[int], Any] | None = None) -> Any:
    """The value of a JSON form.

    Args:
        form: as `encode` makes it.
        object_of: returns the object that a number refers to.

    Raises:
        ValueError, TypeError: it is not such a form.
    """
    if isinstance(form, list):
        return [decode(f, object_of) for f in form]
    if not isinstance(form, dict):
        return form
    if len(form) != 1:
        raise ValueError("a tagged value must have one tag")
    ((tag, content),) = form.items()
    if tag == "dict":
        return {decode(k, object_of): decode(v, object_of) for k, v in content}
    if tag == "iterator":
        return _iterator(decode(content[0], object_of), bool(content[1]))
    if tag == "int":
        return int(content, 16)
    if tag == "Decimal":
        return Decimal(str(content))
    if tag in ("bytes", "bytearray"):
        return (bytes if tag == "bytes" else bytearray).fromhex(content)
    if tag == "object" and object_of is not None:
        return object_of(int(content))
    items = [decode(f, object_of) for f in content]
    if tag in _FROM_ITEMS:
        return _FROM_ITEMS[tag](items)
    if tag in _FROM_NUMBERS:
        return _FROM_NUMBERS[tag](*items)
    if tag in MAKE:
        return MAKE[tag](*items)
    raise ValueError(f"no value has the tag {tag!r}")


_FROM_ITEMS: dict[str, Any] = {"tuple": tuple, "set": set, "frozenset": frozenset}
_FROM_NUMBERS: dict[str, Any] = {"complex": complex, "range": range, "Fraction": Fraction}
# Types that need no special form.
_PLAIN = frozenset({str, int, float, bool, type(None)})
_COMMON = frozenset({tuple, dict, set, frozenset, bytes, bytearray})


def _iterator(items: list[Any], more: bool) -> Iterator[Any]:
    yield from items
    if more:
        raise ValueError(f"only the first {LONGEST_ITERATOR} items of an iterator are sent")


_text = json.JSONEncoder(separators=(",", ":")).encode


def dumps(message: Any) -> bytes:
    """Encode one message as bytes."""
    return _text(message).encode()


def loads(data: bytes) -> Any:
    """Decode one message from bytes.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return json.loads(data)
    except RecursionError as deep:
        raise ValueError("a message nested too deeply") from deep
