"""Checkpoints on disk: a folder of safetensors and JSON, written completely or not at all.

A run's folder holds `step-N/` for every checkpoint (`model.safetensors`, `config.json`) and, while
it trains, `restart.safetensors` with the weights and the optimiser's moments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from augury.errors import AuguryError, DataError
from augury.lab.config import RunConfig
from augury.lab.model import Weights, init
from augury.runtime.atomic import atomic_file, atomic_folder

FORMAT = 2
RESTART = "restart.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory.

    Attributes:
        config: the run.
        step: optimiser steps done.
        loss: nats per token on held-out documents of the run's own mixture.
        weights: arrays by name, float32.
    """

    config: RunConfig
    step: int
    loss: float
    weights: Weights

    @property
    def tokens(self) -> float:
        """Training tokens seen."""
        return self.config.tokens(self.step)

    @property
    def flops(self) -> float:
        """Training compute, 6 N D."""
        return self.config.flops(self.step)


def checkpoint_folder(folder: str | Path, step: int) -> Path:
    """Return the folder of a step's checkpoint in a run's folder."""
    return Path(folder) / f"step-{step}"


def save_checkpoint(folder: Path, saved: Checkpoint) -> None:
    """Write a checkpoint's folder, completely or not at all; an existing one is replaced."""
    from safetensors.numpy import save_file

    with atomic_folder(folder) as fresh:
        save_file({n: np.asarray(x) for n, x in saved.weights.items()}, fresh / "model.safetensors")
        record = {
            "format": FORMAT,
            "augury": version("augury"),
            "name": saved.config.name,
            "run": saved.config.to_json(),
            "step": saved.step,
            "params": saved.config.model.params,
            "params_kind": "all",
            "tokens": saved.tokens,
            "flops": saved.flops,
            "loss": saved.loss,
            "loss_set": saved.config.mixture,
        }
        (fresh / "config.json").write_text(json.dumps(record, indent=2) + "\n")


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        DataError: it does not exist, or is damaged, of another format, or of another shape.
    """
    folder = Path(folder)
    path = folder / "config.json"
    record = _record(path)
    try:
        config = RunConfig.from_json(record["run"])
        step, loss = int(record["step"]), float(record["loss"])
    except (KeyError, TypeError, ValueError, AttributeError, AuguryError) as error:
        raise DataError(
            f"does not describe a run of the lab: {_line(error)}",
            source=str(path),
            expected="the file as training wrote it",
        ) from error
    weights = _tensors(folder / "model.safetensors")[0]
    shapes = {n: x.shape for n, x in init(config.model, 0).items()}
    for name in sorted(shapes.keys() | weights.keys()):
        found = weights[name].shape if name in weights else None
        if found != shapes.get(name):
            raise DataError(
                f"the weights are not of the shape that {path} says: '{name}' is "
                + ("missing" if found is None else f"{found}"),
                source=str(folder / "model.safetensors"),
                expected=f"a model of width {config.model.width}",
            )
    return Checkpoint(config, step, loss, weights)


def is_saved(folder: Path, config: RunConfig, step: int) -> bool:
    """Return whether this checkpoint of this run already exists.

    Raises:
        DataError: it is damaged, or belongs to another run.
    """
    place = checkpoint_folder(folder, step)
    if not place.exists():
        return False
    _same_run(load_checkpoint(place).config, config, place)
    return True


def save_restart(folder: Path, config: RunConfig, step: int, arrays: Mapping[str, Any]) -> None:
    """Write everything that training needs to resume, as one file."""
    from safetensors.numpy import save_file

    about = {"format": str(FORMAT), "step": str(step), "run": json.dumps(config.to_json())}
    with atomic_file(folder / RESTART) as fresh:
        save_file({n: np.asarray(x) for n, x in arrays.items()}, fresh, metadata=about)


def load_restart(folder: Path, config: RunConfig) -> tuple[int, dict[str, Any]] | None:
    """Return step and arrays to resume from; None if there is nothing.

    Raises:
        DataError: the file is damaged, of another format, or of another run.
    """
    path = folder / RESTART
    if not path.exists():
        return None
    arrays, about = _tensors(path)
    if about.get("format") != str(FORMAT):
        raise DataError(
            "has another format",
            source=str(path),
            value=about.get("format"),
            expected=f"format {FORMAT}; delete it to train from the start",
        )
    _same_run(RunConfig.from_json(json.loads(about["run"])), config, path)
    return int(about["step"]), arrays


def _same_run(found: RunConfig, wanted: RunConfig, path: Path) -> None:
    if not found.same_run(wanted):
        ours, theirs = wanted.to_json(), found.to_json()
        differs = [k for k in ours if ours[k] != theirs[k] and k != "checkpoints"]
        raise DataError(
            f"is of another run: it differs in {', '.join(differs)}",
            source=str(path),
            value={k: theirs[k] for k in differs},
            expected=f"{ {k: ours[k] for k in differs} }, or another folder",
        )


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            "holds no checkpoint",
            source=str(path.parent),
            expected="a folder with config.json and model.safetensors",
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"is not JSON: {_line(error)}", source=str(path), expected="JSON, as training wrote it"
        ) from error
    found = record.get("format") if isinstance(record, dict) else record
    if not isinstance(record, dict) or found != FORMAT:
        raise DataError(
            "has another format",
            source=str(path),
            value=found,
            expected=f"format {FORMAT}; train again, or use the version of augury that wrote it",
        )
    return record


def _tensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read arrays and metadata of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, file.metadata() or {}
    except FileNotFoundError as error:
        raise DataError(
            "there is no such file", source=str(path), expected="the weights"
        ) from error
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"is damaged: {_line(error)}", source=str(path), expected="a complete safetensors file"
        ) from error


def _line(error: BaseException) -> str:
    """Return the first line of an error's text, with its kind if the text alone tells little."""
    text = " ".join((str(error).splitlines() or [""])[0].split())
    return f"missing {text}" if isinstance(error, KeyError) else text or type(error).__name__
