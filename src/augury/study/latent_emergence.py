"""The world of latent attributes of a study: a recorded forecast, then the model that shows it.

Few-shot scores of the fitted models stay at chance, while finetuning on a few examples reveals the
ability; the moved curve forecasts from these where it will emerge without. FOLDER contains:

world.json          the world, and its seed
ladder/wWIDTH.parquet, observed.parquet   the models behind the forecast, and all in one table
forecast.json       the point of emergence, written before training of `later/` begins
forecasts.jsonl     the same as a record with its time, in a chain of hashes (see `ledger`)
later/wWIDTH.parquet   few-shot scores of the larger model
score.json          the outcome

Each file is kept once it exists: a run that was stopped at any moment resumes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from augury.errors import DataError, UsageError
from augury.forecast.emergence.moved_data import moved_study
from augury.forecast.emergence.moved_fit import ABOVE, MovedFit, fit_moved
from augury.lab.latent import LatentText, LatentWorld, latent_ladder
from augury.runtime.atomic import atomic_file
from augury.runtime.json_files import read_json, write_json
from augury.study.results.forecast_records import (
    EmergencePointRecord,
    EmergenceRecord,
    EmergenceScoreRecord,
    ForecastRecord,
    read_forecast,
    read_score,
)
from augury.study.results.formats import save_record
from augury.study.results.ledger import ForecastLine, Ledger
from augury.study.results.store import file_digest
from augury.study.units.emergence import score_emergence

# Its folder inside a study's folder.
LATENT = "latent"
WORLD, OBSERVED, FORECAST, SCORE = "world.json", "observed.parquet", "forecast.json", "score.json"
Progress = Callable[[str, int, int], None]


class LatentResult(NamedTuple):
    """The contents of the folder.

    Attributes:
        forecast: where the ability emerges.
        line: the line of the record that holds it.
        head: SHA-256 of the record's last line.
        observed: the table behind the forecast.
        score: the result; None if not yet known.
        later: the table of the larger model; None if not yet known.
    """

    forecast: EmergenceRecord
    line: ForecastLine
    head: str
    observed: pl.DataFrame
    score: EmergenceScoreRecord | None
    later: pl.DataFrame | None

    @property
    def few_shot(self) -> pl.DataFrame:
        """Return the rows of the ladder without finetuning."""
        return self.observed.filter(finetune_examples=0)

    @property
    def crossing(self) -> float | None:
        """Loss at which the larger model's scores are permanently this far above chance.

        On a straight line between two checkpoints; None if it never gets there, or always was.
        """
        if self.later is None:
            return None
        own = self.later.sort("step")
        up = (own["value"] - own["chance"]).to_numpy() - self.forecast.distance
        below = np.flatnonzero(up < 0)
        if not len(below) or below[-1] + 1 == len(up):
            return None
        k = int(below[-1])
        return float(np.interp(0.0, up[k : k + 2], own["loss"].to_numpy()[k : k + 2]))


def forecast_latent(
    folder: Path, world: LatentWorld, seed: int, *, progress: Progress | None = None
) -> LatentResult:
    """Train and finetune the ladder, and record a forecast of where the ability emerges without.

    Args:
        folder: for all files.
        world: of one task.
        seed: of the world, the text, the weights and the fit.
        progress: called with (model, step, steps).

    Returns:
        The current contents.

    Raises:
        UsageError: the folder belongs to another world or seed.
        DataError: the record was changed.
        TrainingError: a run failed.
    """
    _claim_folder(folder, world, seed)
    if not (folder / OBSERVED).exists():
        table = latent_ladder(world, seed, folder / "ladder", progress=progress)
        with atomic_file(folder / OBSERVED) as fresh:
            table.write_parquet(fresh)
    if not (folder / FORECAST).exists():
        table = pl.read_parquet(folder / OBSERVED)
        floor = LatentText(world, seed).floor()
        save_record(folder / FORECAST, _record(fit_moved(moved_study(table, floor=floor)), table))
    _put_on_record(folder)
    return latent_result(folder)


def score_latent(
    folder: Path, world: LatentWorld, seed: int, *, progress: Progress | None = None
) -> LatentResult:
    """Train the larger model of a world whose forecast is on record, and score the forecast.

    Args:
        folder, world, seed, progress: as for `forecast_latent`.

    Raises:
        UsageError: the folder belongs to another world or seed.
        DataError: no forecast is on record, or it was changed.
        TrainingError: the run failed.
    """
    _claim_folder(folder, world, seed)
    found = latent_result(folder)
    if found.score is None:
        truth = latent_ladder(world, seed, folder / "later", later=True, progress=progress)
        asked = {"task": found.forecast.task, "metric": None}
        score = score_emergence(found.forecast, truth, asked)
        ledger = Ledger(folder)
        if not ledger.find("score", found.line.unit):
            (made,) = score.scores
            about = {"kind": "score", "unit": found.line.unit, "of_line": found.line.line}
            scored = made.model_dump(exclude={"forecast", "bracket"})
            ledger.append([{**about, "task": score.task, **scored}])
        save_record(folder / SCORE, score)
    return latent_result(folder)


def latent_result(folder: Path) -> LatentResult:
    """Return the contents of a folder with a forecast on record.

    Raises:
        DataError: there is none, or the record or the forecast was changed.
    """
    ledger = Ledger(folder)
    if not ledger.forecasts:
        raise DataError("holds no forecast on record", source=str(folder))
    line = ledger.forecasts[0]
    if file_digest(folder / FORECAST) != line.result_sha256:
        raise DataError(
            f"was changed after it was put on record (line {line.line})",
            source=str(folder / FORECAST),
            expected=f"SHA-256 {line.result_sha256}",
        )
    record = read_forecast(folder)
    assert isinstance(record, EmergenceRecord)
    score = read_score(folder) if (folder / SCORE).exists() else None
    assert score is None or isinstance(score, EmergenceScoreRecord)
    later = None
    if score is not None:
        parts = [pl.read_parquet(path) for path in sorted((folder / "later").glob("w*.parquet"))]
        later = pl.concat(parts, how="diagonal_relaxed")
    observed = pl.read_parquet(folder / OBSERVED)
    return LatentResult(record, line, ledger.head, observed, score, later)


def _claim_folder(folder: Path, world: LatentWorld, seed: int) -> None:
    """Record which world and seed the folder belongs to, unless done.

    Raises:
        UsageError: it belongs to another.
    """
    wanted = json.loads(json.dumps({"world": world.to_json(), "seed": seed}))
    path = folder / WORLD
    if path.exists() and read_json(path) != wanted:
        raise UsageError(f"{path} belongs to another world or seed: give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, wanted)


def _record(fitted: MovedFit, table: pl.DataFrame) -> EmergenceRecord:
    """Build the forecast's record as in a study; without a number if the status allows none."""
    said = fitted.to_dict()
    point, elbow = said["point"], said["elbow"]
    if not fitted.usable:
        point = elbow = {"value": None, "interval": [None, None], "level": fitted.level}
    beyond = None
    losses = table["loss"]
    if point["value"] is not None:
        least, most = float(losses.min()), float(losses.max())  # type: ignore[arg-type]
        beyond = max(least - point["value"], point["value"] - most, 0.0) / (most - least)
    interval = tuple(point["interval"])
    made = ForecastRecord(
        method="emergence",
        value=point["value"],
        mean_interval=interval,
        run_interval=interval,
        extrapolation=beyond,
        level=fitted.level,
    )
    alone = {} if said["control"] is None else {"few-shot rows alone": said["control"]}
    return EmergenceRecord(
        task=str(table["task"][0]),
        level=fitted.level,
        law="moved",
        weights={"moved": 1.0},
        status=str(fitted.status),
        remedy=fitted.remedy,
        notes=fitted.notes,
        elbow=EmergencePointRecord.model_validate({"point": elbow}),
        above=EmergencePointRecord.model_validate({"point": point, "methods": alone}),
        distance=ABOVE,
        forecasts=(made,),
    )


def _put_on_record(folder: Path) -> None:
    """Append the forecast to the record, unless it is there."""
    ledger = Ledger(folder)
    if ledger.forecasts:
        return
    record = read_forecast(folder)
    unit = hashlib.sha256((folder / WORLD).read_bytes()).hexdigest()
    wanted = {"method", "inputs", "value", "mean_interval", "run_interval", "level",
              "extrapolation"}  # fmt: skip
    later = folder / "later"
    ledger.append(
        [
            {
                "kind": "forecast",
                "unit": unit,
                "inputs_digest": file_digest(folder / OBSERVED),
                "result_sha256": file_digest(folder / FORECAST),
                "forecast": 0,
                "study": LATENT,
                "question": record.question,
                "task": record.task,
                "blind": not later.exists(),
                **record.forecasts[0].model_dump(include=wanted),
            }
        ]
    )
