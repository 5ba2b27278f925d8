"""A study file: what a study trains, measures and forecasts. TOML, checked with line numbers."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from augury.errors import DataError
from augury.study.plan import toml_lines
from augury.study.plan.file_rules import RULES
from augury.study.plan.mistakes import (
    Mistake,
    StudyFileError,
    key_text,
    translate_errors,
    unknown_key,
)
from augury.study.plan.sections import (
    BudgetSection,
    CheckpointEntry,
    FinetuneSection,
    ForecastSection,
    HeldOutSection,
    LabSection,
    MeasureSection,
    RunSection,
    StudySection,
    TableEntry,
    TargetSection,
    TaskEntry,
)
from augury.study.plan.value_types import Name, Question

STUDY_FILE = "study.toml"


class StudyFile(StudySection):
    """The contents of a study file."""

    name: Name = Field(description="Name of the study.")
    question: Question = Field(
        default="pass-rate",
        description="pass-rate: of each task at the target. emergence: where each task emerges. "
        "loss: of the pretraining loss at the target. A task can have a question of its own.",
    )
    lab: LabSection | None = None
    checkpoints: list[CheckpointEntry] = Field(default=[], description="Existing models.")
    tables: list[TableEntry] = Field(default=[], description="Existing scores.")
    tasks: list[TaskEntry] = Field(default=[], description="Tasks to measure.")
    measure: MeasureSection = MeasureSection()
    finetune: FinetuneSection | None = None
    forecast: ForecastSection = ForecastSection()
    target: TargetSection | None = None
    held_out: HeldOutSection | None = None
    budget: BudgetSection = BudgetSection()
    run: RunSection = RunSection()

    def question_of(self, task: str | None) -> Question:
        """Return the question for a task; None is an unnamed task of tables."""
        own = next((entry.question for entry in self.tasks if entry.called == task), None)
        return own or self.question

    @property
    def finetuned(self) -> list[TaskEntry]:
        """Tasks that models are finetuned on: those that may emerge.

        If no task is asked about emergence, [finetune] measures every task of the lab and the table
        has it.
        """
        if self.finetune is None:
            return []
        asked = [t for t in self.tasks if self.question_of(t.called) == "emergence"]
        return asked or [task for task in self.tasks if task.is_lab]


def read_study(path: str | Path) -> tuple[StudyFile, Path]:
    """Read and check a study file.

    Args:
        path: the file, or the study's folder, which holds it as `study.toml`.

    Returns:
        Its contents, and the study's folder: where the file is.

    Raises:
        DataError: the file does not exist, or is not UTF-8.
        StudyFileError: it has mistakes, each with its line.
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
    study, mistakes = check_study(text, path.parent)
    if study is None:
        raise StudyFileError(path, mistakes)
    return study, path.parent


def check_study(text: str, folder: Path) -> tuple[StudyFile | None, list[Mistake]]:
    """Parse a study from text, or return all its mistakes.

    Sections are checked one by one, so that a mistake in one hides none in another.

    Args:
        text: TOML.
        folder: base of the relative paths in it.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        named = re.search(r"at line (\d+)", str(error))
        return None, [Mistake(int(named[1]) if named else None, "", f"is not TOML: {error}")]
    lines = toml_lines.find_lines(text)
    found: list[Mistake] = []

    def wrong(path: toml_lines.Path, message: str) -> None:
        found.append(Mistake(toml_lines.line_of(lines, path), key_text(path), message))

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
            for path, message in translate_errors(error, (name,), data):
                wrong(path, message)
    for name in data.keys() - StudyFile.model_fields.keys():
        wrong((name,), unknown_key(name, StudyFile.model_fields))
    for rule in RULES:
        rule(good, wrong)
    if found:
        return None, sorted(found, key=lambda m: m.line or 0)
    return StudyFile.model_construct(**good), []


def study_schema() -> str:
    """Return the JSON schema of study files, for editors."""
    record = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(record | StudyFile.model_json_schema(), indent=2) + "\n"
