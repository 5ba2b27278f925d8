"""Rules between the sections of a study file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from augury.study.plan.sections import KNOWN_COLUMNS
from augury.study.plan.toml_lines import Path as KeyPath

# Fewer sizes than this do not support a law or a backtest.
FEWEST_SIZES = 3

Wrong = Callable[[KeyPath, str], None]


def _check_models(good: Mapping[str, Any], wrong: Wrong) -> None:
    if {"lab", "checkpoints", "tables"} <= good.keys():
        if not (good["lab"] or good["checkpoints"] or good["tables"]):
            wrong((), "nothing to learn from: give [lab], [[checkpoints]] or [[tables]]")
        if (good["lab"] or good["checkpoints"]) and not good.get("tasks", True):
            wrong((), "nothing to measure: give [[tasks]]")


def _check_task_names(good: Mapping[str, Any], wrong: Wrong) -> None:
    seen: set[str] = set()
    for i, task in enumerate(good.get("tasks", [])):
        if task.called in seen:
            wrong(("tasks", i), f"there are two tasks called '{task.called}'")
        seen.add(task.called)


def _check_held_out(good: Mapping[str, Any], wrong: Wrong) -> None:
    held, lab = good.get("held_out"), good.get("lab")
    if not held or "lab" not in good:
        return
    if held.widths and lab is None:
        wrong(("held_out", "widths"), "there is no [lab] to hold widths out of")
    if lab is None:
        return
    for i, width in enumerate(held.widths):
        if width not in lab.widths:
            wrong(
                ("held_out", "widths", i),
                f"{width} is not a width of [lab]: {', '.join(map(str, lab.widths))}",
            )
    if held.widths and len(set(lab.widths) - set(held.widths)) < FEWEST_SIZES:
        wrong(("held_out", "widths"), f"leaves fewer than {FEWEST_SIZES} widths to learn from")


def _held_out_can_be_told(good: Mapping[str, Any], wrong: Wrong) -> None:
    """Tables are checked when they are read; what models can state is known beforehand."""
    held = good.get("held_out")
    if not held or held.where is None or good.get("tables", True):
        return
    import polars as pl

    from augury.data.compute import training_flops

    known = dict.fromkeys(KNOWN_COLUMNS)
    models = [known | entry.model_dump() for entry in good.get("checkpoints", [])]
    rows = pl.DataFrame(models or [known], infer_schema_length=None).select(KNOWN_COLUMNS)
    rows = rows.with_columns(pl.col("params", "tokens", "loss").cast(pl.Float64))
    rows = rows.with_columns(flops=training_flops(pl.col("params"), pl.col("tokens")))
    try:
        answers = rows.select(pl.sql_expr(held.where).cast(pl.Boolean)).to_series()
    except (pl.exceptions.PolarsError, TypeError) as error:
        why = str(error).splitlines()[0]
        wrong(
            ("held_out", "where"),
            f"cannot be evaluated: {why}; columns: {', '.join(KNOWN_COLUMNS)}",
        )
        return
    for i, entry in enumerate(good.get("checkpoints", [])):
        if answers[i] is None and not entry.model.startswith(
            "lab:"
        ):  # the lab's models state it themselves
            wrong(
                ("checkpoints", i),
                "held_out.where cannot be evaluated for it: give params and tokens",
            )


def _check_questions_asked(good: Mapping[str, Any], wrong: Wrong) -> None:
    if not {"question", "tasks"} <= good.keys():
        return
    asked = _questions(good)
    rates = next((path for path, question in asked.items() if question == "pass-rate"), None)
    if rates is not None and {"target", "held_out"} <= good.keys():
        if good["target"] is None and good["held_out"] is None:
            wrong((), "nothing to forecast: give [target] or [held_out]")
        target = good["target"]
        if target is not None and sum(x is not None for x in vars(target).values()) < 2:
            wrong(("target",), "to forecast a pass rate, give two of params, tokens and flops")
    losses = next((path for path, question in asked.items() if question == "loss"), None)
    if losses is not None and {"target", "held_out"} <= good.keys():
        if good["target"] is None and good["held_out"] is None:
            wrong((), "nothing to forecast: give [target] or [held_out]")
        if losses[0] == "tasks":
            wrong(
                losses,
                'the loss does not belong to a task: ask for it with question = "loss" at the top',
            )
    emerges = next((path for path, question in asked.items() if question == "emergence"), None)
    read = {"finetune", "tables"} <= good.keys()
    if emerges is not None and read and good["finetune"] is None and not good["tables"]:
        wrong(emerges, "emergence needs finetuned models: give [finetune] amounts")


def _questions(good: Mapping[str, Any]) -> dict[KeyPath, str]:
    """Return what is asked, by its place in the file."""
    asked: dict[KeyPath, str] = {}
    for i, task in enumerate(good["tasks"]):
        if task.question is None:
            asked["question",] = good["question"]
        else:
            asked["tasks", i, "question"] = task.question
    return asked or {("question",): good["question"]}


def _finetuning_fits(good: Mapping[str, Any], wrong: Wrong) -> None:
    how, lab = good.get("finetune"), good.get("lab")
    if not how or not {"lab", "tasks", "question"} <= good.keys():
        return
    for i, task in enumerate(good["tasks"]):
        if not task.is_lab and (task.question or good["question"]) == "emergence":
            wrong(
                ("tasks", i, "name" if task.file is None else "file"),
                "[finetune] only knows the lab's tasks: use `augury finetune` on this one "
                "and list the result in [[tables]]",
            )
    measured = set() if lab is None else {*lab.checkpoints, lab.steps}
    for i, step in enumerate(how.checkpoints):
        if step not in measured:
            known = ", ".join(map(str, sorted(measured))) or "none, there is no [lab]"
            wrong(
                ("finetune", "checkpoints", i), f"{step} is not a step that [lab] measures: {known}"
            )


RULES: tuple[Callable[[Mapping[str, Any], Wrong], None], ...] = (
    _check_models,
    _check_task_names,
    _check_held_out,
    _held_out_can_be_told,
    _check_questions_asked,
    _finetuning_fits,
)
