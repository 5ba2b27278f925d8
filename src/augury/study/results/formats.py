"""Records of a study: frozen, typed, and written with the number of their format.

A record is written as JSON, with null for numbers that are not finite. Files from before formats
were numbered have none; they are read as format 1, which is what they are.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from augury.errors import DataError
from augury.notes import Note
from augury.runtime.json_files import read_json, write_json

FORMAT = 1


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _as_note(value: Any) -> Any:
    """Convert a note: older records have plain sentences."""
    return Note("note", "info", value) if isinstance(value, str) else value


# A number, or None if it is unknown or infinite.
Known = Annotated[float | None, BeforeValidator(_finite_or_none)]
Interval = tuple[Known, Known]
Remark = Annotated[Note, BeforeValidator(_as_note)]


class RecordPart(BaseModel):
    """A part of a record. Keys that a later version may have added are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Record(RecordPart):
    """The contents of one file of a study.

    Attributes:
        format: of the file.
    """

    format: int = FORMAT


R = TypeVar("R", bound=RecordPart)


def save_record(path: Path, record: Record) -> None:
    """Write a record, completely or not at all."""
    write_json(path, record.model_dump(by_alias=True))


def read_record(path: Path, kind: type[R]) -> R:
    """Read a record from its file.

    Raises:
        DataError: the file is missing, damaged, or of a format that this version does not read; it
            names the file, the format or the field.
    """
    return parse_record(path, read_json(path), kind)


def parse_record(path: Path, content: Any, kind: type[R] | TypeAdapter[R], *, at: str = "") -> R:
    """Parse a file's content into a record; `path`, and the position `at`, are for messages.

    Raises:
        DataError: as `read_record`.
    """
    if not isinstance(content, dict):
        raise DataError(f"{at}is not a record", source=str(path), expected="a JSON object")
    found = content.get("format", FORMAT)
    if found != FORMAT:
        raise DataError(
            f"{at}has format {found}",
            source=str(path),
            expected=f"format {FORMAT}, the one this version of Augury reads",
        )
    try:
        if isinstance(kind, TypeAdapter):
            return kind.validate_python(content)
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the record"
        raise DataError(
            f"{at}format {FORMAT}: {field}: {first['msg'][:1].lower()}{first['msg'][1:]}",
            source=str(path),
            expected="a record as a run of this version writes it",
        ) from error
