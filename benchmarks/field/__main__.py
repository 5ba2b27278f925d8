"""Files written by the tools themselves; every score is counted without Augury and compared.

Installs four versions of lm-evaluation-harness, two of Inspect, and lighteval, lets each write
files with common options (tasks and models are made here), counts every score in them, and reports
scores that differ, that are invented, or that are missing and not listed. Existing files are kept,
so a stopped run resumes.

    python -m benchmarks.field [--runs 120] [--kind lm-eval]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from augury.data.readers import ReadResults, read_results
from augury.errors import AuguryError
from benchmarks.field.count_plain import Counted, Key, count_files
from benchmarks.field.environments import ROOT, TOOLS, Tool, prepare

SHARE = {"lm-eval": 1.0, "inspect": 1.0, "lighteval": 0.5}  # of the requested runs


@dataclass
class Compared:
    """The outcome for one tool's files."""

    files: int = 0
    values: int = 0
    errors: int = 0
    sizes: int = 0
    listed: int = 0
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def row(self, tool: Tool) -> str:
        """One line of the table."""
        kinds = ("differing", "lost silently", "invented", "refused")
        counts = " | ".join(f"{len(self.problems[kind])}" for kind in kinds)
        return (
            f"| {tool.name} | {tool.version or 'as installed'} | {self.files:,} | {self.values:,} "
            f"| {self.errors:,} | {self.sizes:,} | {self.listed:,} | {counts} |"
        )


def main(runs: int, kind: str | None) -> int:
    """Make the files, compare, and print the table with errors below it."""
    chosen = [tool for tool in TOOLS if kind in (None, tool.name)]
    told = {}
    for tool in chosen:
        folder = ROOT / "made" / tool.label
        python, environment = prepare(tool)
        script = Path(__file__).with_name(tool.script)
        count = str(int(runs * SHARE[tool.name]))
        subprocess.run([python, str(script), str(folder), count], env=environment, check=True)
        told[tool] = compare(tool.name, folder / "files")
    print("| tool | version | files | scores | standard errors | sizes | listed | differing "
          "| lost silently | invented | refused |")  # fmt: skip
    print("|" + "---|" * 11)
    for tool, compared in told.items():
        print(compared.row(tool))
    whole = list(told.values())
    print(f"{sum(c.files for c in whole):,} files, {sum(c.values for c in whole):,} scores")
    wrong = 0
    for tool, compared in told.items():
        for what, lines in compared.problems.items():
            wrong += len(lines)
            for line in lines[:12]:
                print(f"{tool.label}: {what}: {line}")
    return min(wrong, 1)


def compare(kind: str, folder: Path) -> Compared:
    """Read everything at once, as users do, and check each file's scores."""
    made = Compared()
    counted = count_files(kind, folder)
    made.files = len(counted)
    try:
        found = read_results(kind, folder)
    except AuguryError as error:
        made.problems["refused"].append(str(error))
        found = read_results(kind, folder, keep_going=True)
    made.problems["refused"] += [str(f) for f in found.failures]
    listed = defaultdict(list)
    for item in found.left_out:
        listed[str(item.path)].append(item.key)
        made.listed += 1
    tables = by_file(found)
    for path, scores in counted.items():
        _compare(path, scores, tables.pop(str(path), None), listed[str(path)], kind, made)
    made.problems["invented"] += [f"rows of {path}" for path in tables]
    return made


def by_file(found: ReadResults) -> dict[str, pl.DataFrame]:
    """The table's rows, file by file."""
    parts = found.table.partition_by("file", as_dict=True)
    return {str(path): rows for (path,), rows in parts.items()}


def _compare(
    path: Path, counted: Counted, table: pl.DataFrame | None, listed: list[str], kind: str,
    made: Compared,
) -> None:  # fmt: skip
    columns = ("value", "stderr", "n")
    read: dict[Key, tuple[float | None, ...]] = {}
    for row in () if table is None else table.iter_rows(named=True):
        task = "" if kind == "inspect" else row["task"]
        read[task, row["metric"], row.get("instance")] = tuple(row.get(c) for c in columns)
    for key, value in counted.values.items():
        made.values += value is not None
        where = f"{path}: {key}"
        said = _listed(key[1], listed)
        if key not in read:
            if value is not None and not said:
                made.problems["lost silently"].append(f"{where} = {value}")
            continue
        own, error, n = read.pop(key)
        if own != value and not (own is None and said):
            same = own is not None and value is not None and abs(own - value) < 1e-12
            if not same:
                what = "lost silently" if own is None else "differing"
                made.problems[what].append(f"{where} = {value}, read {own}")
        if key in counted.errors:
            made.errors += 1
            if error != counted.errors[key] and not said:
                made.problems["differing"].append(f"{where}: stderr {counted.errors[key]}, {error}")
        if key in counted.sizes:
            made.sizes += 1
            if n != counted.sizes[key]:
                made.problems["differing"].append(f"{where}: n {counted.sizes[key]}, read {n}")
    for metric, value in counted.odd:
        if not _listed(metric, listed):
            made.problems["lost silently"].append(f"{path}: {metric} = {str(value)[:60]}")
    # A row without a value is something that could not be judged.
    made.problems["invented"] += [
        f"{path}: {k}: {v[0]}" for k, v in read.items() if v[0] is not None
    ]


def _listed(metric: str, listed: list[str]) -> bool:
    """Whether the list of left-out entries names this metric, with every part of its name."""
    parts = metric.partition(",")[0].split("/")
    return any(all(part in text for part in parts) for text in listed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Files of the tools themselves.")
    parser.add_argument("--runs", type=int, default=120)
    parser.add_argument("--kind", choices=sorted(SHARE))
    asked = parser.parse_args()
    sys.exit(main(asked.runs, asked.kind))
