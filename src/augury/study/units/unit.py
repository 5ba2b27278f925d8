"""A unit of work: what it does, what it needs, and the key that names its result.

The key is a hash of everything that determines the result: the kind of work and the version of its
code, its parameters, and the keys of the units it needs. Two units with the same key are one unit;
a change anywhere changes the keys of everything that depends on it, and of nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from augury.study.results.plan_records import UnitRecord

# Called with a unit's progress, and its total.
Progress = Callable[[int, int], None]
Kind = Literal["train", "table", "measure", "finetune", "fit", "forecast", "score"]
# Raised when a new version of Augury gives another result for the same parameters: then units of
# that kind, and those that depend on them, are redone.
CODE: Mapping[str, int] = {
    "train": 1,
    "table": 1,
    "measure": 1,
    "finetune": 1,
    "fit": 2,
    "forecast": 2,
    "score": 1,
}
# Hexadecimal digits of a key: 2^80 keys, a collision among a million units has odds of 1e-12.
DIGITS = 20


@dataclass(frozen=True)
class Cost:
    """What a unit costs.

    Attributes:
        flops: floating-point operations.
        tokens: tokens trained on, scored or sampled; for sampling the maximum.
        seconds: estimated time on one core.
    """

    flops: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops, self.tokens + other.tokens, self.seconds + other.seconds
        )


@dataclass(frozen=True)
class StudyUnit:
    """One piece of work.

    Attributes:
        kind: what is done.
        label: for people.
        parameters: plain JSON that determines the result.
        needs: keys of the units whose results it reads, in the order it expects them.
        after: keys of units that have to be done before, though their results are not read: what is
            held out is measured after it is forecast. Not part of the key.
        places: paths that are read, by name; the digest of their content is in the parameters.
        cost: see `Cost`.
        cpus, gpus: what it uses while it runs.
        program: units with the same value share compiled programs within a process; empty if
            nothing is compiled. Not part of the key.
    """

    kind: Kind
    label: str
    parameters: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    cost: Cost = Cost()
    cpus: float = 1.0
    gpus: float = 0.0
    program: str = ""

    @cached_property
    def key(self) -> str:
        """Name of the result: a hash of kind, code version, parameters and needs."""
        return digest(
            {
                "kind": self.kind,
                "code": CODE[self.kind],
                "parameters": self.parameters,
                "needs": self.needs,
            }
        )

    @property
    def waits(self) -> tuple[str, ...]:
        """Return the keys of all that has to be done before."""
        return (*self.needs, *self.after)

    def record(self) -> UnitRecord:
        """Return what a worker is sent, and what the plan lists."""
        return UnitRecord(
            key=self.key,
            kind=self.kind,
            label=self.label,
            parameters=self.parameters,
            needs=self.needs,
            after=self.after,
            places=self.places,
            program=self.program,
            gpus=self.gpus,
        )


def digest(content: Any) -> str:
    """Hash plain JSON, independent of the order of its keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def ranks(units: Mapping[str, StudyUnit]) -> dict[str, float]:
    """Return the longest time from the start of each unit to the end of all that waits for it.

    Args:
        units: by key, each after all its dependencies.

    Returns:
        Seconds by key. Units with the longest time are best started first (Topcuoglu et al. 2002,
        HEFT).
    """
    behind = dict.fromkeys(units, 0.0)
    for key in reversed(list(units)):
        own = behind[key] = behind[key] + units[key].cost.seconds
        for before in units[key].waits:
            behind[before] = max(behind[before], own)
    return behind


def total(units: Iterable[StudyUnit]) -> Cost:
    """Sum the costs."""
    return sum((unit.cost for unit in units), Cost())
