"""lighteval: `results_DATE.json`, and `details_TASK_DATE.parquet` with a row for each instance.

A task is named "task|shots", in older versions "suite|task|shots|truncated". "all" and names with
"_average" are means over tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from augury.data.readers.files import content, mapping, number, parsed, short, text
from augury.data.readers.models import STAMP
from augury.data.readers.part import Part, Said, frame, guarded
from augury.errors import DataError

DETAILS = re.compile(rf"^details_(?P<task>.+?)(_{STAMP.pattern})?\.parquet$")
RESULTS = re.compile(r"^results.*\.json$")


def fits(path: Path) -> bool:
    """Whether a file in a folder may be one of these."""
    return bool(RESULTS.match(path.name) or DETAILS.match(path.name))


def read(paths: list[Path]) -> Iterator[Part | DataError]:
    """Each file's part, or what is wrong with it."""
    for path in paths:
        yield guarded(path, _details if path.suffix == ".parquet" else _results)


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
    loaded = mapping(parsed(content(path), source), source, "the file")
    config = mapping(loaded.get("config_general"), source, "the key 'config_general'")
    results = mapping(loaded.get("results"), source, "the key 'results'")
    configs = loaded.get("config_tasks")
    rows: list[dict[str, Any]] = []
    for name, entry in results.items():
        task, shots = _task(name)
        scores = mapping(entry, source, f"results of '{name}'")
        own = configs.get(name) if isinstance(configs, dict) else None
        docs = own.get("effective_num_docs") if isinstance(own, dict) else None
        n = float(docs) if isinstance(docs, int) and docs > 0 else None  # -1: never counted
        for metric, value in scores.items():
            where = f"results of '{name}': '{metric}'"
            made = number(value, source, where)
            if metric.endswith("_stderr"):
                if metric.removesuffix("_stderr") not in scores:
                    raise DataError(f"{where} has no score beside it", source=source)
                continue
            error = number(scores.get(f"{metric}_stderr"), source, f"{where}: its error")
            if error is not None and error < 0:
                raise DataError(f"{where}: its error is negative", source=source, value=error)
            group = name == "all" or "_average" in name
            rows.append(
                {"task": task, "metric": metric, "shots": shots, "value": made, "stderr": error,
                 "n": n, "is_group": group}
            )  # fmt: skip
    if not rows:
        raise DataError("there are no scores in 'results'", source=source)
    model = config.get("model_config")
    model = model if isinstance(model, dict) else {}
    said = Said(text(config, "model_name") or text(model, "model_name"), text(model, "revision"))
    tasks = tuple(dict.fromkeys(row["task"] for row in rows))
    return Part(path, said, frame({k: [r[k] for r in rows] for k in rows[0]}), tasks)


def _details(path: Path) -> Part:
    source = str(path)
    named = DETAILS.match(path.name)
    task, shots = _task(named["task"] if named else path.stem)
    try:
        table = pl.read_parquet(content(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError("not a whole Parquet file", source=source,
                        expected="details written to their end") from error  # fmt: skip
    column = next((c for c in ("metric", "metrics") if c in table.columns), None)
    if column is None or not isinstance(table.schema[column], pl.Struct):
        raise DataError("there are no scores of instances", source=source,
                        value=short(table.columns), expected="a struct 'metric'")  # fmt: skip
    docs = table["doc"].struct.unnest() if isinstance(table.schema.get("doc"), pl.Struct) else None
    if docs is not None and "id" in docs.columns and not docs["id"].null_count():
        instances = docs["id"].cast(pl.String).to_list()
    else:
        instances = [str(i) for i in range(table.height)]
    # Several answers an instance: a score of 0 or 1 is then no count of one sample.
    drawn = docs["num_samples"].max() if docs is not None and "num_samples" in docs.columns else 1
    one = drawn is None or drawn == 1
    rows: dict[str, list[Any]] = {
        k: [] for k in ("task", "shots", "metric", "instance", "value", "passes", "samples")
    }
    notes: list[str] = []
    for scores in table[column].struct.unnest().iter_columns():
        if not (scores.dtype.is_numeric() or scores.dtype in (pl.Boolean, pl.Null)):
            notes.append(f"{path.name}: '{scores.name}' of instances is no number by itself")
            continue
        values = [number(v, source, f"row {i + 1}, metric '{scores.name}'", truth=True)
                  for i, v in enumerate(scores.to_list())]  # fmt: skip
        counted = one and all(v in (0.0, 1.0) for v in values if v is not None)
        for instance, value in zip(instances, values, strict=True):
            known = counted and value is not None
            row = (task, shots, scores.name, instance, value, value if known else None,
                   1.0 if known else None)  # fmt: skip
            for name, cell in zip(rows, row, strict=True):
                rows[name].append(cell)
    made = frame(rows)
    if made.height and made.select("metric", "instance").is_duplicated().any():
        twice = made.filter(made.select("metric", "instance").is_duplicated())["instance"][0]
        raise DataError(f"instance '{twice}' stands there twice", source=source)
    # .../details/MODEL/DATE/details_TASK_DATE.parquet
    folders = path.parts[:-2]
    start = max((i for i, p in enumerate(folders) if p == "details"), default=len(folders))
    return Part(path, Said("/".join(folders[start + 1 :]) or None), made, (task,),
                notes=tuple(notes))  # fmt: skip
