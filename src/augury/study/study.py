"""A study in Python: what the commands do, with tables instead of text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import polars as pl

from augury.display import Card, Shown
from augury.errors import DataError, UsageError
from augury.study.plan.planner import make_plan
from augury.study.plan.study_file import read_study
from augury.study.plan.study_plan import Plan
from augury.study.results.forecast_records import (
    FitRecord,
    TaskForecast,
    read_fit,
    read_forecast,
)
from augury.study.results.recording import scoreboard
from augury.study.results.store import Store
from augury.study.run.runner import EngineName, RunOutcome, run_study
from augury.study.run.tracker import Tracker

if TYPE_CHECKING:
    from augury.study.plan.study_file import StudyFile


T = TypeVar("T")


@dataclass(frozen=True)
class StoredResult(Generic[T]):
    """A result of a study.

    Attributes:
        unit: key of the unit that made it.
        folder: of its files.
        record: its contents.
    """

    unit: str
    folder: Path
    record: T


class Study(Shown):
    """A study file, and its results.

    Args:
        path: the file, or the folder that holds it as `study.toml`.

    Attributes:
        file: the contents of the file.
        folder: of the study.

    Raises:
        DataError: the file does not exist.
        StudyFileError: it has mistakes, each with its line.

    Examples:
        >>> study = augury.Study("study.toml")
        >>> study.file.question, [task.name for task in study.file.tasks]
        ('pass-rate', ['rule'])
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self.file: StudyFile
        self.file, self.folder = read_study(path)

    def plan(self) -> Plan:
        """Return every unit, its dependencies and its cost; this reads tables."""
        return make_plan(self.file, self.folder)

    def run(
        self,
        *,
        engine: EngineName = "local",
        workers: int | None = None,
        watch: Callable[[Tracker], None] | None = None,
        forecast_only: bool = False,
    ) -> RunOutcome:
        """Run it, or resume it: see `run_study`."""
        return run_study(
            self._path, engine=engine, workers=workers, watch=watch, forecast_only=forecast_only
        )

    def table(self) -> pl.DataFrame:
        """Return everything measured, as one observation table.

        Raises:
            DataError: nothing was measured yet.
        """
        path = self.folder / "table.parquet"
        if not path.exists():
            raise DataError("there is no such file", source=str(path), expected="a study that ran")
        return pl.read_parquet(path)

    def forecasts(self) -> list[StoredResult[TaskForecast]]:
        """Return the results of finished forecast units, one per task."""
        return self._results("forecast", read_forecast)

    def fits(self) -> list[StoredResult[FitRecord]]:
        """Return the results of finished fit units."""
        return self._results("fit", read_fit)

    def chart(self) -> Any:
        """Draw the forecast and result for every target as an Altair chart.

        Raises:
            UsageError: no pass rate is forecast yet.
        """
        import altair as alt

        from augury.report.page.write import standalone_spec
        from augury.study.page.story import study_story

        story = study_story(self.folder)
        if not story.figures:
            raise UsageError(f"{self.folder}: it holds no forecast to draw yet")
        return alt.Chart.from_dict(standalone_spec(story.figures[0]))

    def scoreboard(self) -> pl.DataFrame:
        """Return every forecast on record and how it fared: one row per forecast and run.

        Raises:
            DataError: the record was tampered with or cut; it names the line.
        """
        rows = [row.model_dump() for row in scoreboard([self.folder])]
        taken = [(row.pop("interval"), row.pop("mean_interval"), row.pop("inputs")) for row in rows]
        return pl.DataFrame(
            [
                {**row, "low": run[0], "high": run[1], "mean_low": mean[0], "mean_high": mean[1],
                 **inputs}
                for row, (run, mean, inputs) in zip(rows, taken, strict=True)
            ],
            infer_schema_length=None,
        )  # fmt: skip

    def _card(self) -> Card:
        units, done = self.plan().units, Store(self.folder).done()
        count = sum(key in done for key in units)
        heading = (
            f"Study {self.file.name}, {self.file.question}: {count} of {len(units)} units done"
        )
        try:
            board = self.scoreboard()
        except (
            DataError
        ) as error:  # a record that was changed gives no table, but has to be reported
            return Card(heading, pl.DataFrame(), (str(error),))
        if board.is_empty():
            return Card(heading, board, ("no forecast is on record yet",))
        shown = [c for c in board.columns if c not in ("folder", "study", "line", "question")]
        return Card(heading, board.select(shown), rows=board)

    def _results(self, kind: str, read: Callable[[Path], T]) -> list[StoredResult[T]]:
        store = Store(self.folder)
        done = store.done()
        return [
            StoredResult(unit.key, store.result(unit.key), read(store.result(unit.key)))
            for unit in self.plan().of(kind)
            if unit.key in done
        ]
