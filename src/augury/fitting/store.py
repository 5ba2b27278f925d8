"""Results on disk: a folder of JSON and Parquet, read without running code.

Problem: a result outlives the session and the version that made it. Decision: plain JSON for what a
person reads, Parquet for bulk numbers, a format number, and nothing that needs unpickling. Pinned
by tests/fitting/test_matrix.py: what is loaded equals what was saved, field by field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.errors import DataError, UsageError
from augury.fitting.likelihoods import LIKELIHOODS
from augury.fitting.records import Bulk, from_record, to_record
from augury.fitting.result import Fit, Status
from augury.laws import law_from, law_record
from augury.notes import Note
from augury.runtime.atomic import atomic_folder

FORMAT = 1
FIT_FILE, RESULT_FILE = "fit.json", "result.json"


def save(result: Any, folder: str | Path) -> Path:
    """Write a result into `folder`, whole or not at all; an existing result is replaced.

    Args:
        result: a fit, a chain's fit, many fits, a forecast or a list of them, a backtest, a
            combination, a ladder's forecast, trends, an emergence fit ...: any result of
            `augury.fitting` and `augury.forecast`.
        folder: created if it does not exist.

    Returns:
        The folder.

    Raises:
        UsageError: the folder contains something else, or the result contains something that cannot
        be saved.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> print(augury.save(augury.fit("chinchilla", runs), "fits/saved"))
        fits/saved
    """
    if isinstance(result, Fit):
        return save_fit(result, folder)
    folder = Path(folder)
    check_folder(folder)
    bulk = Bulk()
    record = {"format": FORMAT, "version": version("augury"), "result": to_record(result, bulk)}
    with atomic_folder(folder) as fresh:
        (fresh / RESULT_FILE).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
        which = [np.full(len(flat), at) for at, flat in enumerate(bulk.arrays)]
        pl.DataFrame(
            {
                "array": np.concatenate([np.empty(0, int), *which]),
                "x": np.concatenate([np.empty(0), *bulk.arrays]).astype(float),
            }
        ).write_parquet(fresh / "arrays.parquet")
        for at, table in enumerate(bulk.tables):
            table.write_parquet(fresh / f"table-{at}.parquet")
    return folder


def load(folder: str | Path) -> Any:
    """Read a result that `save` wrote; no code in it is run.

    Args:
        folder: the one given to `save`.

    Returns:
        The same result, of the same class.

    Raises:
        DataError: the folder holds no result, a damaged one, or one of a later format.
        UsageError: it holds a law of another package, which has to be imported first.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> folder = augury.save(augury.fit("chinchilla", runs), "fits/loaded")
        >>> print(augury.load(folder).law)
        chinchilla
    """
    folder = Path(folder)
    if (folder / FIT_FILE).exists() or not (folder / RESULT_FILE).exists():
        return load_fit(folder)
    with _damage(folder):
        record = json.loads((folder / RESULT_FILE).read_text())
        _check_format(record, folder / RESULT_FILE)
        flat = pl.read_parquet(folder / "arrays.parquet")
        which, x = flat["array"].to_numpy(), flat["x"].to_numpy()
        bulk = Bulk(_Arrays(which, x), _Tables(folder))
        return from_record(record["result"], bulk)


class _Arrays(list[Any]):
    """Flat arrays, cut out of one column when asked for."""

    def __init__(self, which: Any, x: Any) -> None:
        super().__init__()
        self.which, self.x = which, x

    def __getitem__(self, at: Any) -> Any:
        low, high = np.searchsorted(self.which, [at, at + 1])
        return self.x[low:high]


class _Tables(list[pl.DataFrame]):
    """Tables, read when asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __getitem__(self, at: Any) -> Any:
        return pl.read_parquet(self.folder / f"table-{int(at)}.parquet")


def check_folder(folder: Path) -> None:
    """Check that a result can be written to a folder.

    Raises:
        UsageError: it is a file, or a folder that contains something else.
    """
    if folder.is_dir() and any(folder.iterdir()):
        if not any((folder / name).exists() for name in (FIT_FILE, RESULT_FILE)):
            raise UsageError(f"{folder} is not empty and holds no saved result: nothing is written")
    elif folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder: nothing is written")


def _check_format(record: Any, path: Path) -> None:
    if record["format"] > FORMAT:
        raise DataError(
            "was written by a later version of Augury",
            source=str(path),
            value=record["version"],
            expected=f"format {FORMAT} or less",
        )


@contextmanager
def _damage(folder: Path) -> Iterator[None]:
    """Turn any error in reading a saved result into one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(
            "holds no saved result", source=str(folder),
            expected="a folder written by `augury fit --out` or `augury.save`",
        ) from error  # fmt: skip
    except (
        *(KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError),
        *(RecursionError, pl.exceptions.PolarsError),
    ) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"the saved result is damaged: {text}", source=str(folder), expected="a whole result"
        ) from error


def save_fit(fit: Fit, folder: str | Path) -> Path:
    """Write a fit into `folder`, whole or not at all; an existing fit is replaced.

    Args:
        fit: any fit.
        folder: to hold `fit.json` and Parquet files; created if it does not exist.

    Returns:
        The folder.

    Raises:
        UsageError: the folder contains something that is not a fit.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> print(augury.save_fit(augury.fit("chinchilla", runs), "fits/mine"))
        fits/mine
    """
    folder = Path(folder)
    check_folder(folder)
    with atomic_folder(folder) as fresh:
        (fresh / "fit.json").write_text(json.dumps(_plain(_record(fit)), indent=2) + "\n")
        names = list(fit.parameters)
        pl.DataFrame(fit.draws, schema=names).write_parquet(fresh / "draws.parquet")
        pl.DataFrame({"residual": fit.residuals}).write_parquet(fresh / "residuals.parquet")
        fit.data.write_parquet(fresh / "data.parquet")
    return folder


def load_fit(folder: str | Path) -> Fit:
    """Read a fit that `save_fit` wrote; no code in it is run.

    Args:
        folder: the one given to `save_fit`.

    Returns:
        The same `Fit`, draws and data included.

    Raises:
        DataError: the folder holds no fit, a damaged one, or one of a later format.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> folder = augury.save_fit(augury.fit("chinchilla", runs), "fits/other")
        >>> print(augury.load_fit(folder).status)
        converged
    """
    folder = Path(folder)
    path = folder / FIT_FILE
    with _damage(folder):
        record = json.loads(path.read_text())
        _check_format(record, path)
        draws = pl.read_parquet(folder / "draws.parquet")
        return Fit(
            law=law_from(record["law"]),
            likelihood=LIKELIHOODS[record["likelihood"]["name"]](
                **record["likelihood"]["settings"]
            ),
            parameters={name: _number(x) for name, x in record["parameters"].items()},
            objective=_number(record["objective"]),
            status=Status(record["status"]),
            notes=tuple(Note(**note) for note in record["notes"]),
            draws=draws.to_numpy().reshape(draws.height, len(record["parameters"])),
            uncertainty=record["uncertainty"],
            level=record["level"],
            residuals=pl.read_parquet(folder / "residuals.parquet")["residual"].to_numpy(),
            data=pl.read_parquet(folder / "data.parquet"),
            diagnostics=record["diagnostics"],
            seed=record["seed"],
        )


def _record(fit: Fit) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": version("augury"),
        "law": law_record(fit.law),
        "likelihood": {
            "name": fit.likelihood.name,
            "settings": {f.name: getattr(fit.likelihood, f.name) for f in fields(fit.likelihood)},
        },
        "parameters": dict(fit.parameters),
        "objective": fit.objective,
        "status": str(fit.status),
        "notes": [
            {
                "code": note.code,
                "severity": note.severity,
                "message": note.message,
                "details": dict(note.details),
            }
            for note in fit.notes
        ],
        "uncertainty": fit.uncertainty,
        "level": fit.level,
        "diagnostics": dict(fit.diagnostics),
        "seed": fit.seed,
    }


def _plain(value: Any) -> Any:
    """Write numbers that JSON cannot express as text, and NumPy's as Python's."""
    if isinstance(value, dict):
        return {str(key): _plain(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def _number(value: Any) -> float:
    return float(value)
