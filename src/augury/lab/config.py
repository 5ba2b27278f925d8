"""What to train: one frozen record per run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from augury.data.compute import training_flops
from augury.errors import UsageError
from augury.lab.corpus import LENGTH
from augury.lab.model import ModelConfig
from augury.lab.tasks import lab_task

BATCH = 64
# Steps per compiled call, drawn from one random stream: a run resumes at a multiple of it.
BLOCK = 50


@dataclass(frozen=True)
class RunConfig:
    """One training run.

    Attributes:
        model: its shape.
        steps: optimiser steps of 64 documents of 32 tokens; a multiple of 50.
        seed: of weights and data.
        shares: share of documents by task; the rest is filler.
        checkpoints: steps at which to save, multiples of 50; the last is always saved.
        family: name of the series.

    Raises:
        UsageError: a number is out of range, or a task unknown.
    """

    model: ModelConfig
    steps: int = 1000
    seed: int = 0
    shares: Mapping[str, float] = field(default_factory=lambda: {"rule": 0.6})
    checkpoints: tuple[int, ...] = ()
    family: str = "lab"

    def __post_init__(self) -> None:
        if self.steps <= 0 or self.steps % BLOCK:
            raise UsageError(f"steps must be a positive multiple of {BLOCK}, not {self.steps}")
        for step in self.checkpoints:
            if step <= 0 or step % BLOCK or step > self.steps:
                raise UsageError(
                    f"checkpoints must be multiples of {BLOCK} up to {self.steps}, not {step}"
                )
        if self.seed < 0:
            raise UsageError(f"seed must not be negative, but is {self.seed}")
        for name, share in self.shares.items():
            lab_task(name)
            if not (math.isfinite(share) and share >= 0):
                raise UsageError(f"the share of '{name}' must be from 0 to 1, not {share}")
        if sum(self.shares.values()) > 1 + 1e-9:
            raise UsageError(f"shares must sum to at most 1, not {sum(self.shares.values()):g}")
        if not self.family or "/" in self.family or self.family.startswith("."):
            raise UsageError(f"family names a folder, and {self.family!r} cannot")

    @property
    def name(self) -> str:
        """The model: family and width."""
        return f"{self.family}-w{self.model.width}"

    @property
    def run(self) -> str:
        """The run: model and seed. Also its folder in a ladder."""
        return f"{self.name}-seed-{self.seed}"

    @property
    def saves(self) -> list[int]:
        """Return the steps at which a checkpoint is written, earliest first."""
        return sorted({*self.checkpoints, self.steps})

    @property
    def mixture(self) -> str:
        """Describe what the documents consist of."""
        rest = 1 - sum(self.shares.values())
        parts = [f"{name} {share:g}" for name, share in self.shares.items() if share]
        return ", ".join([*parts, f"filler {rest:g}"] if rest > 1e-9 else parts)

    def tokens(self, step: int) -> float:
        """Training tokens seen after `step` steps."""
        return float(step * BATCH * LENGTH)

    def flops(self, step: int) -> float:
        """Training compute after `step` steps, 6 N D with all parameters."""
        return training_flops(float(self.model.params), self.tokens(step))

    def same_run(self, other: RunConfig) -> bool:
        """Return whether both train the same weights; when they save does not matter."""
        return replace(self, checkpoints=()) == replace(other, checkpoints=())

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> RunConfig:
        """Build from plain JSON.

        Raises:
            TypeError, KeyError, UsageError: it is not such a record.
        """
        values = dict(record)
        values["model"] = ModelConfig(**values["model"])
        values["checkpoints"] = tuple(values["checkpoints"])
        return cls(**values)
