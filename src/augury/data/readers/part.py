"""What a reader hands on: rows of one file, what it says of the model, and what was left out."""

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
    """A file of another kind. One found in a folder is passed over and listed, not an error."""


@dataclass(frozen=True)
class LeftOut:
    """Something in a file that is not in the table.

    Attributes:
        path: the file.
        key: where in it: "results.mgsm.details", "line 51".
        value: what is there, shortened.
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
        """The same as an error: for a file in which nothing else was left."""
        return DataError(f"{self.key}: {self.why}", source=str(self.path), value=self.value)


@dataclass(frozen=True)
class OddField:
    """As `LeftOut`, before it is said which file it is in: files of one layout share it."""

    key: str
    value: str | None
    why: str

    def of(self, path: Path) -> LeftOut:
        """It, in this file."""
        return LeftOut(path, self.key, self.value, self.why)


@dataclass(frozen=True)
class ModelInfo:
    """What a file itself says of its model and of how it was asked; None where it says nothing.

    Attributes:
        model: name or path, as in `pretrained=`.
        revision: branch or checkpoint, as in `revision=step1000`.
        params: parameters, counted by the tool (with embeddings).
        adapter: an adapter on top of the model, which then is only its base.
        columns: what else tells evaluations of one model apart, by the table's columns:
            quantization, chat_template, system_prompt, variant.
        settings: what usually does not (date, version of the tool): to be asked for by name.
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
        info: what it says of the model.
        rows: any of the schema's columns (and others); may be shared between parts.
        tasks: the tasks in `rows`, to find measurements that two files hold.
        numbers: further columns as (n,) arrays; NaN is missing. Thousands of files of one layout
            share `rows` and differ in these.
        notes: what to know of the file, in words.
        left_out: what is in the file and not in `rows`.
    """

    path: Path
    info: ModelInfo
    rows: pl.DataFrame
    tasks: tuple[str, ...]
    numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def call_guarded(path: Path, read: Callable[[Path], Parts]) -> Parts | DataError:
    """What `read` makes of a file, or what is wrong with it."""
    try:
        return read(path)
    except DataError as error:
        return error
    except pl.exceptions.PanicException as error:  # Polars met bytes that it did not foresee
        return DataError(
            "cannot be read", source=str(path), value=str(error)[:60], expected="an unbroken file"
        )
    except UnicodeEncodeError as error:  # JSON can say "\\ud800", which no text can hold
        return DataError(
            "a name contains an unpaired surrogate",
            source=str(path),
            value=ascii(error.object)[:60],
            expected="whole characters",
        )


def make_frame(columns: dict[str, list[object]]) -> pl.DataFrame:
    """Rows with the schema's types; columns that are null throughout are left out."""
    made = {
        name: pl.Series(name, values, SCHEMA.get(name), strict=False)
        for name, values in columns.items()
        if any(v is not None for v in values) or name == "value"
    }
    return pl.DataFrame(made)
