"""The result of forecasting one curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from augury.display import Card, Shown
from augury.errors import UsageError
from augury.fitting import Status
from augury.fitting.space import Floats
from augury.laws import Law
from augury.notes import Note

# Degrees of freedom of errors around the forecast: later cuts of one curve are few and similar.
# With three, 90 % intervals held for 89 % of 46 development forecasts (docs/curves.md).
FREEDOM = 3.0


@dataclass(frozen=True)
class CurvePart:
    """One candidate, fitted to the whole curve.

    Attributes:
        weight: in the forecast.
        error: root mean square of its log errors at the later cuts; NaN if it could not be scored.
        law: the law; None for the last value, taken as the forecast.
        parameters: of the law; of the last value, `value`.
    """

    weight: float
    error: float
    law: Law | None
    parameters: Mapping[str, float]

    def at(self, inputs: Mapping[str, Floats]) -> Floats:
        """Return (m,) its value at points, from the inputs of its law by name."""
        if self.law is None:
            return np.full(len(next(iter(inputs.values()))), self.parameters["value"])
        own = {n: inputs[n] for n in self.law.inputs}
        return np.asarray(self.law(self.parameters, **own))


@dataclass(frozen=True)
class CurveForecast(Shown):
    """The forecast of a curve at points beyond its end.

    Attributes:
        x, y: names of the columns.
        at: (m,) points.
        values: (m,) the forecast, the weighted mean of the parts' logarithms.
        spreads: (m,) standard scale of the log error, which multiplies a Student t.
        spreads_below: (m,) the same below the forecast, if larger there: for a run whose learning
            rate may decay. Empty otherwise.
        level: of the intervals, which are for one value measured there, noise included.
        parts: the candidates by name, with their weights.
        cuts: one row per candidate, cut and point beyond it: law, cut (the last x fitted), x,
            observed, value.
        end: the last x that was seen.
        notes: warnings and remarks for the reader.
        release: loss released per decrease of the learning rate (`lr_drop`), for a run under a
            schedule; 0 otherwise.
    """

    x: str
    y: str
    at: tuple[float, ...]
    values: tuple[float, ...]
    spreads: tuple[float, ...]
    level: float
    parts: Mapping[str, CurvePart]
    cuts: pl.DataFrame
    end: float
    notes: tuple[Note, ...]
    release: float = 0.0
    spreads_below: tuple[float, ...] = ()

    @property
    def value(self) -> float:
        """The forecast at the last point asked for."""
        return self.values[-1]

    @property
    def interval(self) -> tuple[float, float]:
        """Its interval at `level`."""
        return self.intervals[-1]

    @property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """One interval per point, at `level`."""
        return self.intervals_at(self.level)

    def intervals_at(self, level: float) -> tuple[tuple[float, float], ...]:
        """Return intervals at another level, such as .5.

        Raises:
            UsageError: the level is not between 0 and 1.
        """
        if not 0.0 < level < 1.0:
            raise UsageError(f"level must lie between 0 and 1, not {level}")
        reach = float(stats.t.ppf(0.5 + level / 2, FREEDOM))
        return tuple(
            (v * float(np.exp(-reach * below)), v * float(np.exp(reach * above)))
            for v, below, above in zip(
                self.values, self.spreads_below or self.spreads, self.spreads, strict=True
            )
        )

    def probability_below(self, threshold: float) -> float:
        """Return the probability that the value at the last point lies below a threshold."""
        off = np.log(threshold / self.value)
        off /= (self.spreads_below or self.spreads)[-1] if off < 0 else self.spreads[-1]
        return float(stats.t.cdf(off, FREEDOM))

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every candidate."""
        return {name: part.weight for name, part in self.parts.items()}

    @property
    def law(self) -> str:
        """The candidate with the largest weight."""
        return max(self.parts, key=lambda name: self.parts[name].weight)

    @property
    def status(self) -> Status:
        """Always converged: forecasts are made or refused."""
        return Status.CONVERGED

    @property
    def remedy(self) -> str:
        return self.status.remedy

    @property
    def usable(self) -> bool:
        return True

    def line(self, inputs: Mapping[str, Sequence[float] | Floats]) -> Floats:
        """Return (m,) the forecast's own line, inside the data too, for plots.

        Args:
            inputs: what the candidates take by name, `{x: points}` for those with one input; for a
                run under a schedule, `lr_sum` and `lr_drop`.
        """
        arrays = {n: np.asarray(v, float) for n, v in inputs.items()}
        drop = arrays.get("lr_drop", np.zeros(1)) if self.release else np.zeros(1)
        line = blend([p.at(arrays) for p in self.parts.values()], [*self.weights.values()])
        return np.asarray(line - self.release * drop)

    def _card(self) -> Card:
        rows = [
            {self.x: x, self.y: value, "low": low, "high": high, "times the data": x / self.end}
            for x, value, (low, high) in zip(self.at, self.values, self.intervals, strict=True)
        ]
        told = ", ".join(
            f"{name} {part.weight:.0%}"
            for name, part in sorted(self.parts.items(), key=lambda pair: -pair[1].weight)
            if part.weight > 0
        )
        heading = (
            f"{self.y} beyond {self.x} = {self.end:.4g}, {self.level:.0%} intervals for one value "
            f"measured there; weights: {told}"
        )
        return Card(heading, pl.DataFrame(rows), self.notes)

    def __str__(self) -> str:
        lines = [self._card().heading]
        for x, value, (low, high) in zip(self.at, self.values, self.intervals, strict=True):
            lines.append(f"  {self.x}={x:.4g}: {value:.4g} [{low:.4g}, {high:.4g}]")
        return "\n".join([*lines, *(f"  {note.severity}: {note.message}" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {
            "x": self.x,
            "y": self.y,
            "end": self.end,
            "level": self.level,
            "final": {"value": self.value, "interval": list(self.interval), "level": self.level},
            "law": self.law,
            "weights": self.weights,
            "points": [
                {self.x: x, "value": value, "interval": list(interval)}
                for x, value, interval in zip(self.at, self.values, self.intervals, strict=True)
            ],
            "status": str(self.status),
            "notes": [{"code": n.code, "severity": n.severity, "message": n.message}
                      for n in self.notes],
        }  # fmt: skip


def blend(values: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """Return (m,) the weighted mean of the logarithms; candidates without weight do not count."""
    return np.asarray(
        np.exp(sum(w * np.log(v) for v, w in zip(values, weights, strict=True) if w > 0))
    )
