"""A sweep's files: one folder per unit, written completely or not at all.

STUDY/measurements/UNIT/ holds `record.json` (hyperparameters, curve, score, seconds) and
`rows.parquet` (the row of the observation table), so that a study's folder reads as a table.
STUDY/finetune/TASK/ holds what all units of a task share: `settings.json`, and `search.jsonl`, the
journal of the search for a learning rate.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import polars as pl

from augury.data import observations
from augury.errors import DataError, UsageError
from augury.finetune.models import Model
from augury.lab import Recipe
from augury.runtime.atomic import atomic_file, atomic_folder

FORMAT = 1


# What is finetuned: all weights, adapters of rank 8, or only the output embedding.
Method = Literal["full", "lora", "head"]


@dataclass(frozen=True)
class Settings:
    """What the units of one task in one study have in common.

    Attributes:
        task, task_digest: what is scored, and which examples stop the finetuning.
        method: "full", "lora" or "head".
        rate: learning rate at the width `at`; elsewhere rate sqrt(at / width).
        at: width.
        batch, steps, passes, every, patience: as in `Recipe`.
        samples: per instance, if the score is sampled.
        shots: solved examples in a prompt.
    """

    task: str
    task_digest: str
    method: str
    rate: float
    at: int
    batch: int
    steps: int
    passes: int
    every: int
    patience: int
    samples: int
    shots: int

    def recipe(self, width: int, rate: float | None = None) -> Recipe:
        """Return the recipe for a model of this width, with `rate` at the width `at` if given."""
        scaled = (rate or self.rate) * (self.at / width) ** 0.5
        return Recipe(scaled, self.batch, self.steps, self.passes, self.every, self.patience)


@dataclass(frozen=True)
class Unit:
    """One finetuning: a checkpoint, a number of examples, a random subset, a seed.

    Amount 0 is the untuned model, few-shot; subset and seed are then 0. `dimensions`: of the
    trained random subspace of the weights, if not all are trained.
    """

    model: Model
    amount: int
    subset: int
    seed: int
    dimensions: int | None = None

    def folder(self, study: Path, task: str) -> Path:
        """Return the folder of its record."""
        step = "" if self.model.step is None else f"-step-{self.model.step}"
        what = f"-d{self.amount}-s{self.subset}-r{self.seed}" if self.amount else "-as-it-is"
        if self.dimensions is not None:
            what += f"-p{self.dimensions}"
        name = f"finetune-{task}-{self.model.run}{step}"
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[-90:].lstrip(".-")
        return study / "measurements" / f"{safe}-{self.model.digest}{what}"


def save_unit(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a unit's record and row."""
    whole = {"format": FORMAT, "augury": version("augury"), **record}
    whole["check"] = _check(whole)
    with atomic_folder(folder) as fresh:
        (fresh / "record.json").write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n")
        observations([whole["row"]]).write_parquet(fresh / "rows.parquet")


def load_unit(folder: Path, settings: Settings) -> dict[str, Any] | None:
    """Load a unit's record; None if it was not run.

    Raises:
        DataError: the record is damaged, or of another format.
        UsageError: it was run with other settings.
    """
    if not folder.exists():
        return None
    path = folder / "record.json"
    again = "the record as the sweep wrote it; delete its folder to run the unit again"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError("there is no such file", source=str(path), expected=again) from error
    except (ValueError, RecursionError) as error:
        raise DataError("is not JSON", source=str(path), expected=again) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else record
        raise DataError("has another format", source=str(path), value=found, expected=again)
    if record.get("check") != _check(record):
        raise DataError("does not match its checksum", source=str(path), expected=again)
    same(record["settings"], settings, path)
    if not (folder / "rows.parquet").exists():
        raise DataError(
            "there is no such file", source=str(folder / "rows.parquet"), expected=again
        )
    return record


def load_settings(study: Path, task: str) -> dict[str, Any] | None:
    """Return what this study's units of a task have in common; None if there are none yet.

    Raises:
        DataError: the file is damaged.
    """
    path = settings_path(study, task)
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        Settings(**found)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(
            "is damaged", source=str(path), expected="the settings as the sweep wrote them"
        ) from error
    return dict(found)


def save_settings(study: Path, settings: Settings) -> None:
    """Write the settings."""
    path = settings_path(study, settings.task)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as fresh:
        fresh.write_text(json.dumps(asdict(settings), indent=2) + "\n")


def settings_path(study: Path, task: str) -> Path:
    """Return the path of the settings."""
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in task).lstrip(".") or "task"
    return study / "finetune" / safe / "settings.json"


def same(found: Mapping[str, Any], wanted: Settings, path: Path) -> None:
    """Refuse to mix units with different settings: their rows would be one measurement twice.

    Raises:
        UsageError: they differ; the message says in what.
    """
    ours = asdict(wanted)
    differs = [name for name in ours if found.get(name) != ours[name]]
    if differs:
        told = ", ".join(f"{name} {found.get(name)} (not {ours[name]})" for name in differs)
        raise UsageError(
            f"{path} belongs to a sweep with other settings: {told}; use another folder"
        )


def table(records: list[dict[str, Any]]) -> pl.DataFrame:
    """Build the observation table of units, in the given order."""
    return observations([record["row"] for record in records])


def _check(record: Mapping[str, Any]) -> str:
    plain = {name: value for name, value in record.items() if name != "check"}
    return f"{zlib.crc32(json.dumps(plain, sort_keys=True).encode()):08x}"
