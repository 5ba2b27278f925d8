"""Fits on disk: a folder of JSON and Parquet, read without running code.

Problem: a fit outlives the session and the version that made it. Decision: plain JSON for what a
person reads, Parquet for numbers in bulk, a format number, and nothing that needs unpickling.
Pinned by tests/fitting/test_matrix.py: what is loaded equals what was saved, field by field.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.errors import DataError, UsageError
from augury.fitting.likelihoods import LIKELIHOODS
from augury.fitting.result import Fit, Status
from augury.laws import law_from, law_record
from augury.notes import Note
from augury.runtime.atomic import atomic_folder

FORMAT = 1


def save_fit(fit: Fit, folder: str | Path) -> Path:
    """Write a fit into `folder`, whole or not at all; a fit that stands there is replaced.

    Args:
        fit: any.
        folder: to hold `fit.json` and Parquet files; made if it is not there.

    Returns:
        The folder.

    Raises:
        UsageError: the folder holds something that is not a fit.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / "fit.json").exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty and holds no fit: it is left as it is")
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
        folder: that was given to `save_fit`.

    Returns:
        The same `Fit`, draws and data included.

    Raises:
        DataError: the folder holds no fit, a damaged one, or one of a later format.
    """
    folder = Path(folder)
    path = folder / "fit.json"
    try:
        record = json.loads(path.read_text())
        if record["format"] > FORMAT:
            raise DataError(
                "was written by a later version of Augury",
                source=str(path),
                value=record["version"],
                expected=f"format {FORMAT} or less",
            )
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
    except FileNotFoundError as error:
        raise DataError(
            "holds no fit", source=str(folder), expected="a folder written by `augury fit --out`"
        ) from error
    except (KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"the saved fit is damaged: {text}", source=str(folder), expected="a whole fit"
        ) from error


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
    """Numbers that JSON has no word for as text, NumPy's as Python's."""
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
