"""Packages that a user offers to programs and tests, read-only, besides the standard library."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from augury.errors import UsageError

SHOWN_AT = "/packages"
# One thread each; otherwise a program would start as many as the machine has cores.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def checked(packages: Iterable[str]) -> tuple[str, ...]:
    """Return the names to import, each checked to be installed.

    Raises:
        UsageError: one is not installed, or is not the name of a package.
    """
    names = tuple(dict.fromkeys(packages))
    for name in names:
        places(name)
    return names


def places(name: str) -> list[Path]:
    """Return the files and folders of a package: its own, and those of its shared libraries.

    Raises:
        UsageError: it is not installed, or is not the name of a package.
    """
    if not name.isidentifier() or name in sys.stdlib_module_names:
        raise UsageError(f"'{name}' is not a package that can be offered to programs")
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise UsageError(f"the package '{name}' is not installed: it cannot be offered to programs")
    origin = Path(spec.origin).resolve()
    own = origin.parent if spec.submodule_search_locations else origin
    found = {own}
    for title in packages_distributions().get(name, ()):
        try:
            files = distribution(title).files or []
        except PackageNotFoundError:
            continue
        # Wheels put shared libraries next to the package: numpy.libs.
        tops = {file.parts[0] for file in files if file.parts[0].endswith(".libs")}
        found |= {path for top in tops if (path := own.parent / top).exists()}
    return sorted(found)


def shown(packages: Iterable[str]) -> list[str]:
    """Return bubblewrap options that expose packages, and environment settings for them."""
    options = ["--dir", SHOWN_AT]
    for path in dict.fromkeys(path for name in packages for path in places(name)):
        options += ["--ro-bind", str(path), f"{SHOWN_AT}/{path.name}"]
    for name, value in ENVIRONMENT.items():
        options += ["--setenv", name, value]
    return options


def lacking(code: str, packages: Iterable[str]) -> list[str]:
    """Return the packages that code imports and the sandbox does not have, in order.

    Imports that the code itself guards with `try` are left out, and so is code that is not Python.
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    guarded = {
        inner for node in ast.walk(tree) if isinstance(node, ast.Try) for inner in ast.walk(node)
    }
    named: list[str] = []
    for node in ast.walk(tree):
        if node in guarded:
            continue
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            named.append(node.module)
    tops = dict.fromkeys(name.partition(".")[0] for name in named)
    there = {*sys.stdlib_module_names, *packages}
    return [name for name in tops if name not in there]
