"""The one registry of laws: what a name means here, in other packages, and on the command line."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from augury.errors import UsageError
from augury.laws.base import Law
from augury.laws.chain import Chain
from augury.laws.grouped import Grouped

# Packages that provide laws name them here: [project.entry-points."augury.laws"].
ENTRY_POINTS = "augury.laws"
# Laws made of others, which have no name on the command line.
_COMPOSED: dict[str, type[Law]] = {"chain": Chain, "grouped": Grouped}
_OUTSIDE = re.compile(r"(?P<module>[A-Za-z_]\w*(\.\w+)*):(?P<name>[A-Za-z_]\w*)(:(?P<tail>.*))?")
_REGISTRY: dict[str, type[Law]] = {}
_L = TypeVar("_L", bound=type[Law])


def register(cls: _L) -> _L:
    """Register a law under its name.

    Raises:
        UsageError: another law has that name.
    """
    old = _REGISTRY.get(cls.name)
    if old is not None and (old.__module__, old.__qualname__) != (cls.__module__, cls.__qualname__):
        raise UsageError(f"two laws are called '{cls.name}'")
    _REGISTRY[cls.name] = cls
    return cls


def all_laws() -> Iterator[type[Law]]:
    """Iterate over every registered law.

    Returns:
        Their classes, in the order of registration; `augury laws` prints them with their formulas.

    Examples:
        >>> "chinchilla" in [law.name for law in augury.all_laws()]
        True
    """
    _load_outside()
    yield from _REGISTRY.values()


@lru_cache(maxsize=1)
def _load_outside() -> None:
    """Import the laws of other packages that register them."""
    for point in entry_points(group=ENTRY_POINTS):
        found = point.load()
        if isinstance(found, type) and issubclass(found, Law):
            register(found)


def law(name: str, **settings: Any) -> Law:
    """Return the law called `name`, with its settings.

    Args:
        name: as `augury laws` lists it, such as "broken-power".
        settings: its fields, such as breaks=2.

    Returns:
        The law, for `fit`; its `inputs`, `parameters` and `source` describe it.

    Raises:
        UsageError: no law has that name, or it has no such setting.

    Examples:
        >>> augury.law("broken-power", breaks=2).breaks
        2
    """
    if name not in _REGISTRY:
        _load_outside()
    cls = _REGISTRY.get(name)
    if cls is None:
        near = difflib.get_close_matches(name, _REGISTRY, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "."
        raise UsageError(f"no law is called '{name}'{hint} There are: {', '.join(_REGISTRY)}")
    known = [f.name for f in fields(cls)]
    unknown = [key for key in settings if key not in known]
    if unknown:
        raise UsageError(
            f"law '{name}' has no setting '{unknown[0]}'; it has: {', '.join(known) or 'none'}"
        )
    return cls(**settings)


def parse_law(text: str) -> Law:
    """Read a law as the command line writes it.

    Args:
        text: `chinchilla`, `broken-power:breaks=2,over=flops`, two laws in a chain
            (`chinchilla+logistic-task:over=bpb`), or a law of your own, `package.module:Class`.

    Raises:
        UsageError: the text does not have that form, or names no law or setting.
    """
    first, plus, second = text.partition("+")
    if plus:
        return Chain(parse_law(first), parse_law(second))
    outside = _OUTSIDE.fullmatch(text.strip())
    if outside and outside["module"] not in _REGISTRY:
        cls = law_class(outside["module"], outside["name"])
        return cls(**_parse_settings(text, outside["tail"] or ""))
    name, _, tail = text.partition(":")
    return law(name.strip(), **_parse_settings(text, tail))


def law_class(module: str, name: str) -> type[Law]:
    """Import a law's class from the Python path, including the current folder.

    Raises:
        UsageError: the module or class does not exist, or is not a law.
    """
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module), name, None)
    except ImportError as error:
        raise UsageError(f"law '{module}:{name}': cannot import {module} ({error})") from error
    finally:
        if added:
            sys.path.remove(here)
    if not (isinstance(found, type) and issubclass(found, Law)):
        raise UsageError(f"law '{module}:{name}': {module} has no class {name} that is a Law")
    return found


def law_record(law_: Law) -> dict[str, Any]:
    """Write a law as plain JSON: name, settings (nested laws too), and an outside class."""

    def plain(value: Any) -> Any:
        if isinstance(value, Law):
            return {"law": law_record(value)}
        return list(value) if isinstance(value, tuple) else value

    cls = type(law_)
    record: dict[str, Any] = {
        "name": law_.name,
        "settings": {key: plain(value) for key, value in law_.settings.items()},
    }
    if not cls.__module__.startswith("augury."):
        record["class"] = f"{cls.__module__}:{cls.__qualname__}"
    return record


def law_from(record: Mapping[str, Any]) -> Law:
    """Rebuild the law of a record that `law_record` wrote.

    Raises:
        UsageError: the law does not exist; one from another package has to be imported first, since
            reading a file runs no code.
    """

    def back(value: Any) -> Any:
        if isinstance(value, Mapping) and "law" in value:
            return law_from(value["law"])
        return tuple(map(back, value)) if isinstance(value, list) else value

    settings = {key: back(value) for key, value in record["settings"].items()}
    name = record["name"]
    if name in _COMPOSED:
        return _COMPOSED[name](**settings)
    if "class" in record and name not in _REGISTRY:
        module, _, cls = record["class"].partition(":")
        found = getattr(sys.modules.get(module), cls, None)
        if not (isinstance(found, type) and issubclass(found, Law)):
            raise UsageError(
                f"the law '{name}' comes from {module}: import it first (`import {module}`)"
            )
        return found(**settings)
    return law(name, **settings)


def _parse_settings(text: str, tail: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for part in filter(None, tail.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"law '{text}': expected setting=value after the colon, not '{part}'")
        settings[key.strip()] = _parse_value(value.strip())
    return settings


def _parse_value(text: str) -> Any:
    """Parse a setting: a number, a text, or several separated by semicolons."""
    if ";" in text:
        return tuple(_parse_value(part) for part in text.split(";") if part)
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
