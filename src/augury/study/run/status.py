"""A plan, a state and a scoreboard, in words for the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from augury.errors import UsageError
from augury.runtime.jobs import cores
from augury.runtime.json_files import read_json
from augury.study.plan.costs import computed
from augury.study.plan.planner import Plan, make_plan
from augury.study.plan.study_file import read_study
from augury.study.results.ledger import Ledger
from augury.study.results.store import Store, runs_now
from augury.study.run.runner import over_budget
from augury.study.units.unit import Cost, total

# Results read to learn how long units of a kind take here.
SAMPLED = 50


def plan_of(path: Path) -> dict[str, Any]:
    """What the study in this file will cost, as plain JSON.

    Raises:
        StudyFileError: the study file has mistakes; each is named with its line.
        DataError, UsageError: a table cannot be read, or nothing is left to learn from.
    """
    study, folder = read_study(path)
    plan, store = make_plan(study, folder), Store(folder)
    workers = study.run.workers or cores()
    done = store.done()
    todo = [unit for key, unit in plan.units.items() if key not in done]
    over = [
        {"what": what, "planned": planned, "budget": most}
        for what, planned, most in over_budget(plan, todo, workers)
    ]
    return {**plan_record(plan, store, workers), "over_budget": over}


def plan_record(plan: Plan, store: Store, workers: int) -> dict[str, Any]:
    """What a study will cost, as plain JSON: in all and what is left, by kind."""
    done = store.done()
    kinds: dict[str, dict[str, Any]] = {}
    speed = _speed(plan, store, done)
    for unit in plan.units.values():
        row = kinds.setdefault(
            unit.kind,
            {"units": 0, "done": 0, "flops": 0.0, "tokens": 0.0, "seconds": 0.0},
        )
        row["units"] += 1
        if unit.key in done:
            row["done"] += 1
            continue
        row["flops"] += unit.cost.flops
        row["tokens"] += unit.cost.tokens
        row["seconds"] += unit.cost.seconds * speed.get(unit.kind, 1.0)
    whole = total(plan.units.values())
    left = Cost(
        *(sum(row[n] for row in kinds.values()) for n in ("flops", "tokens", "seconds"))
    )  # fmt: skip
    return {
        "study": plan.study.name,
        "question": plan.study.question,
        "folder": str(store.folder),
        "units": len(plan.units),
        "done": sum(row["done"] for row in kinds.values()),
        "held_out": len(plan.truth),
        "sampled": any(not computed(t, plan.study.measure) for t in plan.study.tasks),
        "kinds": kinds,
        "flops": whole.flops,
        "tokens": whole.tokens,
        "left": {"flops": left.flops, "tokens": left.tokens, "seconds": left.seconds / workers},
        "workers": workers,
        "todo": [unit.label for unit in plan.units.values() if unit.key not in done],
    }


def plan_text(record: Mapping[str, Any]) -> str:
    """A plan for a person."""
    lines = [
        f"{record['study']}: {record['units']} units, {record['done']} done already; "
        f"{record['held_out']} measure what is held out, after the forecasts are written down.",
        "",
        f"{'':10s} {'units':>6s} {'done':>6s} {'FLOPs left':>11s} {'tokens left':>12s} "
        f"{'one core':>9s}",
    ]
    for kind, row in record["kinds"].items():
        lines.append(
            f"{kind:10s} {row['units']:6d} {row['done']:6d} {row['flops']:11.2e} "
            f"{row['tokens']:12.2e} {duration(row['seconds']):>9s}"
        )
    left = record["left"]
    lines += [
        "",
        f"In all {record['flops']:.2e} FLOPs and {record['tokens']:.2e} tokens; left: "
        f"{left['flops']:.2e} FLOPs, about {duration(left['seconds'])} with {record['workers']} "
        "workers.",
    ]
    lines += [
        f"OVER BUDGET: {x['planned']:.3g} {x['what']}, allowed are {x['budget']:.3g}: it will not "
        "be begun."
        for x in record.get("over_budget", ())
    ]
    if record["sampled"]:
        lines.append("Sampling is counted at its cap: most instances pass long before.")
    return "\n".join(lines)


def status_record(folder: Path) -> dict[str, Any]:
    """How far a study is, as plain JSON: `state.json`, whether it runs now, and its record.

    Raises:
        DataError: the record of forecasts was tampered with.
        UsageError: it was never run.
    """
    if not (folder / "state.json").exists():
        raise UsageError(f"{folder}: no study was run here; `augury run {folder}` does")
    state: dict[str, Any] = read_json(folder / "state.json")
    ledger = Ledger(folder)
    record = {"lines": len(ledger.lines), "sha256": ledger.head}
    return {**state, "folder": str(folder), "runs": runs_now(folder), "record": record}


def status_text(state: Mapping[str, Any]) -> str:
    """A state for a person."""
    if state["runs"]:
        what = f"running since {_clock(state['started'])}, process {state['pid']}"
    elif state["finished"]:
        what = f"finished {_clock(state['now'])}" + (", with failures" if state["failed"] else "")
    else:
        what = f"stopped {_clock(state['now'])}; `augury run {state['folder']}` goes on"
    lines = [f"{state['study']}: {what}.", counts(state)]
    for unit in state["running"] if state["runs"] else ():
        share = f" {unit['share']:.0%}" if unit["share"] else ""
        spent = duration(max(state["now"] - unit["since"], 0))
        lines.append(f"  {unit['label']}{share} ({spent})")
    lines += [f"  failed: {u['label']}: {u['why']} (log: {u['log']})" for u in state["failed"]]
    if state["blocked"]:
        lines.append(f"  {len(state['blocked'])} units wait for what failed")
    if state["record"]["lines"]:
        lines.append(
            "Record of forecasts: {lines} lines, SHA-256 {sha256}".format(**state["record"])
        )
    return "\n".join(lines)


def counts(state: Mapping[str, Any]) -> str:
    """Units, rate and expected end in a line."""
    text = f"{state['done']} of {state['units']} units, {state['per_minute']:.1f} a minute"
    if not state["finished"]:
        text += f", {duration(state['left_seconds'])} to go"
        text += f" (until {_clock(state['now'] + state['left_seconds'])})"
    return text


def scoreboard_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """A scoreboard for a person: what did not hold is said as loudly as what did."""
    lines = [
        f"{'study':14s} {'line':>4s} {'written down':20s} {'task':14s} {'method':14s} {'at':26s} "
        f"{'forecast':>9s} {'interval':>20s} {'truth':>9s}  held"
    ]
    for row in rows:
        low, high = row["interval"]
        interval = f"[{_number(low)}, {_number(high)}]"
        unknown = "said nothing" if row["value"] is None else "not measured"
        held = {None: unknown, True: "yes", False: "NO"}[row["held"]]
        when = "" if row["blind"] or row["held"] is None else "  (after the fact)"
        lines.append(
            f"{row['study'][:14]:14s} {row['line']:4d} {row['time']:20s} "
            f"{(row['task'] or '')[:14]:14s} {row['method'][:14]:14s} {_place(row):26s} "
            f"{_number(row['value']):>9s} {interval:>20s} {_number(row['truth']):>9s}  {held}{when}"
        )
    scored = [row for row in rows if row["held"] is not None]
    blind = [row for row in scored if row["blind"]]
    lines.append("")
    if not rows:
        return "no forecast is on record yet"
    if scored:
        failed = sum(not row["held"] for row in scored)
        lines.append(
            f"{len(scored) - failed} of {len(scored)} held, {failed} FAILED; {len(blind)} were "
            "written down before the truth was measured."
        )
    else:
        lines.append("None is scored yet.")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds as a person says them: 40 s, 12 min, 3.4 h, 2.1 days."""
    for size, unit in ((86400.0, "days"), (3600.0, "h")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"


def _speed(plan: Plan, store: Store, done: set[str]) -> dict[str, float]:
    """How long units of each kind took here, over what was guessed."""
    took: dict[str, tuple[float, float, int]] = {}
    for unit in plan.units.values():
        spent, guessed, n = took.get(unit.kind, (0.0, 0.0, 0))
        if unit.key in done and n < SAMPLED:
            seconds = store.record(unit.key)["seconds"]
            took[unit.kind] = spent + seconds, guessed + unit.cost.seconds, n + 1
    return {kind: spent / guessed for kind, (spent, guessed, _) in took.items() if guessed}


def _place(row: Mapping[str, Any]) -> str:
    if row["question"] == "emergence":
        return "where it emerges" + "".join(f" {k}={v:.3g}" for k, v in row["inputs"].items())
    short = {"params": "N", "tokens": "D", "flops": "C"}
    at = " ".join(f"{short.get(n, n)}={value:.3g}" for n, value in row["inputs"].items())
    return at + (f" seed {row['seed']}" if row["seed"] is not None else "")


def _number(x: float | None) -> str:
    return "?" if x is None else f"{x:.3g}"


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
