"""What a law is: a pure function of named, bounded parameters that does not depend on fitting.

A law declares what it takes (`inputs`, typed), what it returns (`output`), its parameters, which of
them enter linearly, the source of its formula, and the formula itself in `jax.numpy`. Everything
else (Jacobians, fits, intervals, storage, documentation, tests) is derived from that.

A formula sees one problem: scalars as parameters, arrays over the n rows as inputs. The engine maps
it over starts, resamples and groups; a law never sees a batch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import polars as pl

from augury.errors import UsageError
from augury.laws.inputs import Curve, Input, Share
from augury.runtime.compiling import jit

Array = Any
"""A NumPy or JAX array: a formula takes either."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a law.

    Attributes:
        start: (low, high), where starts are drawn. Its middle and half-width on `scale` are also
            the mean and standard deviation of the weak prior that a posterior uses.
        bounds: (low, high), which a fit never leaves.
        scale: "log" for positive parameters that range over orders of magnitude: they are fitted,
            and their intervals computed, as logarithms. "linear" for the rest.
        amplitude: whether the law is linear in this parameter, so that it need not be searched for.
        meaning: what it is, with its unit.
        per: a column such as "task": one value per value of that column, instead of one for all
            rows. The formula does not change.
        prior: (mean, standard deviation) of a weak normal prior in the fit itself, on `scale`
            (logarithms for "log"); None for no prior. For laws whose optimum is a valley.
    """

    start: tuple[float, float]
    bounds: tuple[float, float]
    scale: Literal["log", "linear"]
    amplitude: bool = False
    meaning: str = ""
    per: str | None = None
    prior: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not low <= self.start[0] < self.start[1] <= high:
            raise UsageError(f"start {self.start} must be a range inside the bounds {self.bounds}")
        if self.scale == "log" and low <= 0:
            raise UsageError(f"a parameter on the log scale needs positive bounds, not {low}")
        if self.prior is not None and not self.prior[1] > 0:
            raise UsageError(f"a prior needs a positive standard deviation, not {self.prior[1]}")


def positive(
    start: tuple[float, float],
    meaning: str = "",
    *,
    bounds: tuple[float, float] = (1e-12, 1e60),
    amplitude: bool = False,
    per: str | None = None,
    prior: tuple[float, float] | None = None,
) -> Parameter:
    """Declare a positive parameter on the log scale.

    Examples:
        >>> from augury.laws import positive
        >>> positive((0.1, 1.0), "exponent of parameters").scale
        'log'
    """
    return Parameter(start, bounds, "log", amplitude, meaning, per, prior)


def real(
    start: tuple[float, float],
    meaning: str = "",
    *,
    bounds: tuple[float, float] = (-1e6, 1e6),
    amplitude: bool = False,
    per: str | None = None,
    prior: tuple[float, float] | None = None,
) -> Parameter:
    """Declare a parameter on the linear scale; `bounds=(0, ...)` lets it vanish."""
    return Parameter(start, bounds, "linear", amplitude, meaning, per, prior)


def power(x: Array, exponent: Array) -> Array:
    """Raise positive x to an exponent, through logarithms.

    In a batched fit, thousands of problems share x and its logarithm is taken once; `exp` then
    costs 7 ms where `pow` costs 18 ms for 4,000 x 240 values on two cores.
    """
    import jax.numpy as jnp

    return jnp.exp(exponent * jnp.log(x))


# Number of points a compiled formula takes, or four, sixteen ... times as many. Few sizes are ever
# compiled: compiling takes .1 s, evaluating 1,000 points takes microseconds.
FEWEST = 1024


@dataclass(frozen=True)
class Law(ABC):
    """Base class of every law. A subclass is a frozen dataclass whose fields are its settings.

    Parameters are class attributes (`E = real(...)`), or the property `parameters` where they
    depend on settings; the same holds for inputs.

    Class attributes:
        name: how a user selects it (`augury fit --law NAME`).
        output: column of the observation table that it predicts.
        of_shares: whether it predicts shares between 0 and 1, so that percent scores are an error.
        equation: LaTeX.
        source: paper and equation, or "ours".

    Examples:
        >>> law = augury.law("kaplan")
        >>> list(law.inputs), law.output
        (['params', 'tokens'], 'loss')
        >>> print(law.source)
        Kaplan et al. 2020 (arXiv 2001.08361), eq. 1.5
    """

    name: ClassVar[str]
    output: ClassVar[str]
    of_shares: ClassVar[bool] = False
    equation: ClassVar[str]
    source: ClassVar[str]
    _declared: ClassVar[Mapping[str, Parameter]] = {}

    def __init_subclass__(cls) -> None:
        own = {n: x for n, x in vars(cls).items() if isinstance(x, Parameter)}
        cls._declared = {**cls._declared, **own}

    @property
    @abstractmethod
    def inputs(self) -> Mapping[str, Input]:
        """Inputs by name, in the order of the table's columns."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Parameters by name, in a fixed order."""
        return self._declared

    @abstractmethod
    def formula(self, p: Any, x: Any) -> Array:
        """Compute the law's predictions.

        Args:
            p: the parameters as attributes, scalars.
            x: the inputs as attributes: (n,) arrays, (n, k) for shares, (n, T) for curves.

        Returns:
            (n,) predictions.
        """

    @property
    def defaults(self) -> Mapping[str, float]:
        """Return the inputs that may be missing from a table, with their default values."""
        return {n: i.default for n, i in self.inputs.items() if i.default is not None}

    def bind(self, table: pl.DataFrame) -> Law:
        """Return the law for a table, where some of its settings depend on the table."""
        del table
        return self

    def guess(self, inputs: Mapping[str, Array], y: Array) -> Mapping[str, tuple[float, float]]:
        """Return start ranges that the data suggest, by parameter, in place of the general ones."""
        return {}

    def start_points(self, inputs: Mapping[str, Array], y: Array) -> Sequence[Mapping[str, float]]:
        """Return complete points to start from besides the search: values of all non-amplitudes."""
        return ()

    def __call__(self, parameters: Mapping[str, Array], **inputs: Array) -> Array:
        """Evaluate at parameters and inputs, which broadcast against each other.

        Args:
            parameters: name -> a number or an array.
            inputs: name -> a number or an array; shares and curves have one more axis, the last.

        Returns:
            Predictions, of the broadcast shape.

        Raises:
            UsageError: an input is missing or unknown.
        """
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
        core = [0] * len(self.parameters) + [
            int(isinstance(kind, Share | Curve)) for kind in self.inputs.values()
        ]
        outer = [x.shape[: x.ndim - k] for x, k in zip(values, core, strict=True)]
        shape = np.broadcast_shapes(*outer)
        size = math.prod(shape)
        if size == 0:
            return np.empty(shape)
        room = FEWEST
        while room < size:
            room *= 4

        def flat(x: Any, k: int, at: int) -> Any:
            if x.ndim == k and at < len(self.parameters):
                return x
            own = x.shape[x.ndim - k :]
            wide = np.broadcast_to(x, (*shape, *own)).reshape(size, *own)
            return np.resize(wide, (room, *own))

        laid = [flat(x, k, at) for at, (x, k) in enumerate(zip(values, core, strict=True))]
        mapped = tuple(None if x.ndim == k else 0 for x, k in zip(laid, core, strict=True))
        with jax.enable_x64(True):
            out = _compiled(self, mapped)(*laid)
        return np.broadcast_to(np.asarray(out), (room,))[:size].reshape(shape)

    @property
    def grouping(self) -> str | None:
        """The column its per-group parameters refer to; None if it has none."""
        found = {p.per for p in self.parameters.values() if p.per is not None}
        if len(found) > 1:
            raise UsageError(f"law '{self.name}' has parameters per {' and '.join(sorted(found))}")
        return found.pop() if found else None

    @property
    def settings(self) -> dict[str, Any]:
        """The fields that define this law; `law(name, **settings)` rebuilds it."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def example(self, n: int = 120, seed: int = 0) -> Example:
        """Return inputs over some decades and sensible parameters, for tests and docs.

        Args:
            n: number of rows.
            seed: of the inputs.
        """
        rng = np.random.default_rng(seed)
        middle = {
            name: float(np.sqrt(p.start[0] * p.start[1])) if p.scale == "log" else sum(p.start) / 2
            for name, p in self.parameters.items()
        }
        inputs = {
            name: np.full(n, kind.default) if kind.default is not None else kind.draw(rng, n)
            for name, kind in self.inputs.items()
        }
        return Example(middle, inputs)

    def __str__(self) -> str:
        changed = [
            f"{f.name}={_setting_text(getattr(self, f.name))}"
            for f in fields(self)
            if getattr(self, f.name) != f.default
        ]
        return self.name + (":" + ",".join(changed) if changed else "")


class Example(NamedTuple):
    """Sensible parameters and inputs of a law."""

    parameters: dict[str, float]
    inputs: dict[str, Array]


class Named:
    """Parameters as a formula takes them, in one vector: `p.alpha`, or several at once, `p[names]`.

    A joint law has hundreds of parameters; with one operation for each, XLA would take seconds to
    compile.
    """

    def __init__(self, names: Iterable[str], values: Array) -> None:
        self._values = values
        self._at = {name: j for j, name in enumerate(names)}

    def __getattr__(self, name: str) -> Array:
        try:
            return self._values[self._at[name]]
        except KeyError:
            raise AttributeError(f"no parameter {name!r}") from None

    def __getitem__(self, names: Sequence[str]) -> Array:
        return self._values[np.array([self._at[name] for name in names])]


def attributes(names: Iterable[str], values: Iterable[Any]) -> SimpleNamespace:
    """Bundle parameters or inputs as a formula takes them."""
    return SimpleNamespace(**dict(zip(names, values, strict=True)))


def _setting_text(value: Any) -> str:
    """Write a setting as the command line takes it."""
    return ";".join(map(str, value)) if isinstance(value, tuple) else str(value)


@lru_cache(maxsize=64)
def _compiled(law: Law, mapped: tuple[int | None, ...]) -> Any:
    """Compile the formula over flat points: parameters, then inputs.

    If no parameter is an array, the points are rows of one problem; otherwise each point is a
    problem.
    """
    import jax

    names = list(law.parameters)
    count = len(names)

    def rows(*values: Any) -> Any:
        return law.formula(
            attributes(names, values[:count]), attributes(law.inputs, values[count:])
        )

    if all(axis is None for axis in mapped[:count]):
        return jit(rows)

    def one(*values: Any) -> Any:
        return rows(*values[:count], *(x[None] for x in values[count:]))[0]

    return jit(jax.vmap(one, mapped))
