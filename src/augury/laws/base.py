"""What a law is: a pure function of named, bounded parameters that knows nothing of fitting.

A law says what it takes (`inputs`, columns of the observation table), what it gives (`output`),
which parameters it has, which of them enter linearly, where its formula comes from, and the formula
itself in `jax.numpy`. Everything else (Jacobians, fits, intervals, storage, documentation, tests)
is derived from that.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import numpy as np

from augury.errors import UsageError
from augury.runtime.compiling import jit

Array = Any
"""A NumPy or JAX array: a formula takes either."""

INPUT_UNITS: Mapping[str, str] = {
    "params": "non-embedding parameters N",
    "tokens": "pretraining tokens seen D",
    "flops": "training compute C, floating-point operations",
    "loss": "pretraining validation loss, nats per token",
    "bpb": "bits per byte of the right answer",
    "finetune_examples": "finetuning examples",
    "chance": "score of a guesser",
}
"""The columns laws take, with their units. Any other positive column may be named with `over=`."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a law.

    Attributes:
        start: (low, high), where starts are drawn; its middle and half-width on `scale` are also
            the mean and the standard deviation of the weak prior that a posterior uses.
        bounds: (low, high), which a fit never leaves.
        scale: "log" for positive parameters that range over orders of magnitude: they are fitted,
            and their intervals formed, as logarithms. "linear" for the rest.
        amplitude: the law is linear in this parameter, so that it need not be searched for.
        meaning: what it is, with its unit.
    """

    start: tuple[float, float]
    bounds: tuple[float, float]
    scale: Literal["log", "linear"]
    amplitude: bool = False
    meaning: str = ""

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not low <= self.start[0] < self.start[1] <= high:
            raise UsageError(f"start {self.start} must be a range inside the bounds {self.bounds}")
        if self.scale == "log" and low <= 0:
            raise UsageError(f"a parameter on the log scale needs positive bounds, not {low}")


def positive(
    start: tuple[float, float],
    meaning: str = "",
    *,
    bounds: tuple[float, float] = (1e-12, 1e60),
    amplitude: bool = False,
) -> Parameter:
    """A positive parameter on the log scale."""
    return Parameter(start, bounds, "log", amplitude, meaning)


def real(
    start: tuple[float, float],
    meaning: str = "",
    *,
    bounds: tuple[float, float] = (-1e6, 1e6),
    amplitude: bool = False,
) -> Parameter:
    """A parameter on the linear scale; `bounds=(0, ...)` lets it vanish."""
    return Parameter(start, bounds, "linear", amplitude, meaning)


def power(x: Array, exponent: Array) -> Array:
    """Raise positive x to an exponent, through logarithms.

    In a batched fit x is shared by thousands of problems and its logarithm is taken once; `exp`
    then costs 7 ms where `pow` costs 18 ms for 4,000 x 240 values on two cores.
    """
    import jax.numpy as jnp

    return jnp.exp(exponent * jnp.log(x))


# Points a compiled formula takes, or four, sixteen ... times as many: few sizes are ever compiled,
# which takes .1 s, where evaluating 1,000 points takes microseconds.
FEWEST = 1024


@dataclass(frozen=True)
class Law(ABC):
    """Base of every law. A subclass is a frozen dataclass whose fields are its settings.

    Class attributes:
        name: how a user asks for it (`augury fit --law NAME`).
        output: column of the observation table that it predicts.
        equation: LaTeX.
        source: paper and equation, or "ours".
        defaults: inputs that may be missing from a table, with the value they then have.
    """

    name: ClassVar[str]
    output: ClassVar[str]
    equation: ClassVar[str]
    source: ClassVar[str]
    defaults: ClassVar[Mapping[str, float]] = {}

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """The columns it takes, in the order of the formula's arguments."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Parameter]:
        """Its parameters by name, in a fixed order."""

    @abstractmethod
    def formula(self, p: Any, *inputs: Array) -> Array:
        """The law: `p` has the parameters as attributes; inputs are (n,) arrays; returns (n,)."""

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        """Start ranges that the data suggest, by parameter, in place of the general ones."""
        return {}

    def __call__(self, parameters: Mapping[str, Array], **inputs: Array) -> Array:
        """Evaluate at `parameters` (name -> float) and inputs ((n,) floats): (n,) predictions."""
        missing = [name for name in self.inputs if name not in inputs and name not in self.defaults]
        unknown = [name for name in inputs if name not in self.inputs]
        if missing or unknown:
            raise UsageError(
                f"law '{self.name}' takes {', '.join(self.inputs)}"
                + (f"; missing {', '.join(missing)}" if missing else "")
                + (f"; does not take {', '.join(unknown)}" if unknown else "")
            )
        import jax

        values = [
            np.asarray(x, float)
            for x in (
                *(parameters[n] for n in self.parameters),
                *(inputs[n] if n in inputs else self.defaults[n] for n in self.inputs),
            )
        ]
        shape = np.broadcast_shapes(*(x.shape for x in values))
        size = math.prod(shape)
        if size == 0:
            return np.empty(shape)
        room = FEWEST
        while room < size:
            room *= 4
        flat = [np.resize(np.broadcast_to(x, shape).ravel(), room) if x.ndim else x for x in values]
        with jax.enable_x64(True):
            out = _compiled(self)(*flat)
        return np.broadcast_to(np.asarray(out), (room,))[:size].reshape(shape)

    @property
    def settings(self) -> dict[str, Any]:
        """The fields that make this law what it is; `law(name, **settings)` builds it again."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __str__(self) -> str:
        changed = [
            f"{f.name}={getattr(self, f.name)}"
            for f in fields(self)
            if getattr(self, f.name) != f.default
        ]
        return self.name + (":" + ",".join(changed) if changed else "")


@lru_cache(maxsize=64)
def _compiled(law: Law) -> Any:
    """The formula, compiled: parameters, then inputs, numbers or (n,) arrays."""
    names = list(law.parameters)

    def evaluate(*values: Any) -> Any:
        own = SimpleNamespace(**dict(zip(names, values, strict=False)))
        return law.formula(own, *values[len(names) :])

    return jit(evaluate)
