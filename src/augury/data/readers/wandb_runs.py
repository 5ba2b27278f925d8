"""Runs of Weights & Biases from its API: their histories as JSON lines, for the loss reader.

Uses only the documented interface: `wandb.Api().runs(path)`, and of a run `name`, `id`, `config`
and `scan_history()`. Keys and addresses are wandb's own (`WANDB_API_KEY`, `WANDB_BASE_URL`); none
is read or stored here.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from augury.data.common_names import COMMON_NAMES, plain_name
from augury.errors import DataError, UsageError
from augury.runtime.atomic import atomic_file
from augury.runtime.steps import count_steps

KIND = "wandb"
# Keys of a run's configuration that may describe its model.
FROM_CONFIG = ("params", "tokens")
MODELS = "models.csv"


def fetch_runs(path: str, folder: Path, api: Any = None) -> tuple[list[Path], Path | None]:
    """Fetch every run of a project into a folder.

    Args:
        path: "entity/project".
        folder: where histories go, one RUN.jsonl per run; created if missing.
        api: `wandb.Api()`, or something like it.

    Returns:
        The files, and `models.csv` in the folder if a configuration gives params or tokens.

    Raises:
        UsageError: the extra `wandb` is missing, or the path is not one.
        DataError: the project cannot be read, or no run of it has a history.
    """
    if not re.fullmatch(r"[^/\s]+/[^/\s]+", path):
        raise UsageError(f"'{path}': expected ENTITY/PROJECT of Weights & Biases")
    api = api or _open_api()
    try:
        runs = list(api.runs(path))
    except Exception as error:  # wandb's own error types are unknown without importing it
        raise DataError(f"cannot be read: {str(error)[:200]}", source=f"wandb:{path}",
                        expected="a project that your key can read") from error  # fmt: skip
    names = Counter(str(run.name) for run in runs)
    folder.mkdir(parents=True, exist_ok=True)
    files, models = [], []
    for run in count_steps(runs, "runs"):
        name = str(run.name) if names[str(run.name)] == 1 else f"{run.name}-{run.id}"
        lines = [json.dumps(_plain_row(row)) for row in run.scan_history()]
        if not lines:
            continue
        file = folder / (re.sub(r"[^\w.=+-]", "_", name) + ".jsonl")
        with atomic_file(file) as fresh:
            fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
        files.append(file)
        models.append({"model": file.stem, **told_by(run.config)})
    if not files:
        raise DataError("no run has a history", source=f"wandb:{path}", expected="logged steps")
    known = [row for row in models if len(row) > 1]
    if not known:
        return files, None
    with atomic_file(folder / MODELS) as fresh:
        pl.DataFrame(known, infer_schema_length=None).write_csv(fresh)
    return files, folder / MODELS


def told_by(config: Mapping[str, Any]) -> dict[str, float]:
    """Return parameters and tokens, if exactly one key of a configuration gives each."""
    found = {}
    for ours in FROM_CONFIG:
        values = [
            value for key, value in config.items()
            if plain_name(str(key)) in COMMON_NAMES[ours] and _is_amount(value)
        ]  # fmt: skip
        if len(values) == 1:
            found[ours] = float(values[0])
    return found


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step's numbers and texts; JSON has no NaN, and histograms are not losses."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
        if isinstance(value, int | float | str | None)
    }


def _open_api() -> Any:
    try:
        wandb = importlib.import_module("wandb")
    except ModuleNotFoundError as error:
        raise UsageError(
            'this needs wandb, which is not installed: pip install "augury[wandb]"'
        ) from error
    return wandb.Api()
