"""Mistakes in a study file, each with its line and key, in plain words."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from augury.errors import UsageError
from augury.study.plan import toml_lines
from augury.study.plan.sections import SECTIONS


@dataclass(frozen=True)
class Mistake:
    """One mistake in a study file."""

    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" if self.key else self.message


class StudyFileError(UsageError):
    """A study file has mistakes, each with its line.

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


def translate_errors(
    error: ValidationError, at: toml_lines.Path, data: Any
) -> list[tuple[toml_lines.Path, str]]:
    """Return path and message of every validation error, one per place."""
    messages: dict[toml_lines.Path, str] = {}
    for one in error.errors(include_url=False):
        path = _path_in_file((*at, *one["loc"]), data)
        given, kind = one["input"], one["type"]
        if kind == "extra_forbidden":
            message = unknown_key(str(path[-1]), _siblings(path))
        elif kind == "missing":
            message = "is missing"
        elif kind == "value_error":
            message = str(one["ctx"]["error"])
            if not isinstance(given, dict | list):
                message += f" (got {given!r})" if repr(given) not in message else ""
        else:
            text = one["msg"].removeprefix("Input should be ")
            message = f"expected {text[0].lower()}{text[1:]}, not {json.dumps(given, default=str)}"
        messages.setdefault(path, message)
    return list(messages.items())


def _path_in_file(path: toml_lines.Path, data: Any) -> toml_lines.Path:
    """Return the part of a path that the file has, plus one key if that is missing."""
    kept: toml_lines.Path = ()
    for key in path:
        inside = isinstance(data, dict) and key in data
        if not inside and not (isinstance(data, list) and isinstance(key, int) and key < len(data)):
            return (*kept, key) if isinstance(data, dict) and isinstance(key, str) else kept
        data, kept = data[key], (*kept, key)
    return kept


def _siblings(path: toml_lines.Path) -> list[str]:
    """Return the keys that are allowed where an unknown one was given."""
    return list(SECTIONS[str(path[0])].model_fields)


def unknown_key(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"allowed: {', '.join(known)}"
    return f"unknown key; {hint}"


def key_text(path: toml_lines.Path) -> str:
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text
