"""A plan, a state and a scoreboard, as text for the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from augury.errors import UsageError
from augury.runtime.durations import duration
from augury.runtime.jobs import cores
from augury.study.plan.costs import is_computed
from augury.study.plan.planner import make_plan
from augury.study.plan.study_file import read_study
from augury.study.plan.study_plan import Plan
from augury.study.results.formats import RecordPart
from augury.study.results.ledger import Ledger
from augury.study.results.plan_records import StateRecord
from augury.study.results.recording import ScoreboardRow
from augury.study.results.store import STATE, Store, runs_now
from augury.study.run.runner import over_budget
from augury.study.units.unit import Cost, total

# Number of results read to learn how long units of a kind take here.
SAMPLED = 50
# What a column of the scoreboard means.
RUN_TO_RUN = "run-to-run: share of the interval's squared width that no forecast can remove."


class KindCost(RecordPart):
    """Units of one kind: how many, how many are done, and what the others cost on one core."""

    units: int
    done: int
    flops: float
    tokens: float
    seconds: float


class CostLeft(RecordPart):
    """The remaining cost: FLOPs, tokens, and seconds with all workers."""

    flops: float
    tokens: float
    seconds: float


class OverBudget(RecordPart):
    """A budget that the plan exceeds."""

    what: str
    planned: float
    budget: float


class PlanSummary(RecordPart):
    """What a study will cost, in total and remaining.

    Attributes:
        held_out: number of units that measure what is held out.
        sampled: whether some pass rates are sampled, at most at their cap.
        kinds: by kind of unit.
        todo: labels of unfinished units.
    """

    study: str
    question: str
    folder: str
    units: int
    done: int
    held_out: int
    sampled: bool
    kinds: Mapping[str, KindCost]
    flops: float
    tokens: float
    left: CostLeft
    workers: int
    todo: tuple[str, ...]
    over_budget: tuple[OverBudget, ...] = ()


class RecordHead(RecordPart):
    """The record of forecasts: the number of lines, and the SHA-256 of the last."""

    lines: int
    sha256: str


class StudyStatus(StateRecord):
    """The progress of a study: `state.json`, whether a process runs it now, and its record."""

    folder: str
    runs: bool
    record: RecordHead


def plan_of(path: Path) -> PlanSummary:
    """Estimate what the study in this file will cost.

    Raises:
        StudyFileError: the study file has mistakes, each with its line.
        DataError, UsageError: a table cannot be read, or nothing is left to learn from.
    """
    study, folder = read_study(path)
    return summarize_plan(make_plan(study, folder), Store(folder), study.run.workers or cores())


def summarize_plan(plan: Plan, store: Store, workers: int) -> PlanSummary:
    """Summarise what a study will cost: in total and remaining, by kind."""
    done = store.done()
    speed = _speed(plan, store, done)
    kinds: dict[str, list[tuple[bool, Cost]]] = {}
    for unit in plan.units.values():
        slower = speed.get(unit.kind, 1.0)
        cost = Cost(unit.cost.flops, unit.cost.tokens, unit.cost.seconds * slower)
        kinds.setdefault(unit.kind, []).append((unit.key in done, cost))
    rows = {}
    for kind, units in kinds.items():
        left = sum((cost for over, cost in units if not over), Cost())
        over = sum(is_done for is_done, _ in units)
        rows[kind] = KindCost(units=len(units), done=over, **vars(left))
    whole = total(plan.units.values())
    todo = [unit for key, unit in plan.units.items() if key not in done]
    return PlanSummary(
        study=plan.study.name,
        question=plan.study.question,
        folder=str(store.folder),
        units=len(plan.units),
        done=sum(row.done for row in rows.values()),
        held_out=len(plan.truth),
        sampled=any(not is_computed(t, plan.study.measure) for t in plan.study.tasks),
        kinds=rows,
        flops=whole.flops,
        tokens=whole.tokens,
        left=CostLeft(
            flops=sum(row.flops for row in rows.values()),
            tokens=sum(row.tokens for row in rows.values()),
            seconds=sum(row.seconds for row in rows.values()) / workers,
        ),
        workers=workers,
        todo=tuple(unit.label for unit in todo),
        over_budget=tuple(
            OverBudget(what=what, planned=planned, budget=most)
            for what, planned, most in over_budget(plan, todo, workers)
        ),
    )


def plan_text(plan: PlanSummary) -> str:
    """Format a plan for a person."""
    lines = [
        f"{plan.study}: {plan.units} units, {plan.done} already done; {plan.held_out} measure "
        "what is held out, after the forecasts are recorded.",
        "",
        f"{'':10s} {'units':>6s} {'done':>6s} {'FLOPs left':>11s} {'tokens left':>12s} "
        f"{'one core':>9s}",
    ]
    for kind, row in plan.kinds.items():
        lines.append(
            f"{kind:10s} {row.units:6d} {row.done:6d} {row.flops:11.2e} "
            f"{row.tokens:12.2e} {duration(row.seconds):>9s}"
        )
    lines += [
        "",
        f"In all {plan.flops:.2e} FLOPs and {plan.tokens:.2e} tokens; left: "
        f"{plan.left.flops:.2e} FLOPs, about {duration(plan.left.seconds)} with {plan.workers} "
        "workers.",
    ]
    lines += [
        f"OVER BUDGET: {x.planned:.3g} {x.what}, {x.budget:.3g} allowed: it will not be started."
        for x in plan.over_budget
    ]
    if plan.sampled:
        lines.append("Sampling is counted at its cap: most instances pass long before.")
    return "\n".join(lines)


def status_of(folder: Path) -> StudyStatus:
    """Return the progress of a study: `state.json`, whether it runs now, and its record.

    Raises:
        DataError: the record of forecasts was tampered with.
        UsageError: it was never run.
    """
    store = Store(folder)
    if not (folder / STATE).exists():
        raise UsageError(f"{folder}: no study was run here; `augury run {folder}` does")
    ledger = Ledger(folder)
    return StudyStatus(
        **store.state().model_dump(),
        folder=str(folder),
        runs=runs_now(folder),
        record=RecordHead(lines=len(ledger.lines), sha256=ledger.head),
    )


def status_text(state: StudyStatus) -> str:
    """Format a state for a person."""
    if state.runs:
        what = f"running since {_clock(state.started)}, process {state.pid}"
    elif state.finished:
        what = f"finished {_clock(state.now)}" + (", with failures" if state.failed else "")
    else:
        what = f"stopped {_clock(state.now)}; `augury run {state.folder}` continues it"
    lines = [f"{state.study}: {what}.", counts(state)]
    for unit in state.running if state.runs else ():
        share = f" {unit.share:.0%}" if unit.share else ""
        lines.append(f"  {unit.label}{share} ({duration(max(state.now - unit.since, 0))})")
    lines += [f"  failed: {u.label}: {u.why} (log: {u.log})" for u in state.failed]
    if state.blocked:
        lines.append(f"  {len(state.blocked)} units wait for failed ones")
    if state.record.lines:
        lines.append(
            f"Record of forecasts: {state.record.lines} lines, SHA-256 {state.record.sha256}"
        )
    return "\n".join(lines)


def counts(state: StateRecord) -> str:
    """Format units, rate and expected end in one line."""
    text = f"{state.done} of {state.units} units, {state.per_minute:.1f} per minute"
    if not state.finished:
        text += f", {duration(state.left_seconds)} to go"
        text += f" (until {_clock(state.now + state.left_seconds)})"
    return text


def scoreboard_text(rows: Sequence[ScoreboardRow]) -> str:
    """Format a scoreboard for a person: failures are as prominent as successes."""
    if not rows:
        return "no forecast is on record yet"
    lines = [
        f"{'study':14s} {'line':>4s} {'written down':20s} {'task':14s} {'method':14s} {'at':26s} "
        f"{'forecast':>9s} {'interval':>20s} {'run-to-run':>10s} {'truth':>9s}  held"
    ]
    for row in rows:
        low, high = row.interval
        interval = f"[{_number(low)}, {_number(high)}]"
        unknown = "said nothing" if row.value is None else "not measured"
        held = {None: unknown, True: "yes", False: "NO"}[row.held]
        spread = "?" if row.run_share is None else f"{row.run_share:.0%}"
        when = "" if row.blind or row.held is None else "  (after the fact)"
        lines.append(
            f"{row.study[:14]:14s} {row.line:4d} {row.time:20s} "
            f"{(row.task or '')[:14]:14s} {row.method[:14]:14s} {_place(row):26s} "
            f"{_number(row.value):>9s} {interval:>20s} {spread:>10s} {_number(row.truth):>9s}  "
            f"{held}{when}"
        )
    scored = [row for row in rows if row.held is not None]
    blind = [row for row in scored if row.blind]
    lines.append("")
    if any(row.run_share is not None for row in rows):
        lines.append(RUN_TO_RUN)
    if scored:
        failed = sum(not row.held for row in scored)
        lines.append(
            f"{len(scored) - failed} of {len(scored)} held, {failed} FAILED; {len(blind)} were "
            "recorded before the truth was measured."
        )
    else:
        lines.append("None is scored yet.")
    return "\n".join(lines)


def _speed(plan: Plan, store: Store, done: set[str]) -> dict[str, float]:
    """Return how long units of each kind took here, relative to the estimate."""
    took: dict[str, tuple[float, float, int]] = {}
    for unit in plan.units.values():
        spent, guessed, n = took.get(unit.kind, (0.0, 0.0, 0))
        if unit.key in done and n < SAMPLED:
            seconds = store.record(unit.key).seconds
            took[unit.kind] = spent + seconds, guessed + unit.cost.seconds, n + 1
    return {kind: spent / guessed for kind, (spent, guessed, _) in took.items() if guessed}


def _place(row: ScoreboardRow) -> str:
    if row.question == "emergence":
        return "where it emerges" + "".join(f" {k}={v:.3g}" for k, v in row.inputs.items())
    short = {"params": "N", "tokens": "D", "flops": "C"}
    at = " ".join(f"{short.get(n, n)}={value:.3g}" for n, value in row.inputs.items())
    return at + (f" seed {row.seed}" if row.seed is not None else "")


def _number(x: float | None) -> str:
    return "?" if x is None else f"{x:.3g}"


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
