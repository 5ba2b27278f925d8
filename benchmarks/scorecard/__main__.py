"""Every forecaster on every available public ladder, by proper scores, with named baselines.

    python -m benchmarks.scorecard [--kind KIND] [--baselines] [--fresh] [--record] [--json]

Prints a table; `--record` puts it into benchmarks/scorecard/record.json, in place of the same kinds
and halves there; `--json` prints that record and runs nothing. Scores are kept in build/scorecard/,
so a stopped run resumes, and a changed forecaster needs `--fresh` (or `--again NAME`, for one
forecaster).
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import polars as pl

from augury.errors import AuguryError
from augury.runtime.atomic import atomic_file
from benchmarks.scorecard.baselines import baselines_of
from benchmarks.scorecard.corpora import half_of
from benchmarks.scorecard.forecasters import NoForecastError, forecasters_of
from benchmarks.scorecard.more_corpora import all_cases
from benchmarks.scorecard.record import record_of, scored

RECORD = Path(__file__).parent / "record.json"
JOURNAL = Path(__file__).parents[2] / "build" / "scorecard" / "scored.jsonl"


def main(arguments: list[str] | None = None) -> None:
    """Compute missing scores; print a table, or the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print the record, run nothing")
    parser.add_argument("--record", action="store_true", help="write the record")
    parser.add_argument("--kind", help="only this kind of question")
    parser.add_argument("--half", choices=("development", "scored"), help="only this half")
    parser.add_argument("--baselines", action="store_true", help="baselines alone")
    parser.add_argument("--fresh", action="store_true", help="discard earlier scores")
    parser.add_argument("--again", action="append", default=[], help="score this forecaster again")
    given = parser.parse_args(arguments)
    if given.json:
        print(RECORD.read_text())
        return
    done = {} if given.fresh else _journal(given.again)
    asked = run(done, given)
    rows = [row for key in asked for row in done[key]]
    record = record_of(pl.DataFrame(rows))
    if given.record:
        with atomic_file(RECORD) as path:
            path.write_text(text_of(merged(json.loads(RECORD.read_text()), record)))
    _print(record)


def merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The old record with the kinds and halves of the new one replaced, in the old order."""
    again = {(row["kind"], row["half"]) for row in new}
    kept = [row for row in old if (row["kind"], row["half"]) not in again]
    order = list(dict.fromkeys((row["kind"], row["half"]) for row in [*old, *new]))
    return sorted(kept + new, key=lambda row: order.index((row["kind"], row["half"])))


def text_of(record: list[dict[str, Any]]) -> str:
    """One row per line, so that diffs of the record are readable."""
    return "[\n" + ",\n".join(json.dumps(row) for row in record) + "\n]\n"


def run(done: dict[str, list[dict[str, Any]]], given: argparse.Namespace) -> list[str]:
    """Forecast and score every requested problem, saving each at once."""
    asked = []
    JOURNAL.parent.mkdir(parents=True, exist_ok=True)
    spent: dict[str, float] = {}
    with JOURNAL.open("w") as file:
        for key, found in done.items():
            file.write(json.dumps([key, found]) + "\n")
        for case in all_cases():
            if given.kind not in (None, case.kind) or given.half not in (None, half_of(case)):
                continue
            every = baselines_of(case)
            if not given.baselines:
                every = every | forecasters_of(case)
            for name, forecast in every.items():
                key = f"{case.key}|{name}"
                asked.append(key)
                if key in done:
                    continue
                began = time.process_time()
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        found = scored(case, half_of(case), name, forecast(case))
                except (AuguryError, NoForecastError):
                    found = []
                spent[name] = spent.get(name, 0.0) + time.process_time() - began
                done[key] = found
                file.write(json.dumps([key, found]) + "\n")
                file.flush()
    for name, seconds in sorted(spent.items(), key=lambda pair: -pair[1])[:8]:
        print(f"{name:28s} {seconds:8.1f} CPU seconds")
    return asked


def _journal(again: list[str]) -> dict[str, list[dict[str, Any]]]:
    if not JOURNAL.exists():
        return {}
    lines = (json.loads(line) for line in JOURNAL.read_text().splitlines() if line.endswith("]"))
    return {key: rows for key, rows in lines if key.rsplit("|", 1)[1] not in again}


def _print(record: list[dict[str, Any]]) -> None:
    """The table, best first, for all corpora of a kind together and for each alone."""
    head = f"{'wis':>8s} {'crps':>8s} {'held':>6s} {'width':>8s} {'error':>8s}  skill, 90 %"
    order = {"all": 0}
    last = None
    for row in sorted(
        record,
        key=lambda r: (r["kind"], r["half"], order.get(r["corpus"], 1), r["corpus"],
                       -(r["skill"] or {"value": -9.0})["value"]),
    ):  # fmt: skip
        group = (row["kind"], row["half"], row["corpus"])
        if group != last:
            print(f"\n{' / '.join(group):54s} {'n':>5s} {head}")
            last = group
        skill = row["skill"]
        told = "" if skill is None else "{:6.2f} [{:.2f}, {:.2f}]".format(
            skill["value"], *skill["interval"])  # fmt: skip
        print(
            f"  {row['forecaster']:52s} {row['n']:5d} {row['wis']:8.4f} {row['crps']:8.4f} "
            f"{row['coverage90']:6.2f} {row['width90']:8.3f} {row['median_error']:8.4f} {told}"
        )


if __name__ == "__main__":
    main()
