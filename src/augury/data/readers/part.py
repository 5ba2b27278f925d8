"""What a reader returns: rows of one file, what it tells about the model, and what was left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.errors import DataError

Parts = TypeVar("Parts")
SCHEMA = {
    "task": pl.String,
    "metric": pl.String,
    "shots": pl.Int64,
    "prompt": pl.String,
    "task_version": pl.String,
    "instance": pl.String,
    "value": pl.Float64,
    "stderr": pl.Float64,
    "n": pl.Float64,
    "passes": pl.Float64,
    "samples": pl.Float64,
    "is_group": pl.Boolean,
    "higher_is_better": pl.Boolean,
}


class ForeignFileError(DataError):
    """A file of another kind. In a folder it is skipped and listed, not an error."""


@dataclass(frozen=True)
class LeftOut:
    """Something in a file that is not in the table.

    Attributes:
        path: the file.
        key: where in it: "results.mgsm.details", "line 51".
        value: the value, shortened.
        why: why it could not be read.
    """

    path: Path
    key: str
    value: str | None
    why: str

    def __str__(self) -> str:
        got = "" if self.value is None else f" (got {self.value})"
        line = f"{self.path}: {self.key}: {self.why}{got}"
        return line.encode("utf-8", "backslashreplace").decode()

    def error(self) -> DataError:
        """Return the same as an error: for a file with nothing else in it."""
        return DataError(f"{self.key}: {self.why}", source=str(self.path), value=self.value)


@dataclass(frozen=True)
class OddField:
    """As `LeftOut`, without the file: files of one layout share it."""

    key: str
    value: str | None
    why: str

    def of(self, path: Path) -> LeftOut:
        """Return it with this file."""
        return LeftOut(path, self.key, self.value, self.why)


@dataclass(frozen=True)
class ModelInfo:
    """What a file itself tells about its model and how it was run; None where it does not.

    Attributes:
        model: name or path, as in `pretrained=`.
        revision: branch or checkpoint, as in `revision=step1000`.
        params: parameters, counted by the tool (with embeddings).
        adapter: an adapter on top of the model, which is then only its base.
        columns: what else distinguishes evaluations of one model, by the table's columns:
            quantization, chat_template, system_prompt, variant.
        settings: what usually does not (date, version of the tool), available by name.
    """

    model: str | None = None
    revision: str | None = None
    params: float | None = None
    adapter: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """The rows of one file, or of one task in it.

    Attributes:
        path: the file.
        info: what it tells about the model.
        rows: any of the schema's columns (and others); may be shared between parts.
        tasks: the tasks in `rows`, to find measurements that two files share.
        numbers: further columns as (n,) arrays; NaN is missing. Thousands of files of one layout
            share `rows` and differ in these.
        notes: remarks on the file, in words.
        left_out: what is in the file but not in `rows`.
    """

    path: Path
    info: ModelInfo
    rows: pl.DataFrame
    tasks: tuple[str, ...]
    numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def call_guarded(path: Path, read: Callable[[Path], Parts]) -> Parts | DataError:
    """Return what `read` makes of a file, or the error."""
    try:
        return read(path)
    except DataError as error:
        return error
    except pl.exceptions.PanicException as error:  # Polars met unexpected bytes
        return DataError(
            "cannot be read", source=str(path), value=str(error)[:60], expected="an undamaged file"
        )
    except UnicodeEncodeError as error:  # JSON can contain "\\ud800", which is not valid text
        return DataError(
            "a name contains an unpaired surrogate",
            source=str(path),
            value=ascii(error.object)[:60],
            expected="whole characters",
        )


def make_frame(columns: dict[str, list[object]]) -> pl.DataFrame:
    """Build rows with the schema's types; columns that are entirely null are left out."""
    made = {
        name: pl.Series(name, values, SCHEMA.get(name), strict=False)
        for name, values in columns.items()
        if any(v is not None for v in values) or name == "value"
    }
    return pl.DataFrame(made)
