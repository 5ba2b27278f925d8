"""Examples of a task: which are scored, which stop the finetuning, which are trained on.

The three sets never share a prompt. Examples of every (subset, amount) are drawn independently, not
as prefixes of one another: emergence laws give each such pair its own deviation, and nested subsets
would share theirs. The examples depend only on task, subset and amount, so every model learns from
the same ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from augury.errors import UsageError
from augury.evaluate import Task
from augury.lab import TASKS, Pair, lab_instances, lab_task

# Number of examples that decide when finetuning stops. They do not count as finetuning examples.
HELD_OUT = 256
# From a task in a file, at most this share stops the finetuning, and at most half is scored.
HELD_OUT_SHARE = 0.1
# If less than this share of a lab task's draws is free of scored prompts, it has too few prompts.
FEWEST_FREE = 0.1
# In the prompts of the lab's tasks.
SHOTS = {"rule": 1}


@dataclass(frozen=True)
class Source:
    """A task, split.

    Attributes:
        scored: what every model is scored on.
        held_out: what decides when finetuning stops.
        free: what may be trained on; None for a lab task, which is drawn afresh.
        shots: solved examples in a prompt.
    """

    scored: Task
    held_out: tuple[Pair, ...]
    free: tuple[Pair, ...] | None
    shots: int

    @property
    def digest(self) -> str:
        """Return what distinguishes this split."""
        free = "drawn" if self.free is None else self.free
        text = json.dumps([self.scored.digest, self.held_out, free])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def draw(self, subset: int, amount: int) -> list[Pair]:
        """Draw the examples of a subset of this size: distinct, unless it is a lab task.

        Raises:
            UsageError: there are not enough.
        """
        rng = np.random.default_rng([2, subset, amount])
        if self.free is not None:
            if amount > len(self.free):
                raise UsageError(
                    f"task '{self.scored.name}' has {len(self.free)} examples to learn from beside "
                    f"{len(self.scored.instances)} that are scored and {len(self.held_out)} that "
                    f"stop the finetuning: {amount} are too many"
                )
            return [self.free[i] for i in rng.permutation(len(self.free))[:amount]]
        taken = _prompts(self.scored) | {prompt for prompt, _ in self.held_out}
        return _fresh(self.scored.name, rng, amount, taken)


def source(
    task: str | Task, instances: int, shots: int | None = None, pool: Task | None = None
) -> Source:
    """Split a task.

    Args:
        task: a lab task by name, or your own task with references.
        instances: number to score. Your own task is split at random, at most in half.
        shots: solved examples in a prompt; by default 1 for the lab's "rule", else 0.
        pool: examples to learn from, if the whole task is scored; those that share a prompt with it
            are left out.

    Raises:
        UsageError: the task does not exist, has too few examples, or one has no reference.
    """
    if isinstance(task, str):
        if pool is not None:
            raise UsageError(f"the lab draws its own examples of '{task}': it takes no pool")
        return _lab_source(task, instances, shots)
    if instances < 1:
        raise UsageError(f"at least one instance must be scored, not {instances}")
    order = np.random.default_rng([3, len(task.instances)]).permutation(len(task.instances))
    if pool is None:
        scored = order[: min(instances, len(order) // 2)]
        rest = [task.instances[i] for i in order[len(scored) :]]
    else:
        scored = order[:instances]
        mixed = np.random.default_rng([3, len(pool.instances)]).permutation(len(pool.instances))
        rest = [pool.instances[i] for i in mixed]
    if not len(scored):
        raise UsageError(f"task '{task.name}' has one example: none would be left to learn from")
    kept = Task(
        task.name,
        tuple(task.instances[i] for i in sorted(scored)),
        task.chance,
        task.checker,
        task.length,
        task.stop,
    )
    for instance in rest:
        if not instance.answers or not instance.answers[0]:
            raise UsageError(
                f"instance '{instance.id}' of task '{task.name}' has no reference to learn"
            )
    taken = _prompts(kept)
    pairs = [(i.prompt, i.answers[0]) for i in rest if i.prompt not in taken]
    stop = min(HELD_OUT, max(int(HELD_OUT_SHARE * len(pairs)), 1))
    held_out, learnt = pairs[:stop], pairs[stop:]
    stopping = {prompt for prompt, _ in held_out}
    free = tuple(dict.fromkeys(pair for pair in learnt if pair[0] not in stopping))
    if not free:
        raise UsageError(
            f"task '{task.name}' has {len(task.instances)} examples: none is left to learn from "
            f"beside {len(scored)} that are scored and {len(held_out)} that stop the finetuning"
        )
    return Source(kept, tuple(held_out), free, shots or 0)


@lru_cache(maxsize=4)
def _lab_source(name: str, instances: int, shots: int | None) -> Source:
    lab_task(name)
    scored = lab_instances(name, instances)
    held_out = _fresh(name, np.random.default_rng([1]), HELD_OUT, _prompts(scored))
    return Source(scored, tuple(held_out), None, SHOTS.get(name, 0) if shots is None else shots)


def _prompts(task: Task) -> set[str]:
    return {instance.prompt for instance in task.instances}


def _fresh(name: str, rng: np.random.Generator, amount: int, taken: Iterable[str]) -> list[Pair]:
    """Draw instances of a lab task whose prompts are not taken."""
    taken = frozenset(taken)
    found: list[Pair] = []
    drawn = 0
    while len(found) < amount:
        wanted = max(amount - len(found), 64)
        pairs = TASKS[name].instances(rng, wanted)
        found += [pair for pair in pairs if pair[0] not in taken]
        drawn += wanted
        if len(found) < FEWEST_FREE * drawn:
            raise UsageError(
                f"task '{name}' has too few prompts: {drawn - len(found)} of {drawn} draws are "
                "scored or stop the finetuning; score fewer instances"
            )
    return found[:amount]
