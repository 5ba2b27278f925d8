"""Count file contents without Augury: each score by file, task, metric and instance.

A score is None where the file says it is missing (null, NaN, N/A). `odd` contains entries that are
not finite numbers. Augury must list these, and may list numbers that mean "not run" and "not
scored".
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Key = tuple[str, str, str | None]  # task, metric, instance
LM_EVAL_LABELS = ("alias", "name", "sample_len", "sample_count", " ")
SAMPLE_KEYS = (
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash",
)  # fmt: skip
LETTERS = {"C": 1.0, "I": 0.0, "N": 0.0, "P": 0.5, "yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0}


@dataclass
class Counted:
    """The scores of one file.

    Attributes:
        values: scores by task, metric and instance.
        errors: standard errors of whole tasks.
        sizes: numbers of instances of whole tasks.
        odd: task (or None), metric, and content of entries that are not numbers.
    """

    values: dict[Key, float | None] = field(default_factory=dict)
    errors: dict[Key, float] = field(default_factory=dict)
    sizes: dict[Key, float] = field(default_factory=dict)
    odd: list[tuple[str, Any]] = field(default_factory=list)


def count_files(kind: str, folder: Path) -> dict[Path, Counted]:
    """Every file of a tool below a folder."""
    made: dict[Path, Counted] = {}
    for path in sorted(folder.rglob("*")):
        if path.name == "done" and kind == "inspect":
            for told in json.loads(path.read_text()):
                made[path.parent / told["file"]] = _inspect(told, path.parent / told["file"])
        elif kind == "lm-eval" and path.suffix == ".json":
            made[path] = _lm_eval(json.loads(path.read_text()))
        elif kind == "lm-eval" and path.suffix == ".jsonl":
            made[path] = _lm_eval_samples(path)
        elif kind == "lighteval" and path.name.startswith("results_"):
            made[path] = _lighteval(json.loads(path.read_text()))
        elif kind == "lighteval" and path.name.startswith("details_"):
            made[path] = _lighteval_details(path)
    return made


def missing(value: Any) -> bool:
    """Whether the file marks this score as missing."""
    return value is None or value == "N/A" or (isinstance(value, float) and math.isnan(value))


def usual(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)


def _put(into: Counted, key: Key, value: Any) -> None:
    if missing(value):
        into.values[key] = None
    elif usual(value):
        into.values[key] = float(value)
    else:
        into.odd.append((key[1], value))


def _named(metric: str, passed: str | None) -> str:
    return metric if passed in (None, "", "none") else f"{metric},{passed}"


def _lm_eval(whole: dict[str, Any]) -> Counted:
    made = Counted()
    for task, entry in {**whole["results"], **(whole.get("groups") or {})}.items():
        for name, value in entry.items():
            metric, _, passed = name.partition(",")
            if name in LM_EVAL_LABELS or metric.endswith("_stderr"):
                continue
            key = (task, _named(metric, passed), None)
            if isinstance(value, dict):  # a metric with several numbers
                for part, one in value.items():
                    _put(made, (task, _named(f"{metric}/{part}", passed), None), one)
                continue
            _put(made, key, value)
            error = entry.get(f"{metric}_stderr,{passed}")
            if usual(error):
                made.errors[key] = float(error)
            counted = whole.get("n-samples", {}).get(task)
            if isinstance(counted, dict):
                made.sizes[key] = counted["effective"]
    return made


def _lm_eval_samples(path: Path) -> Counted:
    made = Counted()
    task = path.name.removeprefix("samples_").rsplit("_", 1)[0]
    scores: dict[Key, list[float]] = defaultdict(list)
    for line in path.read_text().splitlines():
        row = json.loads(line)
        for name in row.get("metrics", [k for k in row if k not in SAMPLE_KEYS]):
            value = row.get(name)
            key = (task, _named(name, row.get("filter")), str(row["doc_id"]))
            if not (missing(value) or usual(value) or type(value) is bool):
                made.odd.append((name, value))
            elif missing(value):
                made.values[key] = None
            else:
                scores[key].append(float(value))
    made.values |= {key: sum(v) / len(v) for key, v in scores.items()}
    return made


def _inspect(told: dict[str, Any], path: Path) -> Counted:
    made = Counted()
    for total in told["totals"]:
        reducer = total["reducer"]
        scorer = total["name"] if reducer in (None, "mean") else f"{total['name']}/{reducer}"
        for name, value in total["metrics"].items():
            key: Key = ("", f"{scorer}/{name}", None)
            if name in ("stderr", "bootstrap_stderr"):
                continue
            _put(made, key, math.nan if value == "nan" else value)
    scores: dict[Key, list[float | None]] = defaultdict(list)
    for sample in told["instances"]:
        for scorer, value in sample["scores"].items():
            parts: dict[str | None, Any] = {None: value}
            if isinstance(value, dict | list):
                pairs = value.items() if isinstance(value, dict) else enumerate(value)
                parts = {str(k): v for k, v in pairs}
            for part, one in parts.items():
                metric = scorer if part is None else f"{scorer}/{part}"
                if isinstance(one, str):
                    one = LETTERS.get(one, math.nan if one == "nan" else one)
                if isinstance(one, str):
                    made.odd.append((metric, one))
                    scores["", metric, sample["id"]].append(None)
                else:
                    key = ("", metric, sample["id"])
                    scores[key].append(None if missing(one) else float(one))
    for key, values in scores.items():
        there = [v for v in values if v is not None]
        made.values[key] = sum(there) / len(there) if there else None
    return made


def _lighteval(whole: dict[str, Any]) -> Counted:
    made = Counted()
    for name, entry in whole["results"].items():
        task = name.rsplit("|", 1)[0]
        for metric, value in entry.items():
            if metric.endswith("_stderr"):
                continue
            _put(made, (task, metric, None), value)
            if usual(entry.get(f"{metric}_stderr")):
                made.errors[task, metric, None] = float(entry[f"{metric}_stderr"])
    return made


def _lighteval_details(path: Path) -> Counted:
    import pandas

    made = Counted()
    task = path.name.removeprefix("details_").rsplit("_", 1)[0].rsplit("|", 1)[0]
    table = pandas.read_parquet(path)
    for i, (scores, doc) in enumerate(zip(table["metric"], table["doc"], strict=True)):
        for metric, value in scores.items():
            if isinstance(value, bool) or missing(value) or usual(value):
                known = None if missing(value) else float(value)
                made.values[task, metric, str(doc.get("id", i))] = known
            else:
                made.odd.append((metric, value))
    return made
