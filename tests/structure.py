"""The structure of the package's source: rooms, imports, classes. Read, not imported."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"
PACKAGE = "augury"

GROUND = frozenset({"errors", "notes", "display", "runtime"})
# Each room and the rooms it may import (docs/design has the drawing).
ROOMS: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "notes": frozenset({"errors"}),
    "display": frozenset({"errors", "notes"}),
    "runtime": frozenset({"errors", "notes"}),
    "data": GROUND,
    "laws": GROUND,
    "fitting": GROUND | {"data", "laws"},
    "forecast": GROUND | {"data", "laws", "fitting"},
    "evaluate": GROUND | {"data"},
    "lab": GROUND | {"data", "evaluate"},
    "finetune": GROUND | {"data", "evaluate", "lab"},
    "report": GROUND | {"data", "laws", "fitting", "forecast"},
}
# These may import every room.
TOP = frozenset({"study", "cli", "__init__", "__main__"})


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((SOURCE / PACKAGE).rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def room(module: str) -> str:
    """The room of a module: "augury.laws.base" is in "laws"."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def rooms() -> set[str]:
    return {room(module) for module in modules()}


@cache
def imports(module: str) -> dict[str, int]:
    """The modules of the package that a module imports anywhere, and the first line of each."""
    found: dict[str, int] = {}
    for node, typing_only in _statements(tree(module), False):
        if not typing_only:
            for name in _named(module, node):
                found.setdefault(name, node.lineno)
    found.pop(module, None)
    return found


def outside(*folders: Path) -> set[str]:
    """The packages that files below these folders import, also for types only."""
    found = set()
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node, _ in _statements(ast.parse(path.read_text(encoding="utf-8")), False):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif not node.level:
                found.add((node.module or "").split(".")[0])
    return found


def _statements(
    node: ast.AST, typing_only: bool
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """All imports below a node, also in functions; True for those under TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, typing_only
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for inner in child.body:
                yield from _statements(ast.Module([inner], []), True)
            for inner in child.orelse:
                yield from _statements(ast.Module([inner], []), typing_only)
        else:
            yield from _statements(child, typing_only)


def _named(module: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        base = node.module or ""
        if node.level:
            package = module.split(".")
            if modules()[module].name != "__init__.py":
                package = package[:-1]
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
        # `from augury.data import scores` imports the module scores if there is one.
        inner = [f"{base}.{alias.name}" for alias in node.names]
        names = [name if name in modules() else base for name in inner]
    for name in names:
        if name.split(".")[0] == PACKAGE and name in modules():
            yield name


def circles() -> list[list[str]]:
    """Groups of modules that all import each other, directly or indirectly (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in imports(module):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            at = stack.index(module)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for module in modules():
        if module not in index:
            visit(module)
    return found


def arrows_back() -> list[str]:
    """Imports of rooms that the importing room must not import."""
    found = []
    for module in modules():
        here = room(module)
        if here in TOP:
            continue
        for other, line in imports(module).items():
            there = room(other)
            if there != here and there not in ROOMS.get(here, frozenset()):
                found.append(f"{module}:{line} imports {other}")
    return found


def classes() -> dict[str, list[str]]:
    """Every class name of the package, with the modules that define it."""
    found: dict[str, list[str]] = {}
    for module in modules():
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(module)
    return found


def shadowed() -> list[str]:
    """Names that a package re-exports and that are also its files.

    Then earlier imports decide which of the two `from augury.x import name` returns.
    """
    found = []
    for module, path in modules().items():
        if path.name != "__init__.py":
            continue
        for node in tree(module).body:
            if isinstance(node, ast.ImportFrom) and node.module != module:
                names = [alias.asname or alias.name for alias in node.names]
                found += [f"{module}.{name}" for name in names if f"{module}.{name}" in modules()]
    return found


def lines() -> dict[str, int]:
    """Number of lines of each module."""
    return {
        name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()
    }


def digest(*names: str) -> str:
    """Digest of the code of rooms or modules; comments, docstrings and layout do not change it."""
    hashed = hashlib.sha256()
    for module in modules():
        if any(module == f"{PACKAGE}.{n}" or module.startswith(f"{PACKAGE}.{n}.") for n in names):
            hashed.update(f"{module}\n{bare(module)}\n".encode())
    return hashed.hexdigest()[:16]


@cache
def bare(module: str) -> str:
    """Its tree without docstrings; kept, as most claims rest on the same modules."""
    parsed = ast.parse(modules()[module].read_text(encoding="utf-8"))
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(parsed):
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(parsed)
