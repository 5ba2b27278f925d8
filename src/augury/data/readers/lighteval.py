"""lighteval: `results_DATE.json`, and `details_TASK_DATE.parquet` with one row per instance.

A task is named "task|shots", in older versions "suite|task|shots|truncated". "all" and names with
"_average" are means over tasks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl

from augury.data.metrics import why_not_a_score
from augury.data.readers.files import (
    first_text,
    parse_json,
    read_content,
    read_score,
    require_object,
    shorten,
)
from augury.data.readers.models import STAMP
from augury.data.readers.part import ForeignFileError, LeftOut, ModelInfo, Part, make_frame
from augury.data.readers.reader import Reader
from augury.errors import DataError

DETAILS = re.compile(rf"^details_(?P<task>.+?)(_{STAMP.pattern})?\.parquet$")
RESULTS = re.compile(r"^results.*\.json$")


def fits(path: Path) -> bool:
    """Return whether a file in a folder may be from lighteval."""
    return bool(RESULTS.match(path.name) or DETAILS.match(path.name))


def read(path: Path) -> Part:
    """Read the scores of a file, or the instances of a details file."""
    return (_details if path.suffix == ".parquet" else _results)(path)


READER = Reader("lighteval", fits, read, "lighteval results and details")


def _task(name: str) -> tuple[str, int | None]:
    parts = name.split("|")
    digits = 0
    while digits < len(parts) - 1 and parts[-1 - digits].isdecimal() and digits < 2:
        digits += 1
    if not digits:
        return name, None
    return "|".join(parts[:-digits]), int(parts[-digits])


def _results(path: Path) -> Part:
    source = str(path)
    loaded = require_object(parse_json(read_content(path), source), source, "the file")
    if "config_general" not in loaded and "results" not in loaded:
        raise ForeignFileError(
            "the key 'results' is missing",
            source=source,
            value=shorten([*loaded][:6]),
            expected="a result file of lighteval",
        )
    config = require_object(loaded.get("config_general"), source, "the key 'config_general'")
    results = require_object(loaded.get("results"), source, "the key 'results'")
    configs = loaded.get("config_tasks")
    rows: list[dict[str, Any]] = []
    left_out: list[LeftOut] = []
    for name, entry in results.items():
        if not isinstance(entry, dict):
            where = f"results of '{name}'"
            left_out.append(LeftOut(path, where, shorten(entry), "is not an object of scores"))
            continue
        task, shots = _task(name)
        own = configs.get(name) if isinstance(configs, dict) else None
        docs = own.get("effective_num_docs") if isinstance(own, dict) else None
        n = float(docs) if isinstance(docs, int) and docs > 0 else None  # -1: never counted
        version = own.get("version") if isinstance(own, dict) else None
        for metric, value in entry.items():
            where = f"results of '{name}': '{metric}'"
            if metric.endswith("_stderr"):
                if metric.removesuffix("_stderr") not in entry:
                    left_out.append(LeftOut(path, where, shorten(value), "no score for this error"))
                continue
            made, why = read_score(value)
            why = why_not_a_score(metric) or why
            if why is not None:
                left_out.append(LeftOut(path, where, shorten(value), why))
                if why != "is infinite":
                    continue
            given = entry.get(f"{metric}_stderr")
            error, why = read_score(given)
            if why is None and error is not None and error < 0:
                why = "is negative"
            if why is not None:
                left_out.append(LeftOut(path, f"{where}: its error", shorten(given), why))
                error = None
            group = name == "all" or "_average" in name
            rows.append(
                {"task": task, "metric": metric, "shots": shots, "value": made, "stderr": error,
                 "n": n, "is_group": group,
                 "task_version": str(version) if isinstance(version, int | str) else None}
            )  # fmt: skip
    if not rows:
        if left_out:
            raise left_out[0].error()
        raise ForeignFileError("no scores in 'results'", source=source)
    model = config.get("model_config")
    model = model if isinstance(model, dict) else {}
    info = ModelInfo(
        first_text(config, "model_name") or first_text(model, "model_name"),
        first_text(model, "revision"),
    )
    tasks = tuple(dict.fromkeys(row["task"] for row in rows))
    made_rows = make_frame({k: [r[k] for r in rows] for k in rows[0]})
    return Part(path, info, made_rows, tasks, left_out=tuple(left_out))


def _details(path: Path) -> Part:
    source = str(path)
    named = DETAILS.match(path.name)
    task, shots = _task(named["task"] if named else path.stem)
    try:
        table = pl.read_parquet(read_content(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError("not a whole Parquet file", source=source,
                        expected="a complete details file") from error  # fmt: skip
    column = next((c for c in ("metric", "metrics") if c in table.columns), None)
    if column is None or not isinstance(table.schema[column], pl.Struct):
        raise DataError("no scores of instances", source=source,
                        value=shorten(table.columns), expected="a struct 'metric'")  # fmt: skip
    docs = table["doc"].struct.unnest() if isinstance(table.schema.get("doc"), pl.Struct) else None
    if docs is not None and "id" in docs.columns and not docs["id"].null_count():
        instances = docs["id"].cast(pl.String).to_list()
    else:
        instances = [str(i) for i in range(table.height)]
    # Several answers per instance: a score of 0 or 1 is then not a count of one sample.
    drawn = docs["num_samples"].max() if docs is not None and "num_samples" in docs.columns else 1
    one = drawn is None or drawn == 1
    rows: dict[str, list[Any]] = {
        k: [] for k in ("task", "shots", "metric", "instance", "value", "passes", "samples")
    }
    left_out: list[LeftOut] = []
    for scores in table[column].struct.unnest().iter_columns():
        if not (scores.dtype.is_numeric() or scores.dtype in (pl.Boolean, pl.Null)):
            why = "is not a single number"
            left_out.append(LeftOut(path, f"'{scores.name}' of instances", str(scores.dtype), why))
            continue
        values = []
        for i, v in enumerate(scores.to_list()):
            value, why_not = read_score(v, truth=True)
            values.append(value)
            if why_not is not None:
                where = f"row {i + 1}, metric '{scores.name}'"
                left_out.append(LeftOut(path, where, shorten(v), why_not))
        counted = one and all(v in (0.0, 1.0) for v in values if v is not None)
        for instance, value in zip(instances, values, strict=True):
            known = counted and value is not None
            row = (task, shots, scores.name, instance, value, value if known else None,
                   1.0 if known else None)  # fmt: skip
            for name, cell in zip(rows, row, strict=True):
                rows[name].append(cell)
    made = make_frame(rows)
    if made.height and made.select("metric", "instance").is_duplicated().any():
        twice = made.filter(made.select("metric", "instance").is_duplicated())["instance"][0]
        raise DataError(f"duplicate instance '{twice}'", source=source)
    # .../details/MODEL/DATE/details_TASK_DATE.parquet
    folders = path.parts[:-2]
    start = max((i for i, p in enumerate(folders) if p == "details"), default=len(folders))
    return Part(path, ModelInfo("/".join(folders[start + 1 :]) or None), made, (task,),
                left_out=tuple(left_out))  # fmt: skip
