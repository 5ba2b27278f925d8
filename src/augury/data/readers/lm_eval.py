"""lm-evaluation-harness: result files of 0.3 (flat) and 0.4 (`acc,none`, groups), and samples.

In 0.3, `results` is {task: {metric: value, metric_stderr: value}}. In 0.4 a metric carries the
filter its answers went through ("exact_match,strict-match"), `n-samples` says how many instances
there were, and means over several tasks stand among the tasks. A filter "none" is left out of the
metric's name. A standard error of "N/A" is missing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic_core import SchemaValidator, ValidationError, core_schema

from augury.data.readers.files import content, keys, mapping, number, once, parsed, text, whole
from augury.data.readers.part import Part, Said, frame, guarded
from augury.errors import DataError

# Beside the scores of a task; all else is a score.
LABELS = {"alias", "name", "sample_len", "sample_count", "samples", " ", ""}
ERROR = "standard error"
WORKERS = 4  # each holds a file of samples and three times as much beside it
# What checkpoints of a run have in common: compared as it stands there, parsed once.
BESIDE = ("group_subtasks", "n-shot", "n-samples")
# Passes over all other keys (each task's whole configuration) without making objects of them.
_narrow = SchemaValidator(
    core_schema.typed_dict_schema(
        {
            name: core_schema.typed_dict_field(core_schema.any_schema(), required=False)
            for name in ("results", "groups", "config")
        },
        extra_behavior="ignore",
    )
)


@dataclass(frozen=True)
class Layout:
    """Which tasks and metrics a file holds, and where in it: checkpoints of a run share one.

    Attributes:
        rows: a row for each score, without its value.
        tasks: of the rows.
        value: places of the scores among all entries of all tasks.
        stderr: places of their standard errors; -1, a missing entry put last, if there is none.
    """

    rows: pl.DataFrame
    tasks: tuple[str, ...]
    value: list[int]
    stderr: list[int]


def fits(path: Path) -> bool:
    """Whether a file in a folder may be one of these."""
    return path.suffix == ".json" or (path.suffix == ".jsonl" and path.name.startswith("samples_"))


def read(paths: list[Path]) -> Iterator[Part | DataError]:
    """Each file's part, or what is wrong with it."""
    from augury.data.readers.lm_eval_samples import samples

    layouts: dict[Any, Layout] = {}
    told: dict[Path, Any] = {}

    def one(path: Path) -> Part | DataError:
        return guarded(path, lambda p: samples(p, told))

    for path in paths:
        if path.suffix != ".jsonl":
            yield guarded(path, lambda p: _results(p, layouts))
    # Most of the work on lines is done outside the interpreter's lock.
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, WORKERS))
    try:
        yield from pool.map(one, [p for p in paths if p.suffix == ".jsonl"])
    finally:  # after an error, files that nobody has begun are not read any more
        pool.shutdown(cancel_futures=True)


def said(config: dict[str, Any]) -> Said:
    """What `config` says of the model: `model_args` is text ("pretrained=a,revision=b") or keys."""
    args = config.get("model_args")
    if isinstance(args, str):
        pairs = (pair.partition("=") for pair in args.split(","))
        args = {key.strip(): value.strip() for key, _, value in pairs}
    args = args if isinstance(args, dict) else {}
    count = config.get("model_num_parameters")
    counted = isinstance(count, int) and not isinstance(count, bool) and 0 < count < 2**63
    return Said(
        model=text(args, "pretrained", "path", "model", "model_name", "engine"),
        revision=text(args, "revision") or text(config, "model_revision"),
        params=float(count) if counted and isinstance(count, int) else None,
    )


def _quick(data: bytes) -> tuple[dict[str, Any], dict[bytes, bytes]] | None:
    """Results, groups and config, and every part as it stands in a file written as the tool does.

    Indented by two, a line break, two spaces and a quote begin a key of the file itself and
    nothing else, so that its parts are found without parsing. Where a part has as many colons
    behind quotes as it has keys, no key stands there twice; anything else (None) is for the
    careful parser.
    """
    try:
        value = _narrow.validate_json(data)
        pieces = data.split(b'\n  "')[1:]
        parts = {piece[: piece.index(b'"')]: piece for piece in pieces}
        plain = len(parts) == len(pieces) and all(
            _once(parts[name.encode()], part) for name, part in value.items()
        )
    except (ValidationError, ValueError, KeyError):
        return None
    return (value, parts) if plain and "results" in value else None


def _once(piece: bytes, part: Any) -> bool:
    """Whether there are as many keys as colons; quickly for two levels, as most results are."""
    if type(part) is not dict:
        return False
    inside = [x for x in part.values() if type(x) is dict]
    deeper = [e["sample_count"] for e in inside if "sample_count" in e]
    count = 1 + len(part) + sum(map(len, inside)) + sum(map(keys, deeper))
    return once(piece, count)


def _results(path: Path, layouts: dict[Any, Layout]) -> Part:
    source = str(path)
    data = content(path)
    quick = _quick(data)
    if quick is None:
        loaded = mapping(parsed(data, source), source, "the file")
        parts: dict[bytes, bytes] = {}
    else:
        loaded, parts = quick
    results = mapping(loaded.get("results"), source, "the key 'results'")
    groups = mapping(loaded.get("groups") or {}, source, "the key 'groups'")
    results = {**results, **groups} if groups else results
    config = mapping(loaded.get("config") or {}, source, "the key 'config'")
    layout_key: Any = None
    layout = None
    if quick is not None and set(map(type, results.values())) <= {dict}:
        lengths = [e.get("sample_len") for e in results.values()]
        counted = [e["sample_count"] for e in results.values() if "sample_count" in e]
        layout_key = (
            tuple([(task, *entry) for task, entry in results.items()]),
            repr((config.get("num_fewshot"), lengths, counted, [*groups])),
            *(parts.get(name.encode()) for name in BESIDE),
        )
        layout = layouts.get(layout_key)
    if layout is None:
        everything = loaded if quick is None else parsed(data, source)
        layout = layouts[layout_key] = _layout(results, everything, source)
    flat = [*chain.from_iterable([entry.values() for entry in results.values()]), None]
    return Part(
        path,
        said(config),
        layout.rows,
        layout.tasks,
        {
            "value": _numbers(flat, layout.value, layout, source, "score"),
            "stderr": _errors(_numbers(flat, layout.stderr, layout, source, ERROR), layout, source),
        },
    )


def _errors(made: NDArray[np.float64], layout: Layout, source: str) -> NDArray[np.float64]:
    if (made < 0).any():
        i = int(np.argmax(made < 0))
        task, metric = layout.rows["task"][i], layout.rows["metric"][i]
        raise DataError(f"results of '{task}': the {ERROR} of '{metric}' is negative",
                        source=source, value=float(made[i]), expected="at least 0")  # fmt: skip
    return made


def _layout(results: dict[str, Any], loaded: dict[str, Any], source: str) -> Layout:
    default = (loaded.get("config") or {}).get("num_fewshot")
    shots = mapping(loaded.get("n-shot") or {}, source, "the key 'n-shot'")
    counts = mapping(loaded.get("n-samples") or {}, source, "the key 'n-samples'")
    subtasks = mapping(loaded.get("group_subtasks") or {}, source, "the key 'group_subtasks'")
    groups = {*(loaded.get("groups") or {}), *subtasks}
    columns: dict[str, list[Any]] = {
        name: [] for name in ("task", "metric", "shots", "n", "is_group")
    }
    value: list[int] = []
    stderr: list[int] = []
    place = 0
    for task, entry in results.items():
        where = f"results of '{task}'"
        names = list(mapping(entry, source, where))
        places = {name: place + i for i, name in enumerate(names)}
        place += len(names)
        scores = [n for n in names if n not in LABELS and not _is_stderr(n)]
        errors = {n for n in names if _is_stderr(n)} - {_stderr(n) for n in scores}
        if errors:
            raise DataError(f"{where}: '{min(errors)}' has no score beside it", source=source)
        shot = whole(shots.get(task, default), source, f"shots of '{task}'")
        for name in scores:
            metric, _, passed = name.partition(",")
            columns["task"].append(task)
            columns["metric"].append(metric if passed in ("", "none") else name)
            columns["shots"].append(shot)
            columns["n"].append(_n(entry, name, counts.get(task), source, where))
            # A task without parts is listed as a group of none by some versions.
            columns["is_group"].append(task in groups and subtasks.get(task, True) != [])
            value.append(places[name])
            stderr.append(places.get(_stderr(name), -1))
        if len(set(columns["metric"][len(columns["metric"]) - len(scores) :])) < len(scores):
            raise DataError(f"{where}: a metric stands there twice", source=source)
    if not value:
        raise DataError("there are no scores in 'results'", source=source)
    tasks = tuple(dict.fromkeys(columns["task"]))
    if not any(columns["is_group"]):
        del columns["is_group"]
    return Layout(frame(columns), tasks, value, stderr)


def _n(entry: dict[str, Any], name: str, count: Any, source: str, where: str) -> float | None:
    """Instances behind a score: of a group, those of the tasks that have this metric."""
    counted = entry.get("sample_count")
    if isinstance(counted, dict):
        n = counted.get(name)
    elif isinstance(count, dict):
        n = count.get("effective")
    else:
        n = entry.get("sample_len")
    made = whole(n, source, f"{where}: instances")
    return float(made) if made else None


def _is_stderr(name: str) -> bool:
    return name.partition(",")[0].endswith("_stderr")


def _stderr(name: str) -> str:
    metric, comma, passed = name.partition(",")
    return f"{metric}_stderr{comma}{passed}"


def _numbers(
    flat: list[Any], places: list[int], layout: Layout, source: str, what: str
) -> NDArray[np.float64]:
    taken = itemgetter(*places, -1)(flat)[:-1]
    if set(map(type, taken)) <= {float}:
        made = np.array(taken)
        if not np.isinf(made).any():
            return made
    numbers = []
    for i, item in enumerate(taken):
        task, metric = layout.rows["task"][i], layout.rows["metric"][i]
        missing = isinstance(item, str) and re.fullmatch(r"\s*(N/A|nan)?\s*", item, re.I)
        where = f"results of '{task}': the {what} of '{metric}'"
        made_one = None if missing else number(item, source, where)
        numbers.append(np.nan if made_one is None else made_one)
    return np.array(numbers, np.float64)
