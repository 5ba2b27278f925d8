"""From a table to the optimiser's input: points, weights, and which rows are one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.data import run_ids
from augury.data.scores import has_counts, suited_likelihood
from augury.errors import DataError, UsageError
from augury.fitting.likelihoods import Likelihood, Points, likelihood_for
from augury.fitting.optimise import Prior
from augury.fitting.space import Floats, Space
from augury.laws import Grouped, Law
from augury.laws.inputs import Curve, Group, numbers_of

# How far outside 0 to 1 noise may push a share: assumed; percent scores are far outside.
STRAY = 0.5


@dataclass(frozen=True)
class Problem:
    """One law, one likelihood, one set of points.

    Attributes:
        table: one row per point: `row` in the user's table (from 1), `run`, the law's inputs, `y`
            (the value predicted) and `trials` (1 where there are no counts).
        points: the same as arrays, (1, n).
        runs: (n,) int, from 0: rows of one training run share a number.
        noise: the objective divided by minus the log-likelihood, which weighs the law's own weak
            priors; 0 leaves them out.
    """

    law: Law
    likelihood: Likelihood
    table: pl.DataFrame
    points: Points
    runs: NDArray[np.int64]
    noise: float = 0.0

    @property
    def space(self) -> Space:
        return Space.of(self.law, self.likelihood.nuisance)

    @property
    def prior(self) -> Prior:
        """Return the law's weak priors in the fit's coordinates, on the objective's scale."""
        parameters = [*self.law.parameters.values(), *self.likelihood.nuisance.values()]
        mean, precision = np.zeros((1, len(parameters))), np.zeros((1, len(parameters)))
        for j, p in enumerate(parameters):
            if p.prior is not None:
                mean[0, j], precision[0, j] = p.prior[0], self.noise / p.prior[1] ** 2
        return Prior(mean, precision)

    @property
    def has_priors(self) -> bool:
        """Whether the law holds some of its parameters by weak priors."""
        return any(p.prior is not None for p in self.law.parameters.values())

    @property
    def size(self) -> int:
        """Number of points n."""
        return len(self.runs)

    @property
    def run_count(self) -> int:
        return int(self.runs.max()) + 1

    @property
    def ones(self) -> Floats:
        """(1, n) weights of 1."""
        return np.ones((1, self.size))


def problem_of(
    law: Law,
    data: pl.DataFrame | Mapping[str, Any],
    likelihood: Likelihood | str | None = None,
    *,
    output: str | None = None,
    by: Sequence[str] = (),
) -> Problem:
    """Check a table against what a law and a likelihood need, and build the problem from it.

    Args:
        law: the law to be fitted.
        data: observation table, or columns by name.
        likelihood: see `likelihood_for`.
        output: column predicted, if it is not the law's own.
        by: columns that distinguish groups, if there are several; they are kept.

    Raises:
        DataError: a column is missing, or a value is null, not finite or out of range.
        UsageError: the table holds several tasks or metrics, or no counts where they are needed, or
            a name was given in place of the table.
    """
    given: object = data
    if isinstance(given, str):
        raise UsageError(
            f"'{given}' was given where the table belongs: the law comes first, then the table"
        )
    table = data if isinstance(data, pl.DataFrame) else pl.DataFrame(dict(data))
    if table.is_empty():
        raise DataError("there are no rows to fit", expected="at least one row")
    law = _bind_law(law, table)
    by = (*by, law.per) if isinstance(law, Grouped) else by
    likelihood = likelihood_for(law, likelihood, suited=suited_likelihood(table))
    target = output or (law.output if law.output in table.columns else "value")
    if target == "value":
        _check_single_kind(table, by)
    row = table["row"] if "row" in table.columns else np.arange(1, table.height + 1)
    numbered = table.with_columns(pl.Series("row", row), pl.Series("run", run_ids(table)))
    trials = np.ones(table.height)
    if likelihood.counts:
        y, trials = _read_counts(numbered, likelihood)
    elif target not in table.columns and has_counts(table):
        y, trials = _read_counts(numbered, likelihood)
        trials = np.ones(table.height)
    else:
        y = _read_column(numbered, target, positive=likelihood.on_log)
    if law.of_shares:
        _check_shares(numbered, target, y)
    inputs: dict[str, Any] = {}
    for name, kind in law.inputs.items():
        values = kind.read(numbered, name)
        columns = kind.columns(name, table.columns)
        if isinstance(kind, Group):
            inputs[name] = numbered[name].cast(pl.String)
        elif isinstance(kind, Curve):
            inputs[name] = pl.Series(name, list(values))
        elif values.ndim == 2:
            inputs |= {column: values[:, j] for j, column in enumerate(columns)}
        else:
            inputs[name] = values
    used = pl.DataFrame(
        {"row": numbered["row"], "run": numbered["run"], **inputs, "y": y, "trials": trials}
    ).with_columns(table.select(pl.col(key).alias(f"by_{key}") for key in by))
    if target != "value" and "metric" in table.columns:
        # A table of scores repeats the loss of a checkpoint once per task: one point, not twenty.
        used = used.unique(
            ["run", *inputs, "y", *(f"by_{k}" for k in by)], keep="first", maintain_order=True
        )
    return problem_from(law, likelihood, used)


def _bind_law(law: Law, table: pl.DataFrame) -> Law:
    """Bind the law to this table: its domains, and its groups if it has parameters per group."""
    law = law.bind(table)
    if law.grouping is None or isinstance(law, Grouped):
        return law
    if law.grouping not in table.columns:
        raise DataError(
            f"law '{law}' has parameters per {law.grouping}",
            column=law.grouping,
            expected=f"a column {law.grouping}",
        )
    groups = table[law.grouping].cast(pl.String).unique(maintain_order=True).drop_nulls().to_list()
    return Grouped(law, law.grouping, tuple(groups))


def problem_from(law: Law, likelihood: Likelihood, used: pl.DataFrame) -> Problem:
    """Build the problem from a table in the format of `Problem.table`."""
    _, runs = np.unique(used["run"].to_numpy(), return_inverse=True)
    points = Points(
        tuple(kind.read(used, name)[None] for name, kind in law.inputs.items()),
        used["y"].to_numpy()[None],
        used["trials"].to_numpy()[None],
    )
    return Problem(law, likelihood, used, points, runs.astype(np.int64))


def _check_single_kind(table: pl.DataFrame, by: Sequence[str]) -> None:
    for column in ("task", "metric"):
        if column not in by and column in table.columns and (kinds := table[column].n_unique()) > 1:
            some = ", ".join(map(str, table[column].unique().sort().to_list()[:4]))
            raise UsageError(
                f"the table holds {kinds} {column}s ({some}{' ...' if kinds > 4 else ''}); "
                f"a fit takes one: choose it with where=\"{column} = '...'\", or use fit_many"
            )


def _read_column(table: pl.DataFrame, name: str, *, positive: bool) -> Floats:
    values = numbers_of(table, name)
    column = table[name]
    bad = ~np.isfinite(values) | ((values <= 0) if positive else np.zeros(len(values), bool))
    if bad.any():
        i = int(np.argmax(bad))
        raise DataError(
            "the value is missing" if column[i] is None else "the value cannot be fitted",
            row=int(table["row"][i]),
            column=name,
            value=column[i],
            expected="a positive finite number" if positive else "a finite number",
        )
    return values


def goes_negative(y: Floats) -> bool:
    """Tell whether the scores can be negative: not shares, and not shares in percent."""
    return bool((y < -STRAY).any() and not (y > 1 + STRAY).any())


def _check_shares(table: pl.DataFrame, name: str, y: Floats) -> None:
    """Refuse scores that cannot be noisy shares: in percent, or of another kind."""
    bad = (y < -STRAY) | (y > 1 + STRAY)
    if not bad.any():
        return
    i = int(np.argmax(bad))
    high = bool((y > 1 + STRAY).any())
    raise DataError(
        "the law gives shares between 0 and 1; this is not one",
        row=int(table["row"][i]),
        column=name,
        value=float(y[i]),
        expected=f"shares; --scale {name}=0.01 if they are in percent"
        if high
        else "a share; a score that can be negative takes another law",
    )


def _read_counts(table: pl.DataFrame, likelihood: Likelihood) -> tuple[Floats, Floats]:
    """Return rates and trials from `passes` and `samples`, or from `value` and `n`."""
    if has_counts(table):
        trials = _read_column(table, "samples", positive=True)
        return _read_column(table, "passes", positive=False) / trials, trials
    if {"value", "n"} <= set(table.columns):
        y, trials = (
            _read_column(table, "value", positive=False),
            _read_column(table, "n", positive=True),
        )
        bad = (y < 0) | (y > 1)
        if bad.any():
            i = int(np.argmax(bad))
            raise DataError(
                "the value is not a rate",
                row=int(table["row"][i]),
                column="value",
                value=float(y[i]),
                expected="a share between 0 and 1 of n trials",
            )
        return y, trials
    raise UsageError(
        f"the {likelihood.name} likelihood needs counts: columns passes and samples, or value and n"
    )
