"""A task to be measured: instances, each with a prompt and the answers that pass."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from augury.errors import DataError, UsageError
from augury.evaluate.stops import cut_text


@dataclass(frozen=True)
class Instance:
    """One question.

    Attributes:
        id: its name, unique in the task.
        prompt: what the model reads.
        answers: references; for lab tasks all passing continuations.
        data: every other field of its line.
    """

    id: str
    prompt: str
    answers: tuple[str, ...]
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A name, its instances, how an answer is judged, and the pass rate of random guessing.

    Attributes:
        name: of the task.
        instances: at least one, with different ids.
        chance: pass rate of random guessing.
        checker: name of the check (see `checkers`).
        length: number of tokens to sample.
        stop: sampled text is cut before the first of these.

    Raises:
        UsageError: there is no instance, two share an id, `length` is negative, or a stop is empty.
    """

    name: str
    instances: tuple[Instance, ...]
    chance: float
    checker: str = "prefix"
    length: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.instances:
            raise UsageError(f"task '{self.name}' needs at least one instance")
        if self.length < 0:
            raise UsageError(f"task '{self.name}': tokens to sample cannot be {self.length}")
        if "" in self.stop:
            raise UsageError(f"task '{self.name}': an empty stop would cut every sample to nothing")
        seen: set[str] = set()
        for instance in self.instances:
            if instance.id in seen:
                raise UsageError(f"task '{self.name}' has two instances called '{instance.id}'")
            seen.add(instance.id)

    @cached_property
    def tokens(self) -> int:
        """Tokens to sample: as given, else as many as the longest answer has characters."""
        longest = max((len(a) for i in self.instances for a in i.answers), default=0)
        return self.length or max(longest, 1)

    @cached_property
    def digest(self) -> str:
        """Return what distinguishes this task: a hash of everything in it."""
        whole = [
            self.name,
            self.checker,
            self.tokens,
            self.stop,
            [[i.id, i.prompt, i.answers, dict(i.data)] for i in self.instances],
        ]
        text = json.dumps(whole, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def cut(self, text: str) -> str:
        """Cut a sample at its first stop."""
        return cut_text(text, self.stop)


# Scheme: "module:function" of a function from a task's name and a number of instances to a task.
SCHEMES: Mapping[str, str] = {
    "lab": "augury.lab.instances:lab_instances",
    "lm-eval": "augury.evaluate.lm_eval_tasks:first_documents",
}


def named_task(spec: str, instances: int) -> Task:
    """Return the task called `spec`, such as "lab:rule", with this many instances.

    Raises:
        UsageError: the scheme does not exist, or has no task of that name.
    """
    scheme, _, name = spec.partition(":")
    if scheme not in SCHEMES:
        raise UsageError(f"no task '{spec}': expected {' or '.join(f'{s}:NAME' for s in SCHEMES)}")
    module, _, function = SCHEMES[scheme].partition(":")
    task: Task = getattr(import_module(module), function)(name, instances)
    return task


def read_task(
    path: str | Path,
    *,
    checker: str = "exact",
    length: int = 256,
    stop: tuple[str, ...] = (),
    chance: float = 0.0,
) -> Task:
    """Read a task from a JSONL file: `id`, `prompt`, `reference` or `references`, and any others.

    HumanEval's `task_id` serves as id; a line without an id is named by its number. `messages`, a
    list of {role, content}, are turns before the prompt; without a prompt, the last one is it.

    Args:
        path: the file.
        checker, length, stop, chance: as in `Task`.

    Raises:
        DataError: the file does not exist, a line is not JSON, or a field is missing or of another
            type; it names the line.
    """
    path = Path(path)
    try:
        # Not splitlines: within JSON text U+2028 and similar are characters.
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise DataError("there is no such file", source=str(path), expected="JSON lines") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot be read: {error}", source=str(path), expected="JSON lines in UTF-8"
        ) from error
    instances = {
        number: _instance(line, number, path)
        for number, line in enumerate(lines, 1)
        if line.strip()
    }
    if not instances:
        raise DataError("holds no instance", source=str(path), expected="a JSON object per line")
    first: dict[str, int] = {}
    for number, instance in instances.items():
        if instance.id in first:
            raise DataError(
                f"line {number} has the id of line {first[instance.id]}",
                source=str(path),
                column="id",
                value=instance.id,
                expected="ids that differ",
            )
        first[instance.id] = number
    return Task(path.stem, tuple(instances.values()), chance, checker, length, stop)


def _instance(line: str, number: int, path: Path) -> Instance:
    def wrong(problem: str, column: str | None, value: object, expected: str) -> DataError:
        return DataError(
            f"line {number}: {problem}",
            source=str(path),
            column=column,
            value=value,
            expected=expected,
        )

    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise wrong(f"is not JSON ({error})", None, line[:60], "a JSON object") from error
    if not isinstance(record, dict):
        raise wrong("is not an object", None, line[:60], "a JSON object")
    name = record.get("id", record.get("task_id", number))
    prompt = record.get("prompt")
    turns = record.get("messages")
    if turns is not None:
        if not _is_talk(turns):
            raise wrong("not a conversation", "messages", turns, "a list of {role, content}")
        if "prompt" not in record and turns and turns[-1]["role"] == "user":
            prompt = turns[-1]["content"]
            record["messages"] = turns[:-1]
    if not isinstance(prompt, str):
        raise wrong("no text to complete", "prompt", prompt, "text")
    given = record.get("references", record.get("reference", []))
    answers = given if isinstance(given, list) else [given]
    for answer in answers:
        if not isinstance(answer, str | int | float) or isinstance(answer, bool):
            raise wrong("a reference is not text", "reference", answer, "text, or a list of texts")
    rest = {k: v for k, v in record.items() if k not in ("id", "prompt", "reference", "references")}
    return Instance(str(name), prompt, tuple(str(a) for a in answers), rest)


def _is_talk(turns: object) -> bool:
    return isinstance(turns, list) and all(
        isinstance(turn, dict)
        and turn.get("role") in ("system", "user", "assistant")
        and isinstance(turn.get("content"), str)
        for turn in turns
    )
