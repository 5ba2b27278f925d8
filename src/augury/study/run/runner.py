"""Run a study: every unit without a result, as many at once as there are workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from augury.errors import UsageError
from augury.runtime.jobs import cores
from augury.study.plan.planner import make_plan
from augury.study.plan.study_file import read_study
from augury.study.plan.study_plan import Plan
from augury.study.results.ledger import Ledger
from augury.study.results.plan_records import PlanRecord
from augury.study.results.recording import verify, write_forecast, write_score
from augury.study.results.store import PLAN, Store, alone
from augury.study.run.local_pool import Engine, Event, LocalPool
from augury.study.run.schedule import Schedule
from augury.study.run.tracker import Tracker
from augury.study.units.unit import total

EngineName = Literal["local", "ray", "slurm"]
# How long to wait for an engine before the live view is redrawn.
TICK_SECONDS = 0.25


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        folder: of the study.
        done: labels of the units that this run did, in the order they ended.
        kept: number of existing results.
        failed: by label, the reason and the log's path.
        blocked: labels of units that could not run, since a unit they wait for failed.
        head: SHA-256 of the last line of the record of forecasts.
        seconds: in total.
    """

    folder: Path
    done: tuple[str, ...]
    kept: int
    failed: Mapping[str, tuple[str, Path]]
    blocked: tuple[str, ...]
    head: str
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every unit of the plan is done."""
        return not self.failed and not self.blocked

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {
            "folder": str(self.folder),
            "complete": self.complete,
            "done": list(self.done),
            "kept": self.kept,
            "failed": [
                {"unit": what, "why": why, "log": str(log)}
                for what, (why, log) in self.failed.items()
            ],
            "blocked": list(self.blocked),
            "head": self.head,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        lines = [f"{len(self.done)} units done, {self.kept} kept, in {self.seconds:.1f} s."]
        lines += [f"  failed: {what}: {why} (log: {log})" for what, (why, log) in
                  self.failed.items()]  # fmt: skip
        if self.blocked:
            some = ", ".join(self.blocked[:3]) + (" ..." if len(self.blocked) > 3 else "")
            lines.append(f"  not run, because a unit they need failed: {some}")
        lines.append(f"Record of forecasts: SHA-256 {self.head} (keep it elsewhere as proof)")
        return "\n".join(lines)


def run_study(
    path: str | Path,
    *,
    engine: EngineName = "local",
    workers: int | None = None,
    watch: Callable[[Tracker], None] | None = None,
    forecast_only: bool = False,
) -> RunOutcome:
    """Run a study, or resume it.

    Args:
        path: the study file, or the folder that holds it as `study.toml`.
        engine: "local", processes of this machine; "ray", a Ray cluster (extra `ray`), whose
            machines all see the study's folder; "slurm", one job per unit (extra `slurm`).
        workers: units at once; by default as in the file, else one per core (Ray: what the cluster
            has room for).
        watch: called with the run's state every quarter of a second, for a live view.
        forecast_only: stop when every forecast is on record, before anything held out is trained or
            measured: the record's hash can then be put where nobody can change it. The next run
            does the rest.

    Returns:
        What was done, kept, and what failed. A unit that fails is tried again once (`run.retries`
        in the file); the rest continues.

    Raises:
        StudyFileError: the study file has mistakes.
        UsageError: another process runs this study, or it would cost more than its budget.
        DataError: a table cannot be read, or the record of forecasts was tampered with.
    """
    began = time.perf_counter()
    study, folder = read_study(path)
    with alone(folder):
        ledger, store = Ledger(folder), Store(folder)
        verify(ledger, store)
        plan = make_plan(study, folder)
        units = plan.before_truth if forecast_only else plan.units
        schedule = Schedule(units, store.done(), study.run.retries)
        todo = [unit for key, unit in units.items() if key not in schedule.done]
        _refuse_over_budget(plan, todo, workers or study.run.workers or cores())
        save_plan(plan, store)
        kept = len(schedule.done)
        # What a kill left done but not on record is recorded before anything that waits for it.
        for key in schedule.units:
            if key in schedule.done:
                _record_result(plan, key, ledger, store, schedule)
        crew = _engine(engine, folder, workers or study.run.workers) if todo else None
        slots = crew.slots if crew else 1
        tracker = Tracker(store, schedule, slots, study=study.name, engine=engine)
        ended: list[str] = []
        try:
            while crew is not None and not schedule.finished:
                while len(tracker.running) < crew.slots and (unit := schedule.next(*crew.warm())):
                    tracker.begin(unit)
                    crew.start(unit.record(), unit.cpus, unit.gpus)
                ended += [
                    plan.units[event.key].label
                    for event in crew.wait(TICK_SECONDS)
                    if _take_event(event, plan, ledger, store, schedule, tracker)
                ]
                tracker.write()
                if watch:
                    watch(tracker)
        finally:
            if crew is not None:
                crew.close()
            tracker.write(finished=schedule.finished and not forecast_only)
        if schedule.finished and not schedule.failed:
            store.forget_work()
        write_table(plan, store, schedule)
    return RunOutcome(
        folder,
        tuple(ended),
        kept,
        {plan.units[k].label: (w.strip().splitlines()[-1], store.log(k))
         for k, w in schedule.failed.items()},
        tuple(plan.units[key].label for key in plan.units if key in schedule.blocked),
        ledger.head,
        time.perf_counter() - began,
    )  # fmt: skip


def _take_event(
    event: Event, plan: Plan, ledger: Ledger, store: Store, schedule: Schedule, tracker: Tracker
) -> bool:
    """Process an event. Returns whether it finished a unit."""
    unit = plan.units[event.key]
    if event.kind == "step":
        tracker.step(event.key, *event.step)
        return False
    if event.kind == "done":
        _record_result(plan, event.key, ledger, store, schedule)
        schedule.finish(event.key)
    else:
        _log_failure(store, event.key, unit.label, event.why)
        schedule.fail(event.key, event.why)
    tracker.end(unit, event.kind == "done")
    return event.kind == "done"


def _record_result(plan: Plan, key: str, ledger: Ledger, store: Store, schedule: Schedule) -> None:
    """Record a forecast once it is made, before any run that it forecasts begins."""
    unit = plan.units[key]
    if unit.kind == "forecast":
        # If the truth already existed, this is not a forecast, and the record says so.
        blind = not plan.truth_known and not plan.truth & store.done()
        write_forecast(ledger, store, unit.record(), plan.study.name, blind=blind)
    elif unit.kind == "score":
        write_score(ledger, store, unit.record())


def _log_failure(store: Store, key: str, label: str, why: str) -> None:
    """Log why a unit failed, every attempt."""
    path = store.log(key)
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as log:
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {label}\n{why.rstrip()}\n\n")


def save_plan(plan: Plan, store: Store) -> None:
    """Write `plan.json`, which `augury status` and the report use."""
    study = plan.study
    record = PlanRecord(
        name=study.name,
        question=study.question,
        digest=plan.digest,
        target=study.target.model_dump(exclude_none=True) if study.target else None,
        truth=tuple(sorted(plan.truth)),
        units=tuple(unit.record() for unit in plan.units.values()),
    )
    store.write(PLAN, record)


def write_table(plan: Plan, store: Store, schedule: Schedule) -> None:
    """Write everything measured as one observation table, `table.parquet`."""
    import polars as pl

    from augury.runtime.atomic import atomic_file

    parts = [
        pl.read_parquet(store.result(unit.key) / "rows.parquet")
        for unit in plan.of("measure", "finetune", "table")
        if unit.key in schedule.done
    ]
    if parts:
        with atomic_file(store.folder / "table.parquet") as fresh:
            # Every amount of finetuning repeats the untuned model's score: once is enough.
            table = pl.concat(parts, how="diagonal_relaxed").unique(maintain_order=True)
            table.write_parquet(fresh)


def _refuse_over_budget(plan: Plan, todo: list[Any], workers: int) -> None:
    """Refuse to start a study that would cost more than its file allows."""
    for name, planned, most in over_budget(plan, todo, workers):
        raise UsageError(
            f"the study would cost {planned:.3g} {name}, its budget is {most:.3g}: raise it in "
            "[budget], or plan less (`augury run --plan` says what costs how much)"
        )


def over_budget(plan: Plan, todo: list[Any], workers: int) -> list[tuple[str, float, float]]:
    """Return what is planned beyond the budget: (what, planned, budget)."""
    whole, left = total(plan.units.values()), total(todo)
    budget = plan.study.budget
    asked = (
        ("FLOPs", whole.flops, budget.flops),
        ("tokens", whole.tokens, budget.tokens),
        ("hours", left.seconds / 3600 / workers, budget.hours),
    )
    return [(name, x, most) for name, x, most in asked if most is not None and x > most]


def _engine(name: EngineName, folder: Path, workers: int | None) -> Engine:
    if name == "local":
        return LocalPool(folder, workers or cores())
    if name == "ray":
        from augury.study.run.ray_engine import RayEngine

        return RayEngine(folder, workers)
    if name == "slurm":
        from augury.study.run.slurm_engine import SlurmEngine

        return SlurmEngine(folder, workers)
    raise UsageError(f"no engine is called '{name}'; there are: local, ray, slurm")
