"""What a law takes: typed inputs, each with its unit, allowed values, and distance scale.

This one place drives the checks of a table, the distance beyond the data, `augury laws`, and the
tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.errors import DataError

Floats = NDArray[np.float64]
# Shares of one row may miss a sum of 1 by this much: tables round to three digits.
SHARE_TOLERANCE = 0.02


@dataclass(frozen=True)
class Input(ABC):
    """Base class of every input.

    Attributes:
        unit: what it is, with its unit.
        default: value if a table has none; None if it is required.
        example: (low, high) sensible range, for examples and tests.
    """

    unit: str = ""
    default: float | None = None
    example: tuple[float, float] = (1.0, 10.0)

    def columns(self, name: str, available: Sequence[str]) -> list[str]:
        """Return the columns of a table that hold it."""
        del available
        return [name]

    @abstractmethod
    def check(self, values: Floats) -> tuple[NDArray[np.bool_], str]:
        """Return (n,) whether each value is allowed, and a description of what is expected."""

    def transform(self, values: Floats) -> Floats:
        """Map values to the scale on which distances beyond the data are measured."""
        return values

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw (n,) values over the example's range."""
        low, high = self.example
        return rng.uniform(low, high, n)

    def read(self, table: pl.DataFrame, name: str) -> Floats:
        """Read (n,) values from a table, or (n, k).

        Args:
            table: with a column `row`, which errors refer to.
            name: of the input.

        Raises:
            DataError: the column is missing, or a value is not allowed.
        """
        if self.default is not None and name not in table.columns:
            return np.full(table.height, self.default)
        values = numbers_of(table, name, fill=self.default)
        good, expected = self.check(values)
        _refuse_rows(table, name, np.isfinite(values) & good, expected)
        return values


@dataclass(frozen=True)
class Positive(Input):
    """A positive number that ranges over orders of magnitude."""

    example: tuple[float, float] = (1e7, 1e10)

    def check(self, values: Floats) -> tuple[NDArray[np.bool_], str]:
        return values > 0, "a positive finite number"

    def transform(self, values: Floats) -> Floats:
        return np.log(values)

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        low, high = np.log(self.example)
        return np.exp(rng.uniform(low, high, n))


@dataclass(frozen=True)
class Fraction(Input):
    """A number above 0 and up to 1."""

    example: tuple[float, float] = (0.05, 1.0)

    def check(self, values: Floats) -> tuple[NDArray[np.bool_], str]:
        return (values > 0) & (values <= 1), "a number above 0, up to 1"

    def transform(self, values: Floats) -> Floats:
        return np.log(values)


@dataclass(frozen=True)
class NonNegative(Input):
    """A number that may be 0, such as shots or repeated epochs beyond the first."""

    def check(self, values: Floats) -> tuple[NDArray[np.bool_], str]:
        return values >= 0, "0 or a positive finite number"

    def transform(self, values: Floats) -> Floats:
        return np.log1p(values)


@dataclass(frozen=True)
class Real(Input):
    """Any finite number."""

    example: tuple[float, float] = (-1.0, 1.0)

    def check(self, values: Floats) -> tuple[NDArray[np.bool_], str]:
        return np.isfinite(values), "a finite number"


@dataclass(frozen=True)
class Share(Input):
    """Shares of a mixture: the columns `NAME_*`, as one (n, k) array; a share of 0 is fine.

    Attributes:
        per: what the shares refer to, such as "domain".
        labels: names of the k shares, without the prefix, in order; empty until a law is bound to a
            table.
    """

    per: str = "domain"
    labels: tuple[str, ...] = ()

    def columns(self, name: str, available: Sequence[str]) -> list[str]:
        if self.labels:
            return [f"{name}_{label}" for label in self.labels]
        return [c for c in available if c.startswith(f"{name}_")]

    def check(self, values: Floats) -> tuple[NDArray[np.bool_], str]:
        total = values.sum(-1)
        good = np.asarray((values >= 0).all(-1) & (np.abs(total - 1.0) <= SHARE_TOLERANCE))
        return good, "shares of at least 0 that sum to 1"

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        return rng.dirichlet(np.ones(max(len(self.labels), 2)), n)

    def read(self, table: pl.DataFrame, name: str) -> Floats:
        columns = self.columns(name, table.columns)
        if not columns:
            raise DataError(
                "the table has no mixture shares",
                column=f"{name}_*",
                expected=f"one column per {self.per}, such as {name}_web",
            )
        values = np.stack([numbers_of(table, column) for column in columns], 1)
        for j, column in enumerate(columns):
            one = values[:, j]
            _refuse_rows(table, column, np.isfinite(one) & (one >= 0), "a share between 0 and 1")
        good, expected = self.check(values)
        if not good.all():
            i = int(np.argmin(good))
            raise DataError(
                "the shares of the row do not sum to 1",
                row=int(table["row"][i]),
                column=f"{name}_*",
                value=float(values[i].sum()),
                expected=expected,
            )
        return values


@dataclass(frozen=True)
class Curve(Input):
    """An array per row, such as a learning-rate schedule: a list column of equal lengths.

    Attributes:
        axis: the axis of the array, such as "step".
        points: length T, for examples.
    """

    axis: str = "step"
    points: int = 32

    def check(self, values: Floats) -> tuple[NDArray[np.bool_], str]:
        return np.asarray(np.isfinite(values).all(-1)), "a list of finite numbers"

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        low, high = self.example
        return np.sort(rng.uniform(low, high, (n, self.points)))[:, ::-1].copy()

    def read(self, table: pl.DataFrame, name: str) -> Floats:
        if name not in table.columns or not isinstance(table[name].dtype, pl.List | pl.Array):
            raise DataError(
                "is not a column of lists",
                column=name,
                expected=f"one list per row, one value per {self.axis}",
            )
        lists = table[name].cast(pl.List(pl.Float64))
        lengths = lists.list.len().fill_null(0).to_numpy()
        _refuse_rows(table, name, lengths == lengths[0], f"lists of the same length, {lengths[0]}")
        values = np.array(lists.to_list(), float)
        good, expected = self.check(values)
        _refuse_rows(table, name, good, expected)
        return values


@dataclass(frozen=True)
class Group(Input):
    """The group of a row, as an index into `labels`.

    Attributes:
        labels: values of the column, in order.
    """

    labels: tuple[str, ...] = ()

    def check(self, values: Floats) -> tuple[NDArray[np.bool_], str]:
        return values >= 0, f"one of {', '.join(self.labels[:8])}"

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        return rng.integers(max(len(self.labels), 1), size=n).astype(float)

    def read(self, table: pl.DataFrame, name: str) -> Floats:
        if name not in table.columns:
            raise DataError("the column is missing", column=name, expected="the group of each row")
        place = {label: float(i) for i, label in enumerate(self.labels)}
        values = np.array([place.get(str(v), -1.0) for v in table[name].to_list()])
        good, expected = self.check(values)
        _refuse_rows(table, name, good, expected)
        return values


# The columns that laws take, with their units and a sensible range.
KNOWN: dict[str, Input] = {
    "params": Positive("non-embedding parameters N", example=(1e7, 1e10)),
    "tokens": Positive("pretraining tokens seen D", example=(1e9, 1e12)),
    "unique_tokens": Positive("distinct tokens U, not counting repeats", example=(1e9, 1e11)),
    "flops": Positive("training compute C, floating-point operations", example=(1e18, 1e23)),
    "loss": Positive("pretraining validation loss, nats per token", example=(1.6, 3.6)),
    "bpb": Positive("bits per byte of the correct answer", example=(0.5, 2.0)),
    "finetune_examples": Positive("finetuning examples", example=(1e2, 1e6)),
    "batch_size": Positive("tokens per optimiser step", example=(1e5, 4e6)),
    "steps": Positive("optimiser steps", example=(1e3, 1e5)),
    "params_mean": Positive("parameters in use, averaged over tokens", example=(1e7, 1e10)),
    "vocabulary_params": Positive("parameters of the embedding", example=(1e6, 1e9)),
    "learning_rate": Positive("peak learning rate", example=(1e-4, 1e-2)),
    "params_active": Positive("active parameters per token", example=(1e7, 1e10)),
    "experts": Positive("experts per routed layer; 1 for a dense model", example=(1.0, 512.0)),
    "streams": Positive("parallel streams P; 1 for an ordinary model", example=(1.0, 64.0)),
    "sampling_share": Fraction("share of training on the task"),
    "chance": Real("score of random guessing", default=0.0, example=(0.0, 0.0)),
}


def input_named(name: str) -> Input:
    """Return the input of a column named by a setting such as `over`: known, or any positive."""
    return KNOWN.get(name, Positive())


def numbers_of(table: pl.DataFrame, name: str, *, fill: float | None = None) -> Floats:
    """Read (n,) numbers from a column, NaN where null.

    Raises:
        DataError: the column does not exist, or does not hold numbers.
    """
    if name not in table.columns:
        raise DataError(
            "the column is missing",
            column=name,
            expected=f"one of the table's columns ({', '.join(table.columns[:12])}) mapped to it",
        )
    column = table[name]
    if not column.dtype.is_numeric():
        raise DataError("is not a column of numbers", column=name, expected="numbers")
    values = column.cast(pl.Float64)
    return values.fill_null(np.nan if fill is None else fill).to_numpy()


def _refuse_rows(table: pl.DataFrame, name: str, good: Any, expected: str) -> None:
    """Raise an error that names the first row whose value is not allowed.

    Raises:
        DataError: there is such a row.
    """
    if not np.all(good):
        i = int(np.argmin(good))
        value = table[name][i]
        raise DataError(
            "the value is missing" if value is None else "the value cannot be fitted",
            row=int(table["row"][i]) if "row" in table.columns else i + 1,
            column=name,
            value=value,
            expected=expected,
        )
