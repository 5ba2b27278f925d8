"""What every answer to a question has: numbers with intervals, a status, and notes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from augury.display import Shown
from augury.errors import UsageError
from augury.fitting import Fit
from augury.fitting.space import Floats
from augury.forecast.prediction import interval_of, known
from augury.notes import Note

# An answer farther than this many ranges beyond the data counts as far: as in
# `Forecast.extrapolation`.
FAR = 1.0


class AnswerStatus(StrEnum):
    """How a question ended."""

    ANSWERED = "answered"
    FAR = "answered, far beyond the data"
    OPEN = "the data do not determine it"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _REMEDIES[self]


_REMEDIES = {
    AnswerStatus.ANSWERED: "",
    AnswerStatus.FAR: "Measure a point nearer to the one asked for before you rely on it.",
    AnswerStatus.OPEN: "Add runs at other scales, or ask about a point nearer to the data.",
}


# If an upper end is this many times the value, the data set no limit.
UNBOUNDED = 1e6


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; NaN if the data give none."""

    value: float
    interval: tuple[float, float]

    @classmethod
    def of_draws(cls, value: float, draws: Floats, level: float) -> Estimate:
        """Build it from (S,) draws: an equal-tailed interval that contains the value.

        Draws that are NaN have no answer; if there are too many of them for a meaningful interval
        (more than its tails hold), its ends are NaN.
        """
        tail = (1.0 - level) / 2.0
        good = draws[~np.isnan(draws)]
        if len(good) == 0 or len(good) < (1.0 - tail) * len(draws):
            return cls(float(value), (np.nan, np.nan))
        low, high = interval_of(good[:, None], np.array([value]), tail)[:, 0]
        return cls(float(value), (float(low), float(high)))

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {"value": known(self.value), "interval": [known(x) for x in self.interval]}

    def __str__(self) -> str:
        low, high = self.interval
        if np.isnan(low):
            return f"{self.value:.4g} (no interval)"
        upper = "no upper limit" if high > UNBOUNDED * abs(self.value) else f"{high:.4g}"
        return f"{self.value:.4g} [{low:.4g}, {upper}]"


@dataclass(frozen=True)
class Answer(Shown):
    """Base class of the answers, with what they have in common.

    Attributes:
        level: of the intervals.
        status: how it ended; `remedy` says what to do.
        notes: warnings and remarks for the reader.
        seed: of all randomness in it.
    """

    level: float
    status: AnswerStatus
    notes: tuple[Note, ...]
    seed: int

    @property
    def remedy(self) -> str:
        return self.status.remedy

    @property
    def usable(self) -> bool:
        """Whether its numbers are meaningful."""
        return self.status is not AnswerStatus.OPEN

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""

    def about(self) -> dict[str, Any]:
        """Return what all answers have in common, ready for JSON."""
        return {
            "level": self.level,
            "status": str(self.status),
            "remedy": self.remedy,
            "notes": [
                {"code": n.code, "severity": n.severity, "message": n.message,
                 "details": dict(n.details)}
                for n in self.notes
            ],
            "seed": self.seed,
        }  # fmt: skip


def require_usable(fitted: Any, takes: Sequence[str]) -> Fit:
    """Return the fit, if a question can be asked about it.

    Raises:
        UsageError: it is not a fit of one law, its parameters are meaningless, or its law takes
            none of what the question varies.
    """
    if not isinstance(fitted, Fit):
        raise UsageError(f"this question takes a fit of one law, not {type(fitted).__name__}")
    lacking = [name for name in takes if name not in fitted.law.inputs]
    if lacking:
        raise UsageError(
            f"this question needs a law of {' and '.join(takes)}; '{fitted.law}' takes "
            f"{', '.join(fitted.law.inputs)}"
        )
    if not fitted.usable:
        raise UsageError(f"the fit is {fitted.status}: {fitted.status.remedy}")
    return fitted


def parameter_columns(fitted: Fit, most: int | None = None) -> dict[str, Floats]:
    """Return best parameters and draws as (1 + S, 1) columns by name, the best first.

    Args:
        fitted: any fit; without draws, only the best parameters are returned.
        most: at most this many draws, evenly picked.
    """
    draws = fitted.draws
    if most is not None and len(draws) > most:
        draws = draws[np.linspace(0, len(draws) - 1, most).round().astype(int)]
    best = np.array([[fitted.parameters[name] for name in fitted.parameters]])
    both = np.concatenate([best, draws.reshape(len(draws), best.shape[1])])
    names = list(fitted.parameters)
    return {name: both[:, names.index(name), None] for name in fitted.law.parameters}


def status_at(extrapolation: float) -> tuple[AnswerStatus, list[Note]]:
    """Return the status of an answer at this distance beyond the data, and its note."""
    if not extrapolation > FAR:
        return AnswerStatus.ANSWERED, []
    said = (
        f"The answer lies {extrapolation:.1f} observed ranges beyond the data"
        if np.isfinite(extrapolation)
        else "The answer lies where an input that never varied would have to change"
    )
    details: Mapping[str, Any] = {"extrapolation": known(extrapolation)}
    return AnswerStatus.FAR, [Note("far", "warning", f"{said}.", details)]
