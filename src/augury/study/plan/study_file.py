"""A study file: what a study trains, measures and forecasts. TOML, checked with line numbers."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from augury.errors import DataError, UsageError
from augury.study.plan import toml_lines
from augury.study.plan.sections import (
    Budget,
    Checkpoint,
    Finetune,
    ForecastSection,
    HeldOut,
    Lab,
    Measure,
    Name,
    Question,
    Run,
    Section,
    TableFile,
    Target,
    TaskEntry,
)

STUDY_FILE = "study.toml"
# What an expression for held-out models may speak of.
KNOWN = ("model", "family", "params", "tokens", "flops", "loss", "step", "seed", "width")
# Fewer sizes than this carry no law and no backtest.
FEWEST_SIZES = 3


class StudyFile(Section):
    """What a study file says."""

    name: Name = Field(description="Name of the study.")
    question: Question = Field(
        default="pass-rate",
        description="pass-rate: of each task at the target. emergence: where each task emerges. "
        "A task can have a question of its own.",
    )
    lab: Lab | None = None
    checkpoints: list[Checkpoint] = Field(default=[], description="Models that are there already.")
    tables: list[TableFile] = Field(default=[], description="Scores that were measured already.")
    tasks: list[TaskEntry] = Field(default=[], description="What is measured.")
    measure: Measure = Measure()
    finetune: Finetune | None = None
    forecast: ForecastSection = ForecastSection()
    target: Target | None = None
    held_out: HeldOut | None = None
    budget: Budget = Budget()
    run: Run = Run()

    def question_of(self, task: str | None) -> Question:
        """What is asked of a task; None is whatever tables hold."""
        own = next((entry.question for entry in self.tasks if entry.called == task), None)
        return own or self.question

    @property
    def finetuned(self) -> list[TaskEntry]:
        """Tasks that models are finetuned on: those that may emerge.

        Where none is asked for that, [finetune] measures every task of the lab and the table has
        it.
        """
        if self.finetune is None:
            return []
        asked = [t for t in self.tasks if self.question_of(t.called) == "emergence"]
        return asked or [task for task in self.tasks if task.name is not None]


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong in a study file."""

    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" if self.key else self.message


class StudyFileError(UsageError):
    """A study file has mistakes, each named with its line.

    Attributes:
        mistakes: in the order of their lines.
    """

    def __init__(self, path: Path, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        lines = [f"{path}:{m.line}: {m}" if m.line else f"{path}: {m}" for m in mistakes]
        count = "a mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        super().__init__(
            lines[0] if len(lines) == 1 else "\n".join([f"{path} has {count}:", *lines])
        )


def read_study(path: str | Path) -> tuple[StudyFile, Path]:
    """Read and check a study file.

    Args:
        path: the file, or the study's folder, which holds it as `study.toml`.

    Returns:
        What it says, and the study's folder: where the file lies.

    Raises:
        DataError: there is no such file, or it is not UTF-8.
        StudyFileError: it has mistakes; each is named with its line.
    """
    path = Path(path)
    if path.is_dir():
        path = path / STUDY_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(
            "there is no such file", source=str(path), expected="a study file; try `augury init`"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", source=str(path), expected="TOML") from error
    study, mistakes = check(text, path.parent)
    if study is None:
        raise StudyFileError(path, mistakes)
    return study, path.parent


def check(text: str, folder: Path) -> tuple[StudyFile | None, list[Mistake]]:
    """A study from text, or all its mistakes.

    Sections are checked one by one, so that a mistake in one hides none in another.

    Args:
        text: TOML.
        folder: where the files it names are looked for.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        named = re.search(r"at line (\d+)", str(error))
        return None, [Mistake(int(named[1]) if named else None, "", f"is not TOML: {error}")]
    lines = toml_lines.find_lines(text)
    found: list[Mistake] = []

    def wrong(path: toml_lines.Path, message: str) -> None:
        found.append(Mistake(toml_lines.line_of(lines, path), _key(path), message))

    good: dict[str, Any] = {}
    for name, field in StudyFile.model_fields.items():
        if name not in data:
            if field.is_required():
                wrong((name,), "is missing")
            else:
                good[name] = field.get_default()
            continue
        kind: Any = field.annotation
        try:
            good[name] = TypeAdapter(kind).validate_python(data[name], context={"folder": folder})
        except ValidationError as error:
            for path, message in _told(error, (name,), data):
                wrong(path, message)
    for name in data.keys() - StudyFile.model_fields.keys():
        wrong((name,), _unknown(name, StudyFile.model_fields))
    for rule in RULES:
        rule(good, wrong)
    if found:
        return None, sorted(found, key=lambda m: m.line or 0)
    return StudyFile.model_construct(**good), []


def schema() -> str:
    """The JSON schema of study files, for editors."""
    record = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(record | StudyFile.model_json_schema(), indent=2) + "\n"


Wrong = Callable[[toml_lines.Path, str], None]


def _has_models(good: Mapping[str, Any], wrong: Wrong) -> None:
    if {"lab", "checkpoints", "tables"} <= good.keys():
        if not (good["lab"] or good["checkpoints"] or good["tables"]):
            wrong((), "there is nothing to learn from: give [lab], [[checkpoints]] or [[tables]]")
        if (good["lab"] or good["checkpoints"]) and not good.get("tasks", True):
            wrong((), "there is nothing to measure: give [[tasks]]")


def _tasks_differ(good: Mapping[str, Any], wrong: Wrong) -> None:
    seen: set[str] = set()
    for i, task in enumerate(good.get("tasks", [])):
        if task.called in seen:
            wrong(("tasks", i), f"there are two tasks called '{task.called}'")
        seen.add(task.called)


def _held_out_fits(good: Mapping[str, Any], wrong: Wrong) -> None:
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
                f"{width} is no width of [lab]: {', '.join(map(str, lab.widths))}",
            )
    if held.widths and len(set(lab.widths) - set(held.widths)) < FEWEST_SIZES:
        wrong(("held_out", "widths"), f"leaves fewer than {FEWEST_SIZES} widths to learn from")


def _held_out_can_be_told(good: Mapping[str, Any], wrong: Wrong) -> None:
    """Tables are asked when they are read; of models it is known beforehand what they can say."""
    held = good.get("held_out")
    if not held or held.where is None or good.get("tables", True):
        return
    import polars as pl

    from augury.data.compute import training_flops

    known = dict.fromkeys(KNOWN)
    models = [known | entry.model_dump() for entry in good.get("checkpoints", [])]
    rows = pl.DataFrame(models or [known], infer_schema_length=None).select(KNOWN)
    rows = rows.with_columns(pl.col("params", "tokens", "loss").cast(pl.Float64))
    rows = rows.with_columns(flops=training_flops(pl.col("params"), pl.col("tokens")))
    try:
        answers = rows.select(pl.sql_expr(held.where).cast(pl.Boolean)).to_series()
    except (pl.exceptions.PolarsError, TypeError) as error:
        why = str(error).splitlines()[0]
        wrong(("held_out", "where"), f"cannot be asked: {why}; columns: {', '.join(KNOWN)}")
        return
    for i, entry in enumerate(good.get("checkpoints", [])):
        if answers[i] is None and not entry.model.startswith("lab:"):  # the lab's say it themselves
            wrong(("checkpoints", i), "held_out.where cannot be told of it: give params and tokens")


def _asks_something(good: Mapping[str, Any], wrong: Wrong) -> None:
    if not {"question", "tasks"} <= good.keys():
        return
    asked = _questions(good)
    rates = next((path for path, question in asked.items() if question == "pass-rate"), None)
    if rates is not None and {"target", "held_out"} <= good.keys():
        if good["target"] is None and good["held_out"] is None:
            wrong((), "there is nothing to forecast: give [target] or [held_out]")
        target = good["target"]
        if target is not None and sum(x is not None for x in vars(target).values()) < 2:
            wrong(("target",), "a pass rate is forecast at two of params, tokens and flops")
    emerges = next((path for path, question in asked.items() if question == "emergence"), None)
    read = {"finetune", "tables"} <= good.keys()
    if emerges is not None and read and good["finetune"] is None and not good["tables"]:
        wrong(emerges, "emergence is read from finetuned models: give [finetune] amounts")


def _questions(good: Mapping[str, Any]) -> dict[toml_lines.Path, str]:
    """What is asked, by where the file says so."""
    asked: dict[toml_lines.Path, str] = {}
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
        if task.file is not None and (task.question or good["question"]) == "emergence":
            wrong(
                ("tasks", i, "file"),
                "[finetune] knows the lab's tasks alone: finetune on this one by `augury finetune` "
                "and give what comes of it in [[tables]]",
            )
    measured = set() if lab is None else {*lab.checkpoints, lab.steps}
    for i, step in enumerate(how.checkpoints):
        if step not in measured:
            known = ", ".join(map(str, sorted(measured))) or "none, there is no [lab]"
            wrong(("finetune", "checkpoints", i), f"{step} is no step that [lab] measures: {known}")


RULES: tuple[Callable[[Mapping[str, Any], Wrong], None], ...] = (
    _has_models,
    _tasks_differ,
    _held_out_fits,
    _held_out_can_be_told,
    _asks_something,
    _finetuning_fits,
)


def _told(
    error: ValidationError, at: toml_lines.Path, data: Any
) -> list[tuple[toml_lines.Path, str]]:
    """Path and message of every error of pydantic, in our words; one for each place."""
    told: dict[toml_lines.Path, str] = {}
    for one in error.errors(include_url=False):
        path = _there((*at, *one["loc"]), data)
        given, kind = one["input"], one["type"]
        if kind == "extra_forbidden":
            message = _unknown(str(path[-1]), _siblings(path))
        elif kind == "missing":
            message = "is missing"
        elif kind == "value_error":
            message = str(one["ctx"]["error"])
            if not isinstance(given, dict | list):
                message += f" (got {given!r})" if repr(given) not in message else ""
        else:
            text = one["msg"].removeprefix("Input should be ")
            message = f"expected {text[0].lower()}{text[1:]}, not {json.dumps(given, default=str)}"
        told.setdefault(path, message)
    return list(told.items())


def _there(path: toml_lines.Path, data: Any) -> toml_lines.Path:
    """The part of a path that stands in the file, and one key more if it is missing there."""
    kept: toml_lines.Path = ()
    for key in path:
        inside = isinstance(data, dict) and key in data
        if not inside and not (isinstance(data, list) and isinstance(key, int) and key < len(data)):
            return (*kept, key) if isinstance(data, dict) and isinstance(key, str) else kept
        data, kept = data[key], (*kept, key)
    return kept


def _siblings(path: toml_lines.Path) -> list[str]:
    """Keys that may stand where an unknown one does."""
    kinds: dict[str, type[Section]] = {
        "lab": Lab, "checkpoints": Checkpoint, "tables": TableFile, "tasks": TaskEntry,
        "measure": Measure, "finetune": Finetune, "forecast": ForecastSection, "target": Target,
        "held_out": HeldOut, "budget": Budget, "run": Run,
    }  # fmt: skip
    return list(kinds[str(path[0])].model_fields)


def _unknown(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"
    return f"there is no such key; {hint}"


def _key(path: toml_lines.Path) -> str:
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text
