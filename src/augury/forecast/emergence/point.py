"""The point of emergence, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from augury.data.scores import ABOVE_CHANCE
from augury.display import Card, Shown
from augury.errors import UsageError
from augury.forecast.emergence.observations import Scale, progress_of
from augury.forecast.emergence.result import (
    EmergenceFit,
    EmergenceStatus,
    interval_of,
)
from augury.forecast.emergence.search import Floats
from augury.forecast.emergence.straightness import check_straight
from augury.notes import Note

Definition = Literal["elbow", "above"]


@dataclass(frozen=True)
class EmergencePoint(Shown):
    """Where the few-shot ability appears.

    Attributes:
        value: posterior median; loss in nats per token, or FLOPs. NaN if everything is at chance.
        interval: (low, high) at `level`, equal-tailed. If everything is at chance, it says only
            that the point is beyond the best checkpoint.
        level: such as 0.9.
        scale: "loss" or "flops".
        definition: "elbow", or "above" with its `distance` above the base.
        distance: distance of "above"; None for the elbow.
        law: the law, or the laws averaged with their weights.
        status: whether the data determine it; `status.remedy` says what to do if not.
        notes: warnings and remarks for the reader.
        methods: the result of each law alone: name -> (value, low, high).
    """

    value: float
    interval: tuple[float, float]
    level: float
    scale: Scale
    definition: Definition
    distance: float | None
    law: str
    status: EmergenceStatus
    notes: tuple[Note, ...]
    methods: Mapping[str, tuple[float, float, float]]

    def _card(self) -> Card:
        all_laws = {self.law: (self.value, *self.interval)} | dict(self.methods)
        unit = "nats per token" if self.scale == "loss" else "FLOPs"
        how = "elbow" if self.distance is None else f"{self.distance:g} above chance"
        remedy = (self.status.remedy,) if self.status.remedy else ()
        return Card(
            f"Point of emergence ({how}), {unit}, {self.level:.0%} intervals: {self.status}",
            pl.DataFrame([{"law": law, "value": value, "low": low, "high": high}
                          for law, (value, low, high) in all_laws.items()]),
            (*remedy, *self.notes),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return point{value, interval, level}, law, status, notes and methods, for JSON."""

        def number(x: float) -> float | None:
            return float(x) if np.isfinite(x) else None

        def point(value: float, low: float, high: float) -> dict[str, Any]:
            return {
                "value": number(value),
                "interval": [number(low), number(high)],
                "level": self.level,
            }

        return {
            "point": point(self.value, *self.interval),
            "scale": self.scale,
            "definition": self.definition,
            "distance": self.distance,
            "law": self.law,
            "status": str(self.status),
            "remedy": self.status.remedy,
            "notes": [
                {
                    "code": note.code,
                    "severity": note.severity,
                    "message": note.message,
                    "details": dict(note.details),
                }
                for note in self.notes
            ],
            "methods": {name: point(*three) for name, three in self.methods.items()},
        }

    def __str__(self) -> str:
        unit = "nats per token" if self.scale == "loss" else "FLOPs"
        low, high = self.interval
        what = "The few-shot score leaves chance at"
        if self.definition == "above":
            what = f"The few-shot score is {self.distance:g} above chance at"
        if self.status is EmergenceStatus.AT_CHANCE:
            lines = [f"{self.status}. {self.status.remedy}"]
        else:
            lines = [
                f"{what} {_told(self.value)} {unit}, {self.level:.0%} [{_told(low)}, {_told(high)}]"
                + ("" if self.status is EmergenceStatus.ANSWERED else f" ({self.status})")
            ]
        lines += [
            f"  by {name}: {_told(value)} [{_told(low)}, {_told(high)}]"
            for name, (value, low, high) in self.methods.items()
        ]
        lines += [f"  {note.severity}: {note.message}" for note in self.notes]
        return "\n".join(lines)


def _told(x: float) -> str:
    """Format a loss or FLOPs; infinite if the score never gets there."""
    return f"{x:.4g}" if np.isfinite(x) else "never"


def emergence_point(
    fit: EmergenceFit,
    definition: Definition = "elbow",
    *,
    distance: float | None = None,
    level: float | None = None,
) -> EmergencePoint:
    """Estimate where the few-shot score will leave chance.

    Args:
        fit: from `fit_emergence`.
        definition: "elbow", where the curve bends; or "above", where the expected score is
            `distance` above its base, the more useful of the two where curves bend slowly.
        distance: a score difference, such as .03 (the default of "above").
        level: level of the interval; the fit's own by default.

    Returns:
        An `EmergencePoint`, in nats per token or FLOPs, with the result of each law alone. "above"
        is not answered if scores bend upwards past their elbow, or if much of the distance from the
        elbow lies beyond the best checkpoint.

    Raises:
        UsageError: an option is unknown or out of range.

    Source: Snell et al. 2024 (arXiv 2411.16035) for the elbow; "above" is ours.

    Examples:
        >>> study = augury.emergence_data(augury.read_table("sweep.csv"))
        >>> point = augury.emergence_point(augury.fit_emergence(study, laws="relu"))
        >>> print(f"{point.value:.1f} nats per token")
        1.9 nats per token
    """
    level = fit.level if level is None else level
    if not 0 < level < 1:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    distance = distance_of(definition, distance)
    scale, status, notes = fit.data.scale, fit.status, fit.notes
    if status is EmergenceStatus.AT_CHANCE:
        best = float(fit.data.place[np.argmax(fit.data.progress)])
        value, low, high = np.nan, *((-np.inf, best) if scale == "loss" else (best, np.inf))
        methods = {}
    else:
        if distance is not None and status is EmergenceStatus.ANSWERED:
            status, why = check_straight(fit, distance)
            notes = (*notes, *why)
        value, low, high = interval_of(fit.point_draws(distance=distance), level, scale)
        methods = {
            str(f.law): interval_of(fit.law_draws(k, distance=distance), level, scale)
            for k, f in enumerate(fit.fits)
        }
    return EmergencePoint(
        value=value,
        interval=(low, high),
        level=level,
        scale=scale,
        definition=definition,
        distance=distance,
        law=fit.law,
        status=status,
        notes=notes,
        methods=methods,
    )


def distance_of(definition: str, distance: float | None) -> float | None:
    """Check a definition and return its distance, None for the elbow."""
    if definition not in ("elbow", "above"):
        raise UsageError(f"no definition is called '{definition}'; there are: elbow, above")
    if definition == "elbow":
        if distance is not None:
            raise UsageError("distance belongs to definition='above'")
        return None
    distance = ABOVE_CHANCE if distance is None else distance
    if not distance > 0:
        raise UsageError(f"distance must be positive, not {distance}")
    return distance


def probability_emerged(
    fit: EmergenceFit,
    place: float | Floats,
    *,
    definition: Definition = "elbow",
    distance: float | None = None,
) -> float:
    """Return the probability that a model with loss (or FLOPs) `place` has emerged.

    Args:
        fit: from `fit_emergence`.
        place: a number, or (S,) draws of a planned model's loss (`reach.planned_losses`).
        definition, distance: as in `emergence_point`.

    Raises:
        UsageError: everything is at chance, so nothing is known beyond the checkpoints.
    """
    _said(fit)
    points = fit.point_draws(distance=distance_of(definition, distance))
    own = progress_of(np.asarray(place, float), fit.data.scale)
    if own.ndim == 0:
        return float(np.mean(points <= own))
    # Compare all pairs: the two are independent.
    return float(np.mean(np.searchsorted(np.sort(points), own, side="right") / len(points)))


@dataclass(frozen=True)
class Order:
    """Which of two studies emerges first.

    Attributes:
        first: name of the one that emerges at the higher loss (or fewer FLOPs).
        probability: probability that this order is right.
        difference: median difference, in nats (or as a ratio of FLOPs).
        interval: interval of the difference, at `level`.
        level: such as 0.9.
        sure: whether the probability reaches the level; if not, the data do not decide.
    """

    first: str
    probability: float
    difference: float
    interval: tuple[float, float]
    level: float
    sure: bool

    def __str__(self) -> str:
        low, high = self.interval
        told = (
            f"{self.first} emerges first with probability {self.probability:.0%} "
            f"(by {self.difference:.3g}, {self.level:.0%} [{low:.3g}, {high:.3g}])"
        )
        return told if self.sure else f"The data cannot say which emerges first: {told}"


def emerges_first(
    a: EmergenceFit,
    b: EmergenceFit,
    *,
    names: tuple[str, str] = ("the first", "the second"),
    definition: Definition = "elbow",
    distance: float | None = None,
) -> Order:
    """Compare two studies of one task: which pretraining corpus emerges first.

    Args:
        a, b: fits on the same scale. Losses must be on the same validation set to be comparable.
        names: names of the two, for messages.
        definition, distance: as in `emergence_point`.

    Raises:
        UsageError: the scales differ, or all scores of one are at chance.
    """
    if a.data.scale != b.data.scale:
        raise UsageError(f"cannot compare a point in {a.data.scale} with one in {b.data.scale}")
    for fit in (a, b):
        _said(fit)
    reach = distance_of(definition, distance)
    ours, theirs = a.point_draws(distance=reach), b.point_draws(distance=reach)
    # Points that are never reached compare as equal: neither is first.
    finite = np.isfinite(ours) | np.isfinite(theirs)
    gap = np.where(finite, np.nan_to_num(theirs, posinf=1e9) - np.nan_to_num(ours, posinf=1e9), 0.0)
    gap = np.random.default_rng(0).permutation(gap)
    sooner = float(np.mean(gap > 0) + 0.5 * np.mean(gap == 0))
    if sooner < 0.5:
        gap, sooner, names = -gap, 1 - sooner, names[::-1]
    tail = (1 - a.level) / 2
    low, middle, high = np.quantile(gap, [tail, 0.5, 1 - tail])
    told = [low, middle, high] if a.data.scale == "loss" else [10.0**x for x in (low, middle, high)]
    return Order(
        first=names[0],
        probability=sooner,
        difference=float(told[1]),
        interval=(float(told[0]), float(told[2])),
        level=a.level,
        sure=sooner >= a.level,
    )


def _said(fit: EmergenceFit) -> None:
    if fit.status is EmergenceStatus.AT_CHANCE:
        raise UsageError(f"{fit.status}: nothing is known about the point. {fit.status.remedy}")
