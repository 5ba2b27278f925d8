"""lm-evaluation-harness 0.4 with `--log_samples`: a row for each instance and metric.

A line holds an instance as one filter saw it: `doc_id`, `filter`, `resps` (all answers drawn),
`filtered_resps` (those the filter left), `metrics` (names) and a key for each metric. Outcomes of
0 and 1 become `passes` of one sample. With repeats, the score of an instance is read as the share
of its answers that passed only where it can be nothing else: metric "pass@1", or shares that are
multiples of one over the number of answers, with some strictly between 0 and 1. A score that is
no number (the counts behind a perplexity, gold and guess behind an F1) is left out, and noted.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic_core import from_json

from augury.data.readers.files import content, mapping, number, parsed, short, whole
from augury.data.readers.lm_eval import said
from augury.data.readers.models import STAMP
from augury.data.readers.part import Part, Said
from augury.errors import DataError

NAME = re.compile(rf"^samples_(?P<task>.+?)(_(?P<stamp>{STAMP.pattern}))?\.jsonl$")
# Counted below; a line of these names alone is never looked at again.
KNOWN = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash",
}  # fmt: skip
PIECE = 2**18  # bytes looked at together: these and what is made of them fit a core's cache
# What a results file says of the model, and the shots of its tasks.
Told = tuple[Said, dict[str, Any]]
BLANK = np.isin(np.arange(256), [9, 10, 13, 32])
ROWS = ("filter", "metric", "instance", "value", "answers")


def samples(path: Path, told: dict[Path, Told]) -> Part:
    """Rows of one samples file.

    Args:
        path: `samples_TASK_DATE.jsonl`.
        told: what the results files beside it say; filled on the way.

    Raises:
        DataError: it names file, line and key.
    """
    source = str(path)
    named = NAME.match(path.name)
    task = named["task"] if named else path.stem
    data = content(path)
    rows = _fast(data)
    notes: list[str] = []
    if rows is None:
        long, notes = _careful(data, source)
        rows = _counted(long)
    stamp = named["stamp"] if named else None
    beside = path.with_name(f"results_{stamp}.json") if stamp else path.with_name("results.json")
    if beside not in told:
        told[beside] = _beside(beside)
    who, shots = told[beside]
    shot = whole(shots.get(task), str(beside), f"shots of '{task}'")
    rows = rows.with_columns(task=pl.lit(task), shots=pl.lit(shot, pl.Int64))
    return Part(path, who, rows, (task,), notes=tuple(f"{path.name}: {n}" for n in notes))


def _beside(path: Path) -> Told:
    if not path.exists():
        return Said(), {}
    source = str(path)
    loaded = mapping(parsed(content(path), source), source, "the file")
    config = mapping(loaded.get("config") or {}, source, "the key 'config'")
    return said(config), mapping(loaded.get("n-shot") or {}, source, "the key 'n-shot'")


def _fast(data: bytes) -> pl.DataFrame | None:
    """Rows, if every line is plain, or None.

    Plain: one answer an instance, each instance once a filter, the metrics of the first line in
    every line, all numbers, no key twice. Anything else, errors included, is for the careful way.
    """
    try:
        first = from_json(data[: data.find(b"\n") + 1 or None])
        names = list(dict.fromkeys(first["metrics"]))
        wanted = [n for n in names if type(first[n]) in (float, int)]
        plain = wanted == names and all(len(r) == 1 for r in first["resps"])
        plain = plain and type(first["doc_id"]) is int and not set(names) & KNOWN
        if not plain:
            return None
        schema: dict[str, Any] = {"doc_id": pl.Int64, "filter": pl.String}
        # JSON is UTF-8 throughout or the parser says so, and names the line below.
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
    """Whether each key stands there exactly as often as expected, nested ones included.

    Compares the eight bytes before every colon with the end of each key: a key that merely ends
    like another makes the answer no, never a wrong yes.
    """
    raw = np.frombuffer(data, np.uint8)
    words: NDArray[np.uint64] = np.ndarray((max(len(data) - 7, 0),), ">u8", data, strides=(1,))
    names = [f'"{name}"'.encode()[-8:] for name in expected]
    masks = [np.uint64((1 << 8 * len(end)) - 1) for end in names]
    wanted = [np.uint64(int.from_bytes(end, "big")) for end in names]
    counts = np.zeros(len(names), np.int64)
    for start in range(8, len(data), PIECE):  # before byte 8 no key is whole: '{"acc": '
        colons = np.flatnonzero(raw[start : start + PIECE] == ord(":")) + (start - 8)
        ends = words[colons].astype(np.uint64)
        last, before = ends & np.uint64(0xFF), ends >> np.uint64(8) & np.uint64(0xFF)
        if (BLANK[last] & (BLANK[before] | (before == ord('"')))).any():
            return False  # perhaps a key apart from its colon
        counts += [np.count_nonzero((ends & m) == w) for m, w in zip(masks, wanted, strict=True)]
    return counts.tolist() == list(expected.values())


def _careful(data: bytes, source: str) -> tuple[pl.DataFrame, list[str]]:
    columns: dict[str, list[Any]] = {name: [] for name in ROWS}
    odd: dict[str, int] = {}
    for line, raw in enumerate(data.split(b"\n"), 1):
        if not raw.strip():
            continue
        item = mapping(parsed(raw, source, line), source, f"line {line}")
        at = f"line {line}: "
        if "doc_id" not in item or "metrics" not in item:
            item_has = ", ".join(list(item)[:8])
            raise DataError(f"{at}there is no 'doc_id' or no 'metrics'", source=source,
                            value=item_has, expected="a line of --log_samples")  # fmt: skip
        names = item["metrics"]
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise DataError(f"{at}'metrics' is no list of names", source=source,
                            value=short(names))  # fmt: skip
        doc = item["doc_id"]
        if not isinstance(doc, int | str) or isinstance(doc, bool):
            raise DataError(f"{at}'doc_id' is no number or name", source=source,
                            value=short(doc))  # fmt: skip
        passed = item.get("filter", "none")
        if not isinstance(passed, str | None):
            raise DataError(f"{at}'filter' is no name", source=source, value=short(passed))
        answers = _answers(item)
        for name in dict.fromkeys(names):
            if name not in item:
                raise DataError(f"{at}the metric '{name}' is missing", source=source)
            if isinstance(item[name], list | dict | str):
                odd[name] = odd.get(name, 0) + 1
                continue
            value = number(item[name], source, f"{at}'{name}'", truth=True)
            for column, cell in zip(ROWS, (passed, name, str(doc), value, answers), strict=True):
                columns[column].append(cell)
    notes = [f"'{n}' of {k} instances is no number by itself" for n, k in odd.items()]
    kinds = {"value": pl.Float64, "answers": pl.Int64}
    made = {n: pl.Series(n, v, kinds.get(n, pl.String)) for n, v in columns.items()}
    return pl.DataFrame(made), notes


def _answers(item: dict[str, Any]) -> int | None:
    """How many answers of one instance the filter left; None if that cannot be told."""
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
    """Names of metrics, and passes and samples where the scores are outcomes of samples."""
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
    # An instance on several lines was drawn several times.
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
