"""What `augury init --from` writes: a study of existing runs or results."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from augury.data import read_table
from augury.data.common_names import column_names, guess_all
from augury.data.read import SUFFIXES
from augury.data.readers import READERS, read_results, write_results
from augury.data.readers.files import shorten
from augury.data.scores import add_value, has_scores, whole_tasks
from augury.errors import DataError

RESULTS = "results.parquet"
# Kinds whose files are scores; a folder of tables is listed table by table.
KINDS = ("lm-eval", "inspect", "lighteval", "evalplus", "humaneval", "bigcode")
# Of several metrics of a task one is forecast: the first of these that most tasks have.
METRICS = ("pass", "acc_norm", "acc", "exact_match", "pass@1", "accuracy", "f1")
# More tasks than these make a study slow and its page long; the others become a comment.
MOST_TASKS = 8
# With fewer sizes none is held out: laws need three to learn from.
FEWEST_SIZES = 4
# The target is this many times the largest model.
AHEAD = 4.0


@dataclass
class Draft:
    """A study file in preparation.

    Attributes:
        tables: path from the study's folder, and our columns from the file's.
        rows: of all tables.
        notes: what was found, in sentences.
    """

    tables: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)
    notes: list[str] = field(default_factory=list)


def study_from(source: Path, folder: Path, name: str) -> tuple[str, list[str]]:
    """Write the text of a study file for existing data.

    Args:
        source: a table, a folder of tables, or a folder of results of another tool, which are read
            into `results.parquet` in the study's folder (with `models.csv` beside them, if any).
        folder: of the study; it exists.
        name: of the study.

    Returns:
        The text, and what was found, in sentences.

    Raises:
        DataError: nothing can be read, there are neither scores nor losses, sizes are missing, or
            there are too few of them.
    """
    draft = _read_source(source, folder)
    rows, of_scores = draft.rows, has_scores(draft.rows.columns)
    if of_scores:
        rows = whole_tasks(add_value(rows)).filter(pl.col("value").is_not_null())
    elif "loss" in rows.columns:
        rows = rows.filter(pl.col("loss").is_not_null())
    else:
        raise DataError(
            "neither scores nor losses", source=str(source),
            value=shorten(", ".join(rows.columns)),
            expected="a column loss, value, or passes and samples; for other names write the study "
            "with `augury init`, and map them in [[tables]]",
        )  # fmt: skip
    if "params" not in rows.columns or rows["params"].null_count() == rows.height:
        raise DataError(
            "no model has a size", source=str(source), column="params",
            expected="a column of parameters, or models.csv (model, params, tokens) in a folder "
            "of results",
        )  # fmt: skip
    if not of_scores:
        return _loss_study(draft, rows.filter(pl.col("params").is_not_null()), name), draft.notes
    if "finetune_examples" in rows.columns and rows["finetune_examples"].max():
        return _emergence_study(draft, name), draft.notes
    return _rate_study(draft, rows.filter(pl.col("params").is_not_null()), name), draft.notes


def _read_source(source: Path, folder: Path) -> Draft:
    draft = Draft()
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.is_file())
        for kind in KINDS:
            if any(READERS[kind].matches(path) for path in files):
                try:
                    models = source / "models.csv"
                    found = read_results(
                        kind, source, models=models if models.exists() else None, keep_going=True
                    )
                except DataError:
                    continue  # named like this kind's, but something else
                write_results(found, folder / RESULTS)
                draft.tables = [(RESULTS, {})]
                draft.rows = read_table(folder / RESULTS)
                draft.notes = [f"{source}: {kind} results, {str(found).splitlines()[0]}"]
                return draft
        tables = [path for path in files if path.suffix.lower() in SUFFIXES]
        if not tables:
            raise DataError(
                "nothing to read", source=str(source),
                expected=f"tables, or results of {', '.join(KINDS)}",
            )  # fmt: skip
    else:
        tables = [source]
    parts = []
    for path in tables:
        columns = guess_all(column_names(path))
        parts.append(read_table(path, columns=columns))
        draft.tables.append((Path(os.path.relpath(path, folder)).as_posix(), columns))
        read = ", ".join(f"'{theirs}' as {ours}" for ours, theirs in columns.items())
        draft.notes.append(
            f"{path}: {parts[-1].height} rows" + (f", reading {read}" if read else "")
        )
    draft.rows = pl.concat(parts, how="diagonal_relaxed")
    return draft


def _rate_study(draft: Draft, rows: pl.DataFrame, name: str) -> str:
    """Write a study of pass rates: the largest size held out, the next one the target."""
    where, tasks, left = _chosen(rows)
    with_loss = "loss" in rows.columns and not rows["loss"].null_count()
    laws = ["pass-rate", *(["power+pass-rate:over=loss"] if with_loss else [])]
    lines = [*_head(name, "pass-rate"), *_tables(draft, where, left)]
    lines += _forecast(laws, rows)
    sizes = rows["params"].n_unique()
    draft.notes.append(
        f"{sizes} sizes, {len(tasks) or 1} task{'s' if len(tasks) > 1 else ''}"
        + (f": {', '.join(tasks)}" if tasks else "")
        + (f"; left out: {len(left)} more, named in the file" if left else "")
    )
    return "\n".join(lines) + "\n"


def _loss_study(draft: Draft, rows: pl.DataFrame, name: str) -> str:
    """Write a study of the loss, with the same target and the same models held out."""
    laws = ["chinchilla", "power"] if _has_tokens(rows) else ["power"]
    lines = [*_head(name, "loss"), *_tables(draft, None, ()), *_forecast(laws, rows)]
    draft.notes.append(f"{rows['params'].n_unique()} sizes, and their losses")
    return "\n".join(lines) + "\n"


def _has_tokens(rows: pl.DataFrame) -> bool:
    return "tokens" in rows.columns and not rows["tokens"].null_count()


def _forecast(laws: list[str], rows: pl.DataFrame) -> list[str]:
    """Write laws, target and what is held out.

    Raises:
        DataError: there are too few sizes, and no tokens.
    """
    sizes = rows["params"].unique().sort().to_list()
    with_tokens = _has_tokens(rows)
    if len(sizes) < FEWEST_SIZES and not with_tokens:
        raise DataError(
            f"{len(sizes)} sizes and no tokens: no model can be held out, and no target named",
            column="tokens", expected=f"tokens of each model, or {FEWEST_SIZES} sizes",
        )  # fmt: skip
    lines = [
        "[forecast]",
        f"laws = {json.dumps(laws)}",
        "level = 0.9             # of the intervals",
    ]
    if with_tokens:
        largest = rows.sort("params", "tokens").row(-1, named=True)
        lines += [
            "",
            f"[target]                # {AHEAD:g} times the largest model, and its tokens",
            f"params = {AHEAD * largest['params']:.3g}",
            f"tokens = {AHEAD * largest['tokens']:.3g}",
        ]
    if len(sizes) >= FEWEST_SIZES:
        edge = (sizes[-1] * sizes[-2]) ** 0.5
        lines += [
            "",
            "[held_out]              # the largest size: forecast first, then compared",
            f'where = "params > {edge:.3g}"',
        ]
    return lines


def _chosen(rows: pl.DataFrame) -> tuple[str | None, list[str], list[str]]:
    """Return which rows to keep, as SQL; the tasks that are forecast, and those left out."""
    parts = []
    if "metric" in rows.columns and rows["metric"].n_unique() > 1:
        counts = rows.group_by("metric").agg(pl.col("task").n_unique() if "task" in rows.columns
                                             else pl.len().alias("task"))  # fmt: skip
        order = {metric: i for i, metric in enumerate(METRICS)}
        ranked = sorted(
            counts.iter_rows(),
            key=lambda row: (-row[1], order.get(row[0], len(order)), str(row[0])),
        )
        parts.append(f"metric = {_quoted(ranked[0][0])}")
        rows = rows.filter(pl.col("metric") == ranked[0][0])
    if "task" not in rows.columns:
        return " and ".join(parts) or None, [], []
    tasks = [str(task) for task in rows["task"].unique().sort().drop_nulls()]
    kept = tasks
    if len(tasks) > MOST_TASKS:
        ends = (
            rows.sort("params")
            .group_by("task")
            .agg((pl.col("value").last() - pl.col("value").first()).abs().alias("change"))
        )
        kept = sorted(ends.sort("change", "task", descending=True)["task"].head(MOST_TASKS))
        parts.append(f"task in ({', '.join(map(_quoted, kept))})")
    return " and ".join(parts) or None, kept, [task for task in tasks if task not in kept]


def _quoted(text: str) -> str:
    doubled = str(text).replace("'", "''")
    return f"'{doubled}'"


def _emergence_study(draft: Draft, name: str) -> str:
    lines = [*_head(name, "emergence"), *_tables(draft, None, ())]
    lines += ["[forecast]", "level = 0.9             # of the intervals"]
    return "\n".join(lines) + "\n"


def _head(name: str, question: str) -> list[str]:
    return [
        "#:schema ./study.schema.json",
        "# Written by `augury init --from` from existing data. Change whatever you like.",
        "#   augury run --plan .     says what is wrong, by line",
        "#   augury run .            forecasts, then compares with what is held out",
        "#   augury report .         one page, the answer first",
        "",
        f"name = {json.dumps(name)}",
        f'question = "{question}"',
        "",
    ]


def _tables(draft: Draft, where: str | None, left: Iterable[str]) -> list[str]:
    lines: list[str] = []
    for path, columns in draft.tables:
        lines += ["[[tables]]", f"path = {json.dumps(path)}"]
        if columns:
            pairs = ", ".join(f"{ours} = {json.dumps(theirs)}" for ours, theirs in columns.items())
            lines.append(f"columns = {{ {pairs} }} # our columns from theirs")
        if where is not None:
            lines.append(f"where = {json.dumps(where)}")
        lines.append("")
    others = list(left)
    if others:
        lines[-1:] = [f"# Other tasks: {', '.join(others)}", ""]
    return lines
