"""Files of fits, forecasts and scores of a study: `fit.json`, `forecast.json`, `score.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import ConfigDict, Field, TypeAdapter

from augury.runtime.json_files import read_json
from augury.study.results.formats import (
    Interval,
    Known,
    Record,
    RecordPart,
    Remark,
    parse_record,
    read_record,
)

# The leading method of a pass rate is the first of these that is available: docs/compare.md reports
# the quality of each.
LEADING = ("counts-average", "laws")


class ForecastRecord(RecordPart):
    """One forecast at one point.

    Attributes:
        method: "laws", "counts-NAME", "emergence" or "emergence-in-INPUT".
        inputs: the point, as requested; empty for a point of emergence.
        value: None if there is none.
        mean_interval, run_interval: for the mean of many runs, and for one new run.
        extrapolation: in ranges of the data beyond it; 0 inside.
        level: of the intervals.
        never: probability that no amount of this input is enough, for emergence.
        run_share: share of the squared width of `run_interval` that is spread between runs, which
            no forecast can remove; None if it is unknown, or the record is older.
    """

    method: str = ""
    inputs: Mapping[str, float] = {}
    value: Known = None
    mean_interval: Interval = (None, None)
    run_interval: Interval = (None, None)
    extrapolation: Known = None
    level: float
    never: Known = None
    run_share: Known = None


class FitRecord(Record):
    """`fit.json`: one law fitted to all visible data."""

    law: str
    output: str
    parameters: Mapping[str, Known]
    status: str
    remedy: str = ""
    notes: tuple[Remark, ...] = ()
    level: float
    forecasts: tuple[ForecastRecord, ...] = ()


class BacktestRecord(RecordPart):
    """One forecast of a held-out run from smaller ones."""

    model_config = ConfigDict(frozen=True, extra="allow")

    law: str
    cut: str
    observed: float
    value: Known
    low: Known
    high: Known
    held: bool | None = None
    crps: Known = None


class GrowthRecord(RecordPart):
    """The class of a pass rate's growth, and the curvature that decides it."""

    kind: str = Field(alias="class")
    curvature: Known
    interval: Interval
    p: Known = None
    level: float
    held_out: Mapping[str, Any] = {}


class PassRateRecord(Record):
    """`forecast.json` of a pass rate, or of the loss: laws weighted by their backtest, and counts.

    Attributes:
        weights: by law.
        drift: error beyond the laws' own, standard deviation one e-fold beyond the data; None in
            records of versions that widened by a factor.
        growth: None if no instances were counted.
        counts_notes: on the forecasts from counts.
    """

    question: Literal["pass-rate", "loss"] = "pass-rate"
    task: str | None
    level: float
    weights: Mapping[str, float]
    drift: Known = None
    status: str
    remedy: str = ""
    notes: tuple[Remark, ...] = ()
    backtest: tuple[BacktestRecord, ...] = ()
    growth: GrowthRecord | None = None
    counts_notes: tuple[Remark, ...] = ()
    forecasts: tuple[ForecastRecord, ...]

    @property
    def leading(self) -> str:
        """The leading method."""
        made = {f.method for f in self.forecasts if f.value is not None}
        return next((method for method in LEADING if method in made), LEADING[-1])

    @property
    def backtest_rows(self) -> pl.DataFrame:
        """Return the rows in the format of `Backtest.rows`."""
        return pl.DataFrame([row.model_dump() for row in self.backtest], infer_schema_length=None)


class PointRecord(RecordPart):
    """A value with its interval."""

    value: Known
    interval: Interval
    level: float


class EmergencePointRecord(RecordPart):
    """Where an ability emerges, by one definition and for each law."""

    model_config = ConfigDict(frozen=True, extra="allow")

    point: PointRecord
    methods: Mapping[str, PointRecord] = {}


class QuantilesRecord(RecordPart):
    """Finite quantiles of the point of emergence: probabilities and losses."""

    at: tuple[float, ...] = ()
    loss: tuple[float, ...] = ()


class EmergenceRecord(Record):
    """`forecast.json` of a point of emergence.

    Attributes:
        elbow: where scores begin to rise.
        above: where they are `distance` above chance; this is the forecast.
        reach_notes: why losses could not be translated into what to train, if so.
    """

    question: Literal["emergence"] = "emergence"
    task: str | None
    level: float
    law: str
    weights: Mapping[str, float]
    status: str
    remedy: str = ""
    notes: tuple[Remark, ...] = ()
    reach_notes: tuple[Remark, ...] = ()
    elbow: EmergencePointRecord
    above: EmergencePointRecord
    distance: float
    quantiles: QuantilesRecord = QuantilesRecord()
    forecasts: tuple[ForecastRecord, ...]


class RunScoreRecord(RecordPart):
    """One forecast compared with one run that was measured after it.

    Attributes:
        forecast: index of the record's forecast.
        held: whether the interval holds the truth; None if nothing was forecast.
        error: log of truth over forecast; for emergence their difference.
        bracket: for emergence, the losses between which the ability appeared.
    """

    forecast: int = 0
    method: str
    inputs: Mapping[str, float] = {}
    model: str | None = None
    seed: int | None = None
    value: Known = None
    low: Known = None
    high: Known = None
    truth: Known = None
    bracket: Interval | None = None
    held: bool | None = None
    error: Known = None


class PassRateScoreRecord(Record):
    """`score.json` of a pass rate, or of the loss."""

    question: Literal["pass-rate", "loss"] = "pass-rate"
    task: str | None
    level: float
    scores: tuple[RunScoreRecord, ...]


class HeldOutModelRecord(RecordPart):
    """A held-out model: its few-shot score, and the forecast probability that it had emerged."""

    model: str | None = None
    seed: int | None = None
    loss: float
    score: float
    emerged: bool
    probability: Known = None


class EmergenceScoreRecord(Record):
    """`score.json` of a point of emergence."""

    question: Literal["emergence"] = "emergence"
    task: str | None
    level: float
    scores: tuple[RunScoreRecord, ...]
    models: tuple[HeldOutModelRecord, ...] = ()


class LearningRateRecord(Record):
    """`rate.json`: the learning rate that a finetuning found or was given, and its width."""

    rate: float
    width: int


TaskForecast = PassRateRecord | EmergenceRecord
TaskScore = PassRateScoreRecord | EmergenceScoreRecord
_FORECAST: TypeAdapter[Any] = TypeAdapter(Annotated[TaskForecast, Field(discriminator="question")])
_SCORE: TypeAdapter[Any] = TypeAdapter(Annotated[TaskScore, Field(discriminator="question")])


def read_forecast(result: Path) -> TaskForecast:
    """Read `forecast.json` in a result's folder.

    Raises:
        DataError: as `read_record`.
    """
    path = result / "forecast.json"
    found: TaskForecast = parse_record(path, read_json(path), _FORECAST)
    return found


def read_score(result: Path) -> TaskScore:
    """Read `score.json` in a result's folder.

    Raises:
        DataError: as `read_record`.
    """
    path = result / "score.json"
    found: TaskScore = parse_record(path, read_json(path), _SCORE)
    return found


def read_fit(result: Path) -> FitRecord:
    """Read `fit.json` in a result's folder.

    Raises:
        DataError: as `read_record`.
    """
    return read_record(result / "fit.json", FitRecord)
