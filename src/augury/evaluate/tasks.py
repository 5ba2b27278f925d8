"""A task to be measured: instances, each with a prompt and the answers that pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from augury.errors import UsageError
from augury.train import lab_task


@dataclass(frozen=True)
class Instance:
    """One question: `answers` are all the continuations that pass."""

    id: str
    prompt: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """A name, its instances, and the rate at which a guesser passes.

    Raises:
        UsageError: there is no instance.
    """

    name: str
    instances: tuple[Instance, ...]
    chance: float

    def __post_init__(self) -> None:
        if not self.instances:
            raise UsageError(f"task '{self.name}' needs at least one instance")


def lab_instances(name: str, count: int, seed: int = 12345) -> Task:
    """Held-out instances of one of the lab's tasks, the same for every model.

    Raises:
        UsageError: there is no such task, or `count` is not positive.
    """
    task = lab_task(name)
    if count < 1:
        raise UsageError(f"a task needs at least one instance, not {count}")
    drawn = task.instances(np.random.default_rng([seed, 7]), count)
    return Task(
        name,
        tuple(
            Instance(f"{name}-{i}", prompt, (answer,)) for i, (prompt, answer) in enumerate(drawn)
        ),
        task.chance,
    )
