"""What a reader hands on: rows of one file, and what that file says of the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.errors import DataError

Parts = TypeVar("Parts")
SCHEMA = {
    "task": pl.String,
    "metric": pl.String,
    "shots": pl.Int64,
    "instance": pl.String,
    "value": pl.Float64,
    "stderr": pl.Float64,
    "n": pl.Float64,
    "passes": pl.Float64,
    "samples": pl.Float64,
    "is_group": pl.Boolean,
}


@dataclass(frozen=True)
class Said:
    """What a file itself says of its model; None where it says nothing.

    Attributes:
        model: name or path, as in `pretrained=`.
        revision: branch or checkpoint, as in `revision=step1000`.
        params: parameters, counted by the tool (with embeddings).
    """

    model: str | None = None
    revision: str | None = None
    params: float | None = None


@dataclass(frozen=True)
class Part:
    """The rows of one file, or of one task in it.

    Attributes:
        path: the file.
        said: what it says of the model.
        rows: any of the schema's columns (and others); may be shared between parts.
        tasks: the tasks in `rows`, to find measurements that two files hold.
        numbers: further columns as (n,) arrays; NaN is missing. Thousands of files of one layout
            share `rows` and differ in these.
        notes: what was left out, in words.
    """

    path: Path
    said: Said
    rows: pl.DataFrame
    tasks: tuple[str, ...]
    numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def guarded(path: Path, read: Callable[[Path], Parts]) -> Parts | DataError:
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
            "a name holds half a character",
            source=str(path),
            value=ascii(error.object)[:60],
            expected="whole characters",
        )


def frame(columns: dict[str, list[object]]) -> pl.DataFrame:
    """Rows with the schema's types; columns that are null throughout are left out."""
    made = {
        name: pl.Series(name, values, SCHEMA.get(name), strict=False)
        for name, values in columns.items()
        if any(v is not None for v in values) or name == "value"
    }
    return pl.DataFrame(made)
