"""Checks of a study's tables before anything runs: tasks, and columns of laws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from augury.data import read_table
from augury.data.common_names import column_names
from augury.data.scores import has_scores, whole_tasks
from augury.errors import UsageError
from augury.laws import Chain, parse_law
from augury.laws.inputs import Share
from augury.study.plan.study_file import StudyFile
from augury.study.units.curve import required_inputs

# Columns that give a model's position, in [target], in [[checkpoints]] and for lab models.
PLACES = frozenset({"params", "tokens", "flops"})


def tasks_in(
    path: Path, columns: Mapping[str, str], where: str | None
) -> Iterator[tuple[str, str]]:
    """Yield every task of a table with each of its metrics; nothing if tasks are not named."""
    theirs = {name: columns.get(name, name) for name in ("task", "metric")}
    names = column_names(path)
    if theirs["task"] not in names:
        return
    if where is None and path.suffix == ".csv" and "instance" not in names:
        # Reading two columns takes a fraction of the time: studies can have thousands of tables.
        wanted = [name for name in theirs.values() if name in names]
        rows = pl.read_csv(path, columns=wanted, infer_schema=False)
        rows = rows.rename({old: new for new, old in theirs.items() if old in wanted})
    else:
        rows = whole_tasks(read_table(path, columns=columns, where=where))
    kept = [name for name in ("task", "metric") if name in rows.columns]
    for row in rows.select(kept).unique(maintain_order=True).iter_rows(named=True):
        if row["task"] is not None:
            yield str(row["task"]), str(row.get("metric") or "")


def check_laws(study: StudyFile, folder: Path) -> None:
    """Refuse laws whose inputs nothing provides before anything runs: every fit would fail.

    Raises:
        UsageError: a law needs a column that no table has, or an input that no target can give; or
            the tables have no score.
    """
    if study.lab is not None or study.checkpoints or study.finetune is not None:
        return  # measurements bring their columns
    if not study.tables or study.question != "pass-rate":
        return
    there = {n for t in study.tables for n in (*column_names(folder / t.path), *t.columns)}
    if not there:
        return  # a format whose first line does not tell: reading it will
    if not has_scores(sorted(there)):
        raise UsageError(
            "[[tables]] hold no scores (a column value, or passes and samples), and a pass rate "
            'is asked for; question = "loss" asks for the pretraining loss'
        )
    if len(PLACES & there) >= 2:
        there |= PLACES
    for i, text in enumerate(study.forecast.laws, 1):
        law = parse_law(text)
        first = law.loss if isinstance(law, Chain) else law
        needed = [n for n in required_inputs(law) if not isinstance(first.inputs[n], Share)]
        link = [law.link] if isinstance(law, Chain) else []
        for name in (*needed, *link):
            if name not in there:
                raise UsageError(
                    f"forecast.laws[{i}]: {text} needs a column '{name}', and no table has it; "
                    f'map it, as in columns = {{ {name} = "..." }}, or take another law'
                )
        beyond = [name for name in needed if name not in PLACES]
        if beyond:
            raise UsageError(
                f"forecast.laws[{i}]: {text} takes {beyond[0]}, which a [target] does not give; "
                f"put a law of {beyond[0]} before it, as in power+{text}"
            )
