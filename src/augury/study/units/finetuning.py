"""Units that finetune a checkpoint, and the one that finds a learning rate for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from augury.runtime.json_files import read_json
from augury.study.results.forecast_records import LearningRateRecord
from augury.study.results.formats import read_record, save_record
from augury.study.results.plan_records import UnitRecord
from augury.study.results.store import Store
from augury.study.units.rows import write_rows
from augury.study.units.unit import Progress

RATE = "rate.json"
# Keys of [finetune], and their names in the sweep; unset ones have the sweep's defaults.
STOPPING = ("batch", "passes", "every", "patience")


def finetune_unit(store: Store, unit: UnitRecord, work: Path, progress: Progress) -> None:
    """Finetune one checkpoint on all subsets of some amounts: `rows.parquet`, and `rate.json`.

    Without a learning rate it is searched for, here and for all units that need this one. A killed
    unit resumes: finished work is recorded in the working folder.
    """
    from augury.finetune import finetune_sweep
    from augury.finetune.models import find_models

    asked = unit.parameters
    how = asked["finetune"]
    spec = _spec(store, unit)
    (model,) = find_models([spec])
    rate, at = how["learning_rate"], asked["width"]
    if asked["searched"]:
        found = read_record(store.result(unit.needs[-1]) / RATE, LearningRateRecord)
        rate, at = found.rate, found.width
    if rate is not None and at is not None:
        rate *= (at / model.width) ** 0.5  # as the sweep scales it: here every model is the middle
    rows = finetune_sweep(
        [spec],
        asked["task"]["name"],
        asked["amounts"],
        how["subsets"],
        how["seeds"],
        out=work,
        method=how["method"],
        learning_rate=rate,
        steps=how["steps"],
        **{name: how[name] for name in STOPPING if name in how},
        instances=how["instances"],
        workers=0,
        processes=_processes(unit, model.kind),
        progress=lambda _, done, of: progress(done, of),
    )
    _save_rate(work, model.width)
    write_rows(_state_columns(rows, asked), work)


def _spec(store: Store, unit: UnitRecord) -> str:
    asked = unit.parameters["model"]
    if "step" in asked:
        return f"lab:{store.result(unit.needs[0]) / 'step-'}{asked['step']}"
    return str(unit.places["model"])


def _processes(unit: UnitRecord, kind: str) -> int:
    """Return how many processes share a run: one per GPU that the unit asks for and finds here."""
    if kind == "lab" or unit.gpus <= 1:
        return 1
    from augury.evaluate.hf_load import needs_models

    return max(min(int(unit.gpus), needs_models("torch").cuda.device_count()), 1)


def _state_columns(rows: pl.DataFrame, asked: Mapping[str, Any]) -> pl.DataFrame:
    """Rows with the columns that the study file states for the model."""
    about = {n: v for n, v in asked["model"].get("about", {}).items() if n != "seed"}
    return rows.with_columns(**{name: pl.lit(value) for name, value in about.items()})


def _save_rate(work: Path, width: int) -> None:
    (settings,) = work.glob("finetune/*/settings.json")
    save_record(work / RATE, LearningRateRecord(rate=read_json(settings)["rate"], width=width))
