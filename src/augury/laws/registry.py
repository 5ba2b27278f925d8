"""The one list of laws: what a name means, and what the test matrix covers."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, TypeVar

from augury.errors import UsageError
from augury.laws.base import Law

_REGISTRY: dict[str, type[Law]] = {}
_L = TypeVar("_L", bound=type[Law])


def register(cls: _L) -> _L:
    """Enrol a law under its name."""
    if cls.name in _REGISTRY:
        raise UsageError(f"two laws are called '{cls.name}'")
    _REGISTRY[cls.name] = cls
    return cls


def all_laws() -> Iterator[type[Law]]:
    """Every registered law.

    Returns:
        Their classes, in the order of registration; `augury laws` prints them with their formulas.
    """
    yield from _REGISTRY.values()


def law(name: str, **settings: Any) -> Law:
    """The law called `name`, with its settings.

    Args:
        name: as `augury laws` lists it, such as "broken-power".
        settings: its fields, such as breaks=2.

    Returns:
        The law, for `fit`; its `inputs`, `parameters` and `source` say what it is.

    Raises:
        UsageError: no law has that name, or it has no such setting.
    """
    cls = _REGISTRY.get(name)
    if cls is None:
        near = difflib.get_close_matches(name, _REGISTRY, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"no law is called '{name}'{hint} There are: {', '.join(_REGISTRY)}")
    known = [f.name for f in fields(cls)]
    unknown = [key for key in settings if key not in known]
    if unknown:
        raise UsageError(
            f"law '{name}' has no setting '{unknown[0]}'; it has: {', '.join(known) or 'none'}"
        )
    return cls(**settings)


def parse_law(text: str) -> Law:
    """Read a law as the command line writes it: `chinchilla`, `broken-power:breaks=2,over=flops`.

    Raises:
        UsageError: the text does not have that form, or names no law or setting.
    """
    name, _, tail = text.partition(":")
    settings: dict[str, Any] = {}
    for part in filter(None, tail.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"law '{text}': expected setting=value after the colon, not '{part}'")
        settings[key.strip()] = _value(value.strip())
    return law(name.strip(), **settings)


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
