"""`Reader`, and the list of all readers. Other packages add theirs as augury.readers.

# in the package's pyproject.toml
[project.entry-points."augury.readers"]
mine = "mypackage.reading:READER"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from augury.data.readers.part import Part
from augury.errors import UsageError

GROUP = "augury.readers"


@dataclass(frozen=True)
class Reader:
    """How files of one tool become rows.

    Attributes:
        kind: its name: `augury read KIND`.
        matches: whether a file in a folder may be of this kind, by its name. Files given one by one
            are read without this check.
        read: returns a file's part or parts. Raises `DataError` if nothing in the file can be
            trusted, `ForeignFileError` if it is of another kind.
        reads: what it reads, in one line.
    """

    kind: str
    matches: Callable[[Path], bool]
    read: Callable[[Path], Part | Sequence[Part]]
    reads: str = ""


# Kind and location of its reader, loaded on first use.
BUILT_IN: Mapping[str, str] = {
    "lm-eval": "augury.data.readers.lm_eval:READER",
    "inspect": "augury.data.readers.inspect_logs:READER",
    "lighteval": "augury.data.readers.lighteval:READER",
    "humaneval": "augury.data.readers.code:HUMANEVAL",
    "evalplus": "augury.data.readers.code:EVALPLUS",
    "bigcode": "augury.data.readers.code:BIGCODE",
    "loss": "augury.data.readers.loss:READER",
    "table": "augury.data.readers.tables:READER",
}
KINDS = tuple(BUILT_IN)


@cache
def _from_outside() -> dict[str, str]:
    return {e.name: e.value for e in entry_points(group=GROUP) if e.name not in BUILT_IN}


def kinds() -> tuple[str, ...]:
    """Return all kinds of files with a reader; those of other packages come last."""
    return (*BUILT_IN, *_from_outside())


def find_reader(kind: str) -> Reader:
    """Return the reader of a kind.

    Args:
        kind: one of `kinds()`.

    Raises:
        UsageError: it does not exist, or that of another package cannot be loaded.
    """
    place = BUILT_IN.get(kind) or _from_outside().get(kind)
    if place is None:
        raise UsageError(f"cannot read '{kind}': expected one of {', '.join(kinds())}")
    module, _, name = place.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"cannot load the reader '{kind}' from {place}: {error}") from error
    if not isinstance(found, Reader):
        raise UsageError(f"{place} is not a Reader, but a {type(found).__name__}")
    return found


class _Readers(Mapping[str, Reader]):
    """Every reader by its kind."""

    def __getitem__(self, kind: str) -> Reader:
        if kind not in kinds():
            raise KeyError(kind)
        return find_reader(kind)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(kinds())

    def __len__(self) -> int:
        return len(kinds())


READERS: Mapping[str, Reader] = _Readers()
