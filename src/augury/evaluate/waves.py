"""Which instance gets how many samples next: a function of the counts alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augury.evaluate.pass_counts import Method
from augury.evaluate.run_plan import RunPlan
from augury.evaluate.tasks import Task

# Tokens of one wave: limits the memory of a tree (4 bytes each, times a small factor for copies),
# and what a killed run repeats.
WAVE_TOKENS: dict[Method, int] = {"tree": 2**22, "independent": 2**17, "importance": 2**15}
# Minimum and maximum samples of an instance's first batch: in between, as many as it takes to fill
# a wave of this many samples with the open instances.
FIRST: dict[Method, tuple[int, int]] = {
    "tree": (256, 4096),
    "independent": (32, 512),
    "importance": (32, 256),
}
FILL: dict[Method, int] = {"tree": 2**16, "independent": 2**12, "importance": 2**10}
# Size of an instance's next batch relative to its samples so far: a tree shares more in larger
# draws, and at least half of all independent samples are always useful.
GROWTH: dict[Method, int] = {"tree": 3, "independent": 1, "importance": 1}
# Share of the instances that each wave of a budget goes to: those about which least is known.
NEEDIEST = 0.25
# First batches of a budget use an eighth of it: they decide where the rest goes.
BUDGET_LOOKS = 8


class RunCounts:
    """Passes, samples and batches of every instance so far; with a proposal, the weights of passes.

    Args:
        task: its instances.
        plan: when an instance is done.

    Attributes:
        passes, samples, batches: (n,) counts.
        logs: per instance, log-weights of its passes.
        own: (n, 2) draws that the model itself wrote, and how many of them passed.
        examples: for instances that passed, a text that did.
        tokens: drawn, or paid for, so far; counted if the plan caps them.
    """

    def __init__(self, task: Task, plan: RunPlan) -> None:
        self._task, self._plan = task, plan
        n = len(task.instances)
        self.passes = np.zeros(n, np.int64)
        self.samples = np.zeros(n, np.int64)
        self.batches = np.zeros(n, np.int64)
        self.logs: list[list[float]] = [[] for _ in range(n)]
        self.own = np.zeros((n, 2), np.int64)
        self.examples: dict[str, str] = {}
        self.tokens = 0

    @property
    def open(self) -> NDArray[np.bool_]:
        """Return (n,) which instances are neither done nor at their cap."""
        return (self.passes < self._plan.r) & (self.samples < self._plan.max_samples)

    def left(self, i: int) -> float:
        """Return the passes that an instance still needs."""
        return float(self._plan.r - self.passes[i])

    @property
    def expected_left(self) -> float:
        """Return the samples that open instances still need at their current pass rates."""
        plan, going = self._plan, self.open
        if plan.budget is not None:
            return float(plan.budget - self.samples.sum())
        rates = (self.passes[going] + 0.5) / (self.samples[going] + 1.0)
        wanted = (plan.r - self.passes[going]) / rates
        return float(np.minimum(wanted, plan.max_samples - self.samples[going]).sum())

    def add(self, wave: list[list[Any]], tokens: int = 0) -> None:
        """Count a wave that was drawn."""
        self.tokens += tokens
        for i, _, passes, used, example, *weighted in wave:
            for kept in weighted:
                self.logs[i] += kept["log_weights"]
                self.own[i] += kept["own"]
            self.passes[i] += passes
            self.samples[i] += used
            self.batches[i] += 1
            if example is not None:
                self.examples.setdefault(self._task.instances[i].id, example)

    def next_wave(self) -> list[tuple[int, int]]:
        """Return instances and samples of the next wave; none when all are done."""
        plan = self._plan
        index = np.arange(len(self.passes))
        going = np.flatnonzero(self.open)
        left = math.inf
        fill = FILL[plan.method] // max(len(going), 1)
        first = min(max(fill, FIRST[plan.method][0]), FIRST[plan.method][1])
        if plan.budget is None:
            order = going[np.lexsort((index[going], self.batches[going]))]
        else:
            left = plan.budget - int(self.samples.sum())
            first = min(first, max(plan.budget // (BUDGET_LOOKS * len(index)), 1))
            needy = going[np.lexsort((index[going], self.samples[going], self.passes[going]))]
            order = needy[: max(1, math.ceil(NEEDIEST * len(index)))]
        room = max(WAVE_TOKENS[plan.method] // self._task.tokens, 1)
        if plan.max_tokens is not None:  # a sample takes its full length at most
            affordable = (plan.max_tokens - self.tokens) // self._task.tokens
            room = min(room, affordable)
            looks = plan.max_tokens // (BUDGET_LOOKS * len(index) * self._task.tokens)
            first = min(first, max(looks, 1))
        wave: list[tuple[int, int]] = []
        for i in order.tolist():
            have = int(self.samples[i])
            wanted = max(first, GROWTH[plan.method] * have)
            n = int(min(wanted, room, plan.max_samples - have, left))
            if n < min(wanted, plan.max_samples - have) and wave:
                break  # a batch is not cut if this wave lacks room: it opens the next one
            if n < 1:
                break
            wave.append((i, n))
            room -= n
            left -= n
        return wave
