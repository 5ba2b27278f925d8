"""The result of a fit: frozen data that says how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import polars as pl

from augury.display import Card, Shown
from augury.fitting.likelihoods import Likelihood
from augury.fitting.space import Floats, Space
from augury.laws import Law
from augury.notes import Note


class Status(StrEnum):
    """How a fit ended."""

    CONVERGED = "converged"
    NO_INTERVALS = "converged, no intervals"
    AT_BOUND = "parameter at its bound"
    NOT_IDENTIFIABLE = "not identifiable"
    NO_START_CONVERGED = "no start converged"

    @property
    def usable(self) -> bool:
        """Whether the parameters are meaningful."""
        return self in (Status.CONVERGED, Status.NO_INTERVALS, Status.AT_BOUND)

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _REMEDIES[self]


_REMEDIES = {
    Status.CONVERGED: "",
    Status.NO_INTERVALS: (
        "The law passes through these runs, which leaves nothing to estimate the noise from: add "
        "runs at other scales, or use a law with fewer parameters."
    ),
    Status.AT_BOUND: (
        "The best value of a parameter lies outside its bounds, often a floor below 0: use a law "
        "without that parameter, or more scales; its interval is one-sided."
    ),
    Status.NOT_IDENTIFIABLE: (
        "Many parameter values fit these runs equally well. Add runs at other scales, or use a "
        "law with fewer parameters; a forecast from this fit is a guess."
    ),
    Status.NO_START_CONVERGED: (
        "Check the units of the inputs (params and tokens as plain numbers, not millions), look "
        "for wrong rows, and try another law."
    ),
}


@dataclass(frozen=True)
class Fit(Shown):
    """A fitted law.

    Attributes:
        law, likelihood: what was fitted, and how residuals were weighed.
        parameters: best value of every parameter, the likelihood's own included.
        objective: what was minimised, at the best value (`likelihood.objective` names it).
        status: how it ended; `status.remedy` says what to do.
        notes: warnings and remarks for the reader.
        draws: (S, P) joint draws of the parameters, in the order of `parameters`.
        uncertainty: how the draws were made: "bootstrap", "laplace", "nuts" or "none".
        level: of the intervals reported, such as 0.9.
        residuals: (R,) how far single runs lie from the law, in the likelihood's predictor (log
            units for losses): each run's mean, corrected for the parameters fitted to it.
        data: the points fitted: row, run, the law's inputs, y, trials.
        diagnostics: condition, starts_agree, converged_draws, and with NUTS rhat and ess by name.
        seed: of all randomness in it.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> fitted = augury.fit("chinchilla", runs)
        >>> print(fitted.status)
        converged
        >>> low, high = fitted.intervals["E"]
        >>> print(f"E between {low:.2f} and {high:.2f} nats per token")
        E between 1... and 1... nats per token
    """

    law: Law
    likelihood: Likelihood
    parameters: Mapping[str, float]
    objective: float
    status: Status
    notes: tuple[Note, ...]
    draws: Floats
    uncertainty: str
    level: float
    residuals: Floats
    data: pl.DataFrame
    diagnostics: Mapping[str, Any]
    seed: int

    @property
    def n(self) -> int:
        """Number of points."""
        return self.data.height

    @property
    def run_count(self) -> int:
        """Number of training runs behind the points."""
        return self.data["run"].n_unique()

    @property
    def space(self) -> Space:
        return Space.of(self.law, self.likelihood.nuisance)

    @property
    def usable(self) -> bool:
        """Whether the parameters are meaningful."""
        return self.status.usable

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return the equal-tailed interval of every parameter at `level`; NaN without draws."""
        return self.intervals_at(self.level)

    def intervals_at(self, level: float) -> dict[str, tuple[float, float]]:
        """Return equal-tailed intervals of the parameters at another level, such as 0.95."""
        if len(self.draws) == 0:
            return dict.fromkeys(self.parameters, (np.nan, np.nan))
        tail = (1.0 - level) / 2.0
        low, high = np.quantile(self.draws, [tail, 1.0 - tail], axis=0)
        return {
            name: (float(a), float(b))
            for name, a, b in zip(self.parameters, low, high, strict=True)
        }

    def _card(self) -> Card:
        meaning = self.law.parameters
        rows = [
            {
                "parameter": name,
                "value": value,
                "low": self.intervals[name][0],
                "high": self.intervals[name][1],
                "meaning": meaning[name].meaning if name in meaning else "of the noise",
            }
            for name, value in self.parameters.items()
        ]
        heading = (
            f"{self.law} on {self.n} points of {self.run_count} runs: {self.status} "
            f"({self.level:.0%} intervals, {self.uncertainty})"
        )
        remedy = (self.status.remedy,) if self.status.remedy else ()
        return Card(heading, pl.DataFrame(rows), (*remedy, *self.notes))

    def to_inference_data(self) -> Any:
        """Convert the draws to ArviZ, for its plots and diagnostics.

        Returns:
            An `arviz.InferenceData` (a `DataTree` from ArviZ 1.0 on): `posterior` with every
            parameter by (chain, draw), `observed_data` with y, `constant_data` with the inputs.
            Laplace and bootstrap draws form one chain.

        Raises:
            UsageError: ArviZ is not installed, or the fit has no draws.
        """
        from augury.fitting.inference_data import inference_data

        return inference_data(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but draws and data, ready for JSON."""
        return {
            "law": str(self.law),
            "likelihood": self.likelihood.name,
            "n": self.n,
            "runs": self.run_count,
            "params": dict(self.parameters),
            "objective": self.objective,
            "status": str(self.status),
            "remedy": self.status.remedy,
            "level": self.level,
            "uncertainty": self.uncertainty,
            "intervals": {name: list(pair) for name, pair in self.intervals.items()},
            "notes": [
                {
                    "code": note.code,
                    "severity": note.severity,
                    "message": note.message,
                    "details": dict(note.details),
                }
                for note in self.notes
            ],
            "diagnostics": dict(self.diagnostics),
            "seed": self.seed,
        }

    def __str__(self) -> str:
        lines = [f"{self.law} on {self.n} points of {self.run_count} runs: {self.status}"]
        for name, value in self.parameters.items():
            low, high = self.intervals[name]
            told = f"{self.level:.0%} [{low:.5g}, {high:.5g}]" if low <= high else "no interval"
            lines.append(f"  {name:8s} {value:12.6g}   {told}")
        lines += [f"  {note.severity}: {note.message}" for note in self.notes]
        return "\n".join(lines)
