"""lm-evaluation-harness: result files of 0.3 (flat) and 0.4 (`acc,none`, groups), and samples.

In 0.3, `results` is {task: {metric: value, metric_stderr: value}}. In 0.4 a metric carries the
filter of its answers ("exact_match,strict-match"), `n-samples` gives the number of instances, and
means over several tasks are listed among the tasks. A filter "none" is dropped from the metric's
name. A standard error of "N/A" is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.data.metrics import is_sentinel, why_not_a_score
from augury.data.readers.files import parse_json, read_content, require_object, shorten
from augury.data.readers.lm_eval_model import model_info
from augury.data.readers.lm_eval_pieces import SINGLE, pieces_of
from augury.data.readers.lm_eval_prompts import NAMES, task_and_prompt
from augury.data.readers.lm_eval_samples import fits_old_samples, read_samples
from augury.data.readers.part import ForeignFileError, OddField, Part, make_frame
from augury.data.readers.reader import Reader

# Keys beside the scores of a task; all others are scores.
LABELS = {"alias", "name", "sample_len", "sample_count", "samples", " ", "", *NAMES}
MISSING = re.compile(r"\s*(N/A|nan)?\s*", re.IGNORECASE)
NO_NUMBER = "the {} is not a number"
INFINITE = "the {} is infinite"
# What checkpoints of a run have in common: compared as bytes, parsed once.
BESIDE = ("group_subtasks", "n-shot", "n-samples", "higher_is_better", "versions")
_MANY_LAYOUTS = 256
_layouts: dict[Any, Layout] = {}  # layouts of files read before: the same names, the same layout


@dataclass(frozen=True)
class Layout:
    """Which tasks and metrics a file holds, and where: checkpoints of a run share one layout.

    Attributes:
        rows: one row per score, without its value.
        tasks: of the rows.
        value: positions of the scores among all entries of all tasks.
        stderr: positions of their standard errors; -1, a missing entry put last, if there is none.
        bypassed: rows whose metric is a placeholder ("bypass").
        odd: what was left out.
        pick: extracts scores and standard errors from the entries.
        sound: (n,) true if every score has its standard error and none is a placeholder.
    """

    rows: pl.DataFrame
    tasks: tuple[str, ...]
    value: list[int]
    stderr: list[int]
    bypassed: NDArray[np.bool_]
    odd: tuple[OddField, ...]
    pick: Callable[[list[Any]], tuple[Any, ...]]
    sound: NDArray[np.bool_] | None


def fits(path: Path) -> bool:
    """Return whether a file in a folder may be from lm-evaluation-harness."""
    if path.suffix == ".jsonl":
        return path.name.startswith("samples_") or fits_old_samples(path)
    return path.suffix == ".json"


def read(path: Path) -> Part:
    """Read a result file, or a file of samples.

    Raises:
        DataError: it holds no score that can be trusted; the message says why.
    """
    return read_samples(path) if path.suffix == ".jsonl" else _results(path)


READER = Reader("lm-eval", fits, read, "lm-evaluation-harness results and samples")


def _results(path: Path) -> Part:
    source = str(path)
    data = read_content(path)
    quick = pieces_of(data)
    if quick is None:
        loaded = require_object(parse_json(data, source), source, "the file")
        parts: dict[bytes, bytes] = {}
    else:
        loaded, parts = quick
    if "results" not in loaded:
        raise ForeignFileError(
            "the key 'results' is missing",
            source=source,
            value=shorten([*loaded][:6]),
            expected="a result file of lm-evaluation-harness",
        )
    odd: list[OddField] = []
    written = loaded["results"]
    if isinstance(written, list):  # of the promptsource fork, which also writes a table by task
        written = loaded.get("table_results", written)
    results = require_object(written, source, "the key 'results'")
    groups = _object(loaded, "groups", odd)
    results = {**results, **groups} if groups else results
    config = _object(loaded, "config", odd)
    nested: set[str] = set()
    layout = layout_key = None
    flat = _plain_entries(results)
    if flat is None:
        results, nested = _flattened(results, odd)
        flat = [*chain.from_iterable(map(dict.values, results.values())), None]
    elif quick is not None:
        layout_key = _key_of(results, config, groups, parts)
        layout = _layouts.get(layout_key)
    if layout is None:
        everything = loaded if quick is None else parse_json(data, source)
        layout = _layout(results, everything, config, nested)
        if layout_key is not None:
            if len(_layouts) >= _MANY_LAYOUTS:
                _layouts.clear()
            _layouts[layout_key] = layout
    odd += layout.odd
    value, stderr, kept = _numbers(flat, layout, odd)
    left_out = tuple(o.of(path) for o in odd)
    if not kept.any():
        if left_out:
            raise left_out[0].error()
        # As --predict_only writes it.
        raise ForeignFileError("no scores in 'results'", source=source)
    rows, tasks = layout.rows, layout.tasks
    if not kept.all():
        rows = rows.filter(pl.Series(kept))
        value, stderr = value[kept], stderr[kept]
        tasks = tuple(rows["task"].unique(maintain_order=True))
    told = model_info(config, {**{n: loaded.get(n) for n in SINGLE}, **_template(loaded, parts)})
    return Part(path, told, rows, tasks, {"value": value, "stderr": stderr}, left_out=left_out)


def _template(loaded: dict[str, Any], parts: dict[bytes, bytes]) -> dict[str, Any]:
    """Tell whether there was a chat template or a system prompt, if no checksum identifies it."""
    found = {}
    for name in ("chat_template", "system_instruction"):
        piece = parts.get(name.encode())
        written = None if piece is None else piece.partition(b":")[2].strip().rstrip(b",}\n ")
        there = loaded.get(name) if written is None else written not in (b"null", b'""', b"")
        found[name] = "yes" if there else None
    return found


def _object(loaded: dict[str, Any], name: str, odd: list[OddField]) -> dict[str, Any]:
    """Return what is under a key of the file if it is an object; anything else is left out."""
    value = loaded.get(name)
    if isinstance(value, dict):
        return value
    if value:
        odd.append(OddField(name, shorten(value), "is not an object"))
    return {}


def _plain_entries(results: dict[str, Any]) -> list[Any] | None:
    """Return the entries of all tasks, in order, followed by a missing entry.

    None unless all are numbers and texts: lists and objects have to be sorted first.
    """
    if not set(map(type, results.values())) <= {dict}:
        return None
    flat = [*chain.from_iterable(map(dict.values, results.values())), None]
    kinds = set(map(type, flat))
    if list in kinds:
        return None
    if dict in kinds:
        inside = [k for e in results.values() for k, v in e.items() if type(v) is dict]
        return flat if set(inside) == {"sample_count"} else None
    return None if bool in kinds else flat


def _key_of(
    results: dict[str, Any], config: dict[str, Any], groups: Any, parts: dict[bytes, bytes]
) -> Any:
    names = set(chain.from_iterable(results.values()))
    counted = [
        [entry.get(name) for entry in results.values()]
        for name in ("sample_len", "sample_count", *NAMES)
        if name in names
    ]
    return (
        tuple(results),
        tuple(map(tuple, results.values())),
        repr((config.get("num_fewshot"), counted, [*groups])),
        *(parts.get(name.encode()) for name in BESIDE),
    )


def _flattened(results: dict[str, Any], odd: list[OddField]) -> tuple[dict[str, Any], set[str]]:
    """Reduce tasks to numbers: nested groups become tasks, the rest is left out.

    Returns:
        The tasks, and which of them are groups that held others.
    """
    made: dict[str, dict[str, Any]] = {}
    groups: set[str] = set()
    for task, entry in results.items():
        if not isinstance(entry, dict):
            odd.append(
                OddField(f"results of '{task}'", shorten(entry), "is not an object of scores")
            )
            continue
        own = made.setdefault(task, {})
        for name, value in entry.items():
            where = f"results of '{task}': '{name}'"
            if name in LABELS or not isinstance(value, dict | list | bool):
                own[name] = value
            elif isinstance(value, list):
                odd.append(OddField(where, shorten(value), "a list is not a score"))
            elif isinstance(value, bool):
                odd.append(OddField(where, shorten(value), "true or false is not a score"))
            elif not any(isinstance(x, int | float) for x in value.values()):
                odd.append(
                    OddField(where, shorten(value), "an object without numbers is not a score")
                )
            elif "," in name:  # a metric, with its filter, that consists of several numbers
                metric, _, passed = name.partition(",")
                end = "_stderr" if _is_stderr(name) else ""
                metric = metric.removesuffix(end)
                own.update({f"{metric}/{part}{end},{passed}": v for part, v in value.items()})
            else:
                groups.add(task)
                scores = {k: v for k, v in value.items() if not isinstance(v, dict | list | bool)}
                if name == task:
                    own.update({k: v for k, v in scores.items() if k not in own})
                elif name in results or name in made:
                    odd.append(
                        OddField(where, shorten(value), "this task also appears outside the group")
                    )
                else:
                    made[name] = scores
    return {task: entry for task, entry in made.items() if entry}, groups


def _layout(
    results: dict[str, Any], loaded: dict[str, Any], config: dict[str, Any], nested: set[str]
) -> Layout:
    odd: list[OddField] = []
    counts = _object(loaded, "n-samples", odd)
    subtasks = _object(loaded, "group_subtasks", odd)
    versions = _object(loaded, "versions", odd)
    directions = _object(loaded, "higher_is_better", odd)
    groups = {*_object(loaded, "groups", []), *subtasks, *nested}
    shots = _shots([*results], loaded, config, odd)
    names = ("task", "metric", "shots", "prompt", "task_version", "n", "is_group",
             "higher_is_better")  # fmt: skip
    columns: dict[str, list[Any]] = {name: [] for name in names}
    value: list[int] = []
    stderr: list[int] = []
    place = 0
    for task, entry in results.items():
        where = f"results of '{task}'"
        places = {name: place + i for i, name in enumerate(entry)}
        place += len(entry)
        scores = _scores_among(entry, where, odd)
        benchmark, prompt = task_and_prompt(task, entry)
        for name in scores:
            metric, _, passed = name.partition(",")
            columns["task"].append(benchmark)
            columns["prompt"].append(prompt)
            columns["metric"].append(metric if passed in ("", "none") else name)
            columns["shots"].append(shots.get(task))
            columns["task_version"].append(_version(versions.get(task)))
            columns["n"].append(_instance_count(entry, name, counts.get(task), where, odd))
            # Some versions list a task without parts as a group of none.
            is_group = task in nested or (task in groups and subtasks.get(task, True) != [])
            columns["is_group"].append(is_group)
            of_task = directions.get(task)
            direction = of_task.get(metric) if isinstance(of_task, dict) else None
            columns["higher_is_better"].append(direction if isinstance(direction, bool) else None)
            value.append(places[name])
            stderr.append(places.get(_stderr(name), -1))
    tasks = tuple(dict.fromkeys(columns["task"]))
    bypassed = np.array([m.partition(",")[0] == "bypass" for m in columns["metric"]], bool)
    if not any(columns["is_group"]):
        del columns["is_group"]
    whole = bool(value) and -1 not in stderr and not bypassed.any()
    return Layout(
        make_frame(columns), tasks, value, stderr, bypassed, tuple(dict.fromkeys(odd)),
        itemgetter(*[*value, *stderr, -1]), np.ones(len(value), bool) if whole else None,
    )  # fmt: skip


def _scores_among(entry: dict[str, Any], where: str, odd: list[OddField]) -> list[str]:
    """Return the keys that are scores."""
    scores = []
    for name in entry:
        if name in LABELS or _is_stderr(name) or not name.partition(",")[0].strip():
            continue
        why = why_not_a_score(name)
        if why is None:
            scores.append(name)
        else:
            odd.append(OddField(f"{where}: '{name}'", shorten(entry[name]), why))
    by_metric: dict[str, list[str]] = {}
    for name in scores:
        metric, _, passed = name.partition(",")
        by_metric.setdefault(metric if passed in ("", "none") else name, []).append(name)
    for metric, twice in by_metric.items():
        if len(twice) > 1:  # "acc" and "acc,none": ambiguous
            odd.append(OddField(f"{where}: '{metric}'", shorten([entry[n] for n in twice]),
                           "duplicate metric"))  # fmt: skip
            scores = [n for n in scores if n not in twice]
    beside = {_stderr(name) for names in by_metric.values() for name in names}
    alone = [name for name in entry if _is_stderr(name) and name not in beside]
    odd += [
        OddField(f"{where}: '{n}'", shorten(entry[n]), ("no score for this error")) for n in alone
    ]
    return scores


def _shots(
    tasks: list[str], loaded: dict[str, Any], config: dict[str, Any], odd: list[OddField]
) -> dict[str, int | None]:
    """Return few-shot examples per task: `n-shot`, else one number for all, a list or an object."""
    given: Any = config.get("num_fewshot")
    told: dict[str, Any] = {}
    if isinstance(given, dict):
        told = {t: given.get(t) for t in tasks}
    elif isinstance(given, list):
        if len(given) == len(tasks):
            told = dict(zip(tasks, given, strict=True))
        else:
            why = f"not one for each of {len(tasks)} tasks: their shots are unknown"
            odd.append(OddField("config.num_fewshot", shorten(given), why))
    else:
        told = dict.fromkeys(tasks, given)
    told |= {t: v for t, v in _object(loaded, "n-shot", odd).items() if t in told or t in tasks}
    shots = {}
    for task, value in told.items():
        shots[task] = _count(value, f"shots of '{task}'", odd)
    # If the file does not give a group's shots, they are those that all of its tasks share.
    parts = _object(loaded, "group_subtasks", [])
    for group in reversed(parts):  # a group comes before those in it
        of_parts = {shots.get(x) if isinstance(x, str) else None for x in _listed(parts[group])}
        if shots.get(group) is None and len(of_parts) == 1:
            shots[group] = of_parts.pop()
    return shots


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: Any, where: str, odd: list[OddField]) -> int | None:
    """Read a whole number of at least 0; anything else but null is left out."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    # Beyond 2^53 a float cannot represent every whole number.
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if real and 0 <= value <= 2**53 and value == int(value):
        return int(value)
    odd.append(OddField(where, shorten(value), "is not a whole number of at least 0"))
    return None


def _version(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "N/A":
        return None
    return str(value)


def _instance_count(
    entry: dict[str, Any], name: str, count: Any, where: str, odd: list[OddField]
) -> float | None:
    """Count the instances behind a score: for a group, those of its tasks with this metric."""
    counted = entry.get("sample_count")
    if isinstance(counted, dict):
        n = counted.get(name)
    elif isinstance(count, dict):
        n = count.get("effective")
    else:
        n = entry.get("sample_len")
    made = _count(n, f"{where}: instances", odd)
    return float(made) if made else None


def _is_stderr(name: str) -> bool:
    metric = name.partition(",")[0]
    return metric.endswith("_stderr") or metric == "stderr"


def _stderr(name: str) -> str:
    metric, comma, passed = name.partition(",")
    return f"{metric}_stderr{comma}{passed}"


def _numbers(
    flat: list[Any], layout: Layout, odd: list[OddField]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores, their standard errors, and which rows to keep."""
    if layout.sound is not None:
        taken = layout.pick(flat)[:-1]
        if set(map(type, taken)) == {float}:
            made = np.array(taken)
            # NaN, infinities, sentinels and negative errors all fail these bounds.
            if made.min() >= 0 and made.max() < np.inf:
                count = len(layout.value)
                return made[:count], made[count:], layout.sound
    value, kept = _values(flat, layout, odd)
    return value, _errors(flat, layout, odd), kept


def _values(
    flat: list[Any], layout: Layout, odd: list[OddField]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores, and which rows to keep: those whose entry is a number, or missing."""
    if not layout.value:
        return np.zeros(0), np.zeros(0, bool)
    taken = itemgetter(*layout.value, -1)(flat)[:-1]
    kept = np.ones(len(taken), bool)
    if set(map(type, taken)) <= {float}:
        made = np.array(taken)
    else:
        made = np.full(len(taken), np.nan)
        for i, item in enumerate(taken):
            number = _number(item)
            if number is None:
                kept[i] = False
                odd.append(_odd_field(layout, i, "score", item, NO_NUMBER))
            else:
                made[i] = number
    infinite = np.isinf(made)
    sentinel = made == -1
    if infinite.any() or sentinel.any() or layout.bypassed.any():
        # From a model that diverged.
        odd += [_odd_field(layout, i, "score", taken[i], INFINITE) for i in _places(infinite)]
        for i in _places(sentinel):
            if is_sentinel(layout.rows["metric"][i], float(made[i])):
                odd.append(_odd_field(layout, i, "score", taken[i], "the {} means 'not run'"))
                infinite[i] = True
        stood_in = _places(layout.bypassed & kept)
        odd += [
            _odd_field(layout, i, "score", taken[i], "the {} means 'not scored'") for i in stood_in
        ]
        made = np.where(infinite | layout.bypassed, np.nan, made)
    return made, kept


def _errors(flat: list[Any], layout: Layout, odd: list[OddField]) -> NDArray[np.float64]:
    if not layout.stderr:
        return np.zeros(0)
    taken = itemgetter(*layout.stderr, -1)(flat)[:-1]
    if set(map(type, taken)) <= {float}:
        made = np.array(taken)
    else:
        made = np.full(len(taken), np.nan)
        for i, item in enumerate(taken):
            number = _number(item)
            if number is None:
                odd.append(_odd_field(layout, i, "standard error", item, NO_NUMBER))
            else:
                made[i] = number
    with np.errstate(invalid="ignore"):
        wrong = np.isinf(made) | (made < 0)
    for i in _places(wrong):
        why = INFINITE if np.isinf(made[i]) else "the {} is negative"
        odd.append(_odd_field(layout, i, "standard error", taken[i], why))
    return np.where(wrong, np.nan, made)


def _places(where: NDArray[np.bool_]) -> list[int]:
    return np.flatnonzero(where).tolist()


def _number(item: Any) -> float | None:
    """Parse a number: NaN if missing, None if it is something else."""
    if type(item) is float:
        return item
    if item is None or (isinstance(item, str) and MISSING.fullmatch(item)):
        return float("nan")
    if isinstance(item, int) and not isinstance(item, bool):
        try:
            return float(item)
        except OverflowError:
            return float("inf")
    return None


def _odd_field(layout: Layout, i: int, what: str, item: Any, why: str) -> OddField:
    task, metric = layout.rows["task"][i], layout.rows["metric"][i]
    return OddField(f"results of '{task}': '{metric}'", shorten(item), why.format(what))
