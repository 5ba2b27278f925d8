"""lm-evaluation-harness 0.4 with `--log_samples`: one row per instance and metric.

Files are `samples_TASK_DATE.jsonl`; 0.4.0 to 0.4.2 wrote `MODEL_ARGS_TASK.jsonl`, one JSON array,
and up to 0.4.5 a line names neither its filter nor its metrics: every other key is a metric. A line
holds an instance as one filter saw it: `doc_id`, `filter`, `resps` (all answers drawn),
`filtered_resps` (those the filter left), `metrics` (names) and a key per metric. Outcomes of 0 and
1 become `passes` of one sample. With repeats, an instance's score is read as the share of its
answers that passed only if it can be nothing else: metric "pass@1", or shares that are multiples of
one over the number of answers, with some strictly between 0 and 1. A score that is not a number
(the counts behind a perplexity, gold and guess behind an F1) is left out and listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic_core import from_json

from augury.data.metrics import why_not_a_score
from augury.data.readers.files import lines_of, parse_json, read_content, require_object, shorten
from augury.data.readers.lm_eval_model import model_info
from augury.data.readers.lm_eval_prompts import task_and_prompt
from augury.data.readers.models import STAMP
from augury.data.readers.part import ForeignFileError, LeftOut, ModelInfo, Part
from augury.errors import DataError

NAME = re.compile(rf"^samples_(?P<task>.+?)(_(?P<stamp>{STAMP.pattern}))?\.jsonl$")
# Counted below; a line with only these names is never looked at again.
KNOWN = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash",
}  # fmt: skip
PIECE = 2**18  # bytes processed at once: small enough to stay in a CPU core's cache
BLANK = np.isin(np.arange(256), [9, 10, 13, 32])
NO_NUMBER = "is not a single number"
ODD_SCORES = (NO_NUMBER, "the metric is missing")  # for lines that are otherwise valid
ROWS = ("filter", "metric", "instance", "value", "answers")


def fits_old_samples(path: Path) -> bool:
    """Return whether a .jsonl file holds an array of samples, as 0.4.0 to 0.4.2 wrote it."""
    try:
        with path.open("rb") as f:
            head = f.read(200)
    except OSError:
        return False
    return head.lstrip().startswith(b"[") and b'"doc_id"' in head


def read_samples(path: Path) -> Part:
    """Read the rows of one samples file.

    Raises:
        DataError: it names file, line and key.
    """
    source = str(path)
    named = NAME.match(path.name)
    stamp = named["stamp"] if named else None
    beside = path.with_name(f"results_{stamp}.json") if stamp else path.with_name("results.json")
    who, shots = _beside(beside, beside.stat().st_mtime_ns if beside.exists() else 0)
    task = named["task"] if named else _task_of(path.stem, shots)
    data = read_content(path)
    rows = _fast(data)
    left_out: list[LeftOut] = []
    if rows is None:
        rows = _counted(_careful(path, data, left_out))
    if rows.is_empty() and not any(x.why in ODD_SCORES for x in left_out):
        if left_out:
            raise left_out[0].error()
        # Only answers, as --predict_only writes them.
        raise ForeignFileError("no scores", source=source, expected="lines of --log_samples")
    shot = shots.get(task)
    benchmark, prompt = task_and_prompt(task)
    rows = rows.with_columns(task=pl.lit(benchmark), shots=pl.lit(shot, pl.Int64))
    if prompt is not None:
        rows = rows.with_columns(prompt=pl.lit(prompt))
    return Part(path, who, rows, (benchmark,), left_out=tuple(left_out))


@lru_cache(4096)
def _beside(path: Path, changed: int) -> tuple[ModelInfo, dict[str, int | None]]:
    """Return what the results file tells about the model, and the shots of its tasks.

    Return nothing if it is missing or broken: reading that file reports the error.
    """
    if not changed:
        return ModelInfo(), {}
    source = str(path)
    try:
        loaded = require_object(parse_json(read_content(path), source), source, "the file")
    except DataError:
        return ModelInfo(), {}
    config = loaded.get("config")
    shots = loaded.get("n-shot")
    results = loaded.get("results")
    tasks = dict.fromkeys(results if isinstance(results, dict) else {})
    given = shots.items() if isinstance(shots, dict) else ()
    known = {t: s if isinstance(s, int) and 0 <= s < 2**53 else None for t, s in given}
    return model_info(config if isinstance(config, dict) else {}, loaded), {**tasks, **known}


def _task_of(stem: str, tasks: dict[str, int | None]) -> str:
    """Return the task in "MODEL_ARGS_TASK": the longest match in the results, else all of it."""
    ends = [t for t in tasks if stem == t or stem.endswith(f"_{t}")]
    return max(ends, key=len, default=stem)


def _fast(data: bytes) -> pl.DataFrame | None:
    """Return rows if every line is plain, or None.

    Plain: one answer per instance, each instance once per filter, the metrics of the first line in
    every line, all numbers, no duplicate keys. Anything else, errors included, goes through the
    careful parser.
    """
    try:
        first = from_json(data[: data.find(b"\n") + 1 or None])
        names = list(dict.fromkeys(first["metrics"]))
        wanted = [n for n in names if type(first[n]) in (float, int)]
        plain = wanted == names and all(len(r) == 1 for r in first["resps"])
        plain = plain and type(first["doc_id"]) is int and not set(names) & KNOWN and bool(names)
        if not plain:
            return None
        schema: dict[str, Any] = {"doc_id": pl.Int64, "filter": pl.String}
        # JSON must be UTF-8 throughout, or the parser reports the line below.
        table = pl.read_ndjson(data, schema=schema | dict.fromkeys(names, pl.Float64))
    except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        return None
    expected = {"doc_id": table.height, **dict.fromkeys(names, table.height)}
    expected["filter"] = table.height - table["filter"].null_count()
    if any(table[n].null_count() for n in expected if n != "filter"):
        return None
    if not _once(data, expected):
        return None
    frames = []
    for (passed,), own in table.partition_by("filter", as_dict=True, maintain_order=True).items():
        if own["doc_id"].is_duplicated().any():
            return None  # drawn several times
        instances = own["doc_id"].cast(pl.String).alias("instance")
        for name in names:
            metric = name if passed in (None, "none") else f"{name},{passed}"
            value = own[name].alias("value")
            columns = [
                pl.Series("metric", [metric]).new_from_index(0, own.height),
                instances,
                value,
            ]
            if ((value == 0.0) | (value == 1.0)).all():
                one = pl.Series("samples", [1.0]).new_from_index(0, own.height)
                columns += [value.alias("passes"), one]
            frames.append(pl.DataFrame(columns))
    return pl.concat(frames, how="diagonal")


def _once(data: bytes, expected: dict[str, int]) -> bool:
    """Return whether each key occurs exactly as often as expected, including nested ones.

    Compares the eight bytes before every colon with the end of each key: a key that merely ends
    like another gives no, never a wrong yes.
    """
    raw = np.frombuffer(data, np.uint8)
    words: NDArray[np.uint64] = np.ndarray((max(len(data) - 7, 0),), ">u8", data, strides=(1,))
    names = [f'"{name}"'.encode()[-8:] for name in expected]
    masks = [np.uint64((1 << 8 * len(end)) - 1) for end in names]
    wanted = [np.uint64(int.from_bytes(end, "big")) for end in names]
    counts = np.zeros(len(names), np.int64)
    for start in range(8, len(data), PIECE):  # no key is complete before byte 8: '{"acc": '
        colons = np.flatnonzero(raw[start : start + PIECE] == ord(":")) + (start - 8)
        ends = words[colons].astype(np.uint64)
        last, before = ends & np.uint64(0xFF), ends >> np.uint64(8) & np.uint64(0xFF)
        if (BLANK[last] & (BLANK[before] | (before == ord('"')))).any():
            return False  # perhaps a key separated from its colon
        counts += [np.count_nonzero((ends & m) == w) for m, w in zip(masks, wanted, strict=True)]
    return counts.tolist() == list(expected.values())


def _careful(path: Path, data: bytes, left_out: list[LeftOut]) -> pl.DataFrame:
    columns: dict[str, list[Any]] = {name: [] for name in ROWS}
    odd: dict[tuple[str, str], tuple[int, str | None, str]] = {}  # how often, the first one, where

    def leave(key: str, value: Any, why: str, at: str) -> None:
        count, first, where = odd.get((key, why), (0, shorten(value), at))
        odd[key, why] = (count + 1, first, where)

    for at, item in _items(path, data, left_out):
        if not isinstance(item, dict):
            leave("line", item, "is not an object", at)
            continue
        if "doc_id" not in item:
            leave("line", [*item][:8], "'doc_id' is missing", at)
            continue
        doc, passed = item["doc_id"], item.get("filter", "none")
        if not isinstance(doc, int | str) or isinstance(doc, bool):
            leave("doc_id", doc, "is not a number or a name", at)
            continue
        if not isinstance(passed, str | None):
            leave("filter", passed, "is not a name", at)
            continue
        answers = _answers(item)
        for name in _metrics(item, at, leave):
            if name not in item:
                leave(name, None, "the metric is missing", at)
                continue
            value = item[name]
            if not isinstance(value, int | float | None):
                leave(name, value, NO_NUMBER, at)
                continue
            made = _number(value)
            if made is not None and np.isinf(made):
                leave(name, value, "is infinite", at)
                made = None
            for column, cell in zip(ROWS, (passed, name, str(doc), made, answers), strict=True):
                columns[column].append(cell)
    for (key, why), (count, first, where) in odd.items():
        more = "" if count == 1 else f" (and {count - 1} more)"
        where = where if key == "line" else f"{where}: '{key}'"
        left_out.append(LeftOut(path, f"{where}{more}", first, why))
    kinds = {"value": pl.Float64, "answers": pl.Int64}
    return pl.DataFrame({n: pl.Series(n, v, kinds.get(n, pl.String)) for n, v in columns.items()})


def _items(path: Path, data: bytes, left_out: list[LeftOut]) -> Iterator[tuple[str, Any]]:
    """Yield position and value of each line, or of each entry of an array."""
    if data.lstrip()[:1] != b"[":
        for line, item in lines_of(path, data, left_out):
            yield f"line {line}", item
        return
    items = parse_json(data, str(path))
    if not (isinstance(items, list) and items and isinstance(items[0], dict)):
        raise DataError("is not a list of samples", source=str(path), value=shorten(items))
    for i, item in enumerate(items, 1):
        yield f"sample {i}", item


def _metrics(item: dict[str, Any], at: str, leave: Any) -> list[str]:
    """Return the metrics' names: those the line lists, or every key that is not the tool's own."""
    names = item.get("metrics")
    if names is None and "metrics" not in item:
        return [n for n in item if n not in KNOWN and why_not_a_score(n) is None]
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        leave("metrics", names, "is not a list of names", at)
        return []
    return [*dict.fromkeys(names)]


def _number(value: Any) -> float | None:
    if value is None:
        return None
    try:
        made = float(value)
    except OverflowError:
        return float("inf")
    return None if np.isnan(made) else made


def _answers(item: dict[str, Any]) -> int | None:
    """Count the answers of one instance that the filter left; None if that is unknown."""
    resps, left = item.get("resps"), item.get("filtered_resps")
    if not isinstance(resps, list) or not isinstance(left, list) or not resps or not left:
        return None
    drawn = {len(r) for r in resps if isinstance(r, list)}
    if drawn == {1}:
        return 1
    if len(drawn) != 1:
        return None
    one = resps[0][0] if resps[0] else None
    kept = left[0]
    # An answer is text, or a list (log-probability and whether it was the likeliest).
    if isinstance(one, str):
        return len(kept) if isinstance(kept, list) else 1
    if isinstance(one, list) and isinstance(kept, list) and kept:
        return len(kept) if isinstance(kept[0], list) else 1
    return None


def _counted(long: pl.DataFrame) -> pl.DataFrame:
    """Name the metrics, and add passes and samples where scores are outcomes of samples."""
    score, answers = pl.col("value"), pl.col("answers").cast(pl.Float64)
    group = ["filter", "metric"]
    outcome = (score.is_null() | score.is_in([0.0, 1.0])).all().over(group)
    share = score * answers
    even = ((share - share.round()).abs() < 1e-6 * answers).all().over(group)
    even = even & score.is_between(0, 1).all().over(group)
    between = ((score > 0) & (score < 1)).any().over(group)
    several = (answers > 1).any().over(group)
    rate = several & even & (between | (pl.col("metric") == "pass@1"))
    rate = rate & ~(pl.col("metric").str.contains(r"@") & (pl.col("metric") != "pass@1"))
    counts = pl.when(rate | (outcome & ~several))
    plain = pl.col("filter").is_null() | (pl.col("filter") == "none")
    rows = long.with_columns(
        metric=pl.when(plain).then("metric").otherwise(pl.format("{},{}", "metric", "filter")),
        passes=counts.then(pl.when(score.is_not_null()).then(share.round())),
        samples=counts.then(pl.when(score.is_not_null()).then(answers)),
    ).drop(["filter", "answers"])
    if not rows.select("metric", "instance").is_duplicated().any():
        return rows
    # An instance on several lines was sampled several times.
    known = pl.col("passes").is_not_null() | pl.col("value").is_null()
    return rows.group_by("metric", "instance", maintain_order=True).agg(
        value=pl.col("value").mean(),
        passes=pl.when(known.all() & pl.col("passes").is_not_null().any()).then(
            pl.col("passes").sum()
        ),
        samples=pl.when(known.all() & pl.col("passes").is_not_null().any()).then(
            pl.col("samples").sum()
        ),
    )
