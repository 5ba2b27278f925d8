"""Held-out instances of the lab's tasks, as any evaluation takes them."""

from __future__ import annotations

import numpy as np

from augury.errors import UsageError
from augury.evaluate.tasks import Instance, Task
from augury.lab.tasks import lab_task


def lab_instances(name: str, count: int, seed: int = 12345) -> Task:
    """Return held-out instances of one of the lab's tasks, the same for every model.

    Raises:
        UsageError: the task does not exist, or `count` is not positive.
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
