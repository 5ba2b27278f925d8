"""Fit the moved curve: where the few-shot ability will appear, compared with a control.

The control is the same curve with the same prior, fitted to the few-shot rows alone. Finetuning has
to earn its cost, so the result says by how much it narrowed the interval.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from augury.display import Card, Shown
from augury.errors import UsageError
from augury.forecast.emergence.ensemble import STEPS, EnsembleDraws, Floats, run_ensemble
from augury.forecast.emergence.moved_curve import MovedCurve, MovedParameters, MovedStudy
from augury.forecast.emergence.moved_families import find_families
from augury.forecast.emergence.moved_status import MovedStatus
from augury.forecast.emergence.observations import EmergenceData, Scale, place_of
from augury.forecast.emergence.premise import Premise, check_premise
from augury.forecast.emergence.result import EmergenceStatus
from augury.forecast.emergence.thin import risen, too_thin
from augury.notes import Note

# Default of "above".
ABOVE = 0.1
# Above this R-hat the walkers have not mixed and are run again for longer.
MIXED, LONGER = 1.05, 3
# Steps of walkers that start inside the bulk of the posterior.
FEWER = 1000
# An interval wider than the range of the checkpoints and than this (nats, decades) says little.
LEAST_RANGE = {"loss": 0.4, "flops": 1.0}
# The shift rests on its prior if the data leave this share of the prior's spread. Of twelve
# simulated studies (tests/moved_studies.py) ten kept .13 to .51 of it, one that was all at chance
# kept .80, and the only one with this status kept .89.
LEARNED = 0.7
# A task teaches others if its few-shot rows are this many standard errors above the base.
RISEN = 3.5


@dataclass(frozen=True)
class MovedFit(Shown):
    """The moved curve fitted to one task.

    Attributes:
        study: the data.
        draws: posterior draws.
        control: the fit to few-shot rows alone; None if there are too few.
        premise: whether scores depend on the loss.
        status: how it ended; `status.remedy` says what to do.
        notes: warnings and remarks for the reader.
        level: level of the intervals.
        seed: seed of all random numbers.
    """

    study: MovedStudy
    draws: EnsembleDraws
    control: EnsembleDraws | None
    premise: Premise
    status: MovedStatus
    notes: tuple[Note, ...]
    level: float
    seed: int

    @property
    def scale(self) -> Scale:
        return self.study.data.scale

    @property
    def data(self) -> EmergenceData:
        """The data that were fitted."""
        return self.study.data

    @property
    def remedy(self) -> str:
        """What to do about the status, preceded by its reason if a rule decided it."""
        ruled = self.status in (MovedStatus.PREMISE, MovedStatus.UNCLEAR)
        return f"{self.premise}. {self.status.remedy}" if ruled else self.status.remedy

    @property
    def usable(self) -> bool:
        """Whether the point is meaningful."""
        return self.status is MovedStatus.ANSWERED

    def point_draws(self, distance: float = ABOVE, *, control: bool = False) -> Floats:
        """(S,) losses or FLOPs at which few-shot scores are `distance` above their base.

        Minus infinity (plus infinity for FLOPs) where a draw never gets there.

        Raises:
            UsageError: no score can be that far above chance.
        """
        self._check_distance(distance)
        curve, p = self._natural(control=control)
        return _on_scale(curve, progress_at(p, distance), p)

    def elbow_draws(self) -> Floats:
        """(S,) losses or FLOPs of the elbow: where the steepest tangent meets the base."""
        curve, p = self._natural(control=False)
        return _on_scale(curve, p.e0 - 2.0 * p.w, p)

    def point(
        self, distance: float = ABOVE, *, level: float | None = None
    ) -> tuple[float, float, float]:
        """Median and equal-tailed interval of `point_draws`.

        Where everything is at chance: NaN, with an interval beyond the best checkpoint.
        """
        if self._at_chance:
            self._check_distance(distance)
            return self._beyond()
        return _summary(self.point_draws(distance), level or self.level)

    def elbow(self, *, level: float | None = None) -> tuple[float, float, float]:
        """Median and equal-tailed interval of `elbow_draws`; at chance as for `point`."""
        if self._at_chance:
            return self._beyond()
        return _summary(self.elbow_draws(), level or self.level)

    def control_point(
        self, distance: float = ABOVE, *, level: float | None = None
    ) -> tuple[float, float, float] | None:
        """The same point from few-shot rows alone; None if they are too few."""
        if self.control is None:
            return None
        if self._at_chance:
            return self.point(distance)
        return _summary(self.point_draws(distance, control=True), level or self.level)

    def probability_per_run(self, place: Floats | float, distance: float = ABOVE) -> float:
        """Probability that one run of the planned model has the ability.

        Args:
            place: its loss or FLOPs: a number, or (S,) draws if they are uncertain.
            distance: score above the base that counts as having the ability.

        The luck of a single run is included; near the threshold runs differ.

        Raises:
            UsageError: everything is at chance, so nothing is known beyond the checkpoints.
        """
        if self._at_chance:
            raise UsageError(f"{self.status}: nothing is known about the point. {self.remedy}")
        _, p = self._natural(control=False)
        rng = np.random.default_rng(self.seed)
        count = len(p.e0)
        at = np.broadcast_to(np.asarray(place, float), (count,)) if np.ndim(place) == 0 else (
            rng.choice(np.asarray(place, float), count)
        )  # fmt: skip
        with np.errstate(all="ignore"):
            reducible = np.maximum(at - p.floor, 1e-12)
            x = np.log10(at) if self.scale == "flops" else -np.log(reducible)
            family = p.family * rng.standard_normal(count) * (self.study.families > 1)
            above = p.height * expit((x - p.e0 - family) / p.w)
        luck = np.hypot(p.luck, p.run) * rng.standard_normal(count)
        return float(np.mean(above + luck > distance))

    @property
    def _at_chance(self) -> bool:
        """Whether no score is above chance; draws of the point are then those of the prior."""
        return self.status is MovedStatus.AT_CHANCE

    def _beyond(self) -> tuple[float, float, float]:
        """A point without a value, with an interval beyond the best checkpoint."""
        best = float(place_of(self.data.progress.max(), self.scale))
        return (np.nan, -np.inf, best) if self.scale == "loss" else (np.nan, best, np.inf)

    def _check_distance(self, distance: float) -> None:
        chance = self.data.base
        if not 0 < distance < 1.0 - chance:
            raise UsageError(
                f"the distance above chance must lie between 0 and {1.0 - chance:g}, since chance "
                f"is {chance:g}, not {distance:g}"
            )

    def _natural(self, *, control: bool) -> tuple[MovedCurve, MovedParameters]:
        drawn = self.control if control else self.draws
        if drawn is None:
            raise UsageError("there are too few few-shot rows for a control")
        curve = MovedCurve(few_shot_only(self.study) if control else self.study)
        return curve, curve.natural(drawn.z)

    def judged_at(self, distance: float) -> MovedFit:
        """The same fit with the status for this distance; `status` is for .1."""
        curve, p = self._natural(control=False)
        if self.usable and distance != ABOVE and _is_vague(curve, p, self.level, distance):
            return replace(self, status=MovedStatus.VAGUE)
        return self

    def to_dict(self, distance: float = ABOVE) -> dict[str, Any]:
        """For JSON: point, elbow, status, premise, control, and how much finetuning narrowed."""
        own = self.judged_at(distance)
        control = self.control_point(distance)
        point = self.point(distance)
        narrowed = None
        if control is not None and np.isfinite([*control, *point]).all():
            before, after = (self._width(x) for x in (control, point))
            narrowed = 1.0 - after / before if before > 0 else None
        return {
            "point": _named(point, self.level),
            "elbow": _named(self.elbow(), self.level),
            "scale": self.scale,
            "definition": "above",
            "distance": distance,
            "law": "moved",
            "status": str(own.status),
            "remedy": own.remedy,
            "premise": self.premise.to_dict(),
            "control": None if control is None else _named(control, self.level),
            "narrowed": narrowed,
            "notes": [
                {
                    "code": n.code,
                    "severity": n.severity,
                    "message": n.message,
                    "details": dict(n.details),
                }
                for n in self.notes
            ],
        }

    def _width(self, three: tuple[float, float, float]) -> float:
        low, high = three[1:]
        return high - low if self.scale == "loss" else float(np.log10(high / low))

    def _card(self) -> Card:
        point, elbow, control = self.point(), self.elbow(), self.control_point()
        named = {f"{ABOVE:g} above chance": point, "elbow": elbow}
        if control is not None:
            named["few-shot rows alone"] = control
        unit = "nats per token" if self.scale == "loss" else "FLOPs"
        return Card(
            f"Point of emergence, {unit}, {self.level:.0%} intervals: {self.status}",
            pl.DataFrame(
                [{"what": k, "value": v, "low": a, "high": b} for k, (v, a, b) in named.items()]
            ),
            (*((self.remedy,) if self.remedy else ()), *self.notes),
        )

    def __str__(self) -> str:
        return self.describe()

    def describe(self, distance: float = ABOVE) -> str:
        """The answer as lines: point, elbow, control, premise, notes."""
        unit = "nats per token" if self.scale == "loss" else "FLOPs"

        def told(three: tuple[float, float, float]) -> str:
            value, low, high = (f"{x:.4g}" if np.isfinite(x) else "never" for x in three)
            return f"{value} {unit}, {self.level:.0%} [{low}, {high}]"

        if self._at_chance:
            best = next(x for x in self.point(distance)[1:] if np.isfinite(x))
            return (
                f"No score is clearly above chance: the point where the few-shot score is "
                f"{distance:g} above it is unknown, but lies beyond the best checkpoint, "
                f"{best:.4g} {unit} "
                f"({self.status})\n  {self.remedy}"
            )
        own = self.judged_at(distance)
        end = "" if own.usable else f" ({own.status})"
        lines = [
            f"The few-shot score is {distance:g} above chance at {told(self.point(distance))}{end}",
            f"  It leaves chance (elbow) at {told(self.elbow())}",
        ]
        control = self.control_point(distance)
        if control is not None:
            lines.append(f"  Few-shot rows alone say {told(control)}")
        lines.append(f"  {self.premise}")
        if own.status.remedy:
            lines.append(f"  {own.status.remedy}")
        lines += [f"  {n.severity}: {n.message}" for n in self.notes]
        return "\n".join(lines)


def fit_moved(
    study: MovedStudy, *, level: float = 0.9, seed: int = 0, control: bool = True
) -> MovedFit:
    """Fit the moved curve to one task.

    Args:
        study: from `moved_study`.
        level: level of the intervals.
        seed: seed of all random numbers.
        control: also fit the few-shot rows alone.

    Returns:
        A `MovedFit`; `point(distance)` is the main result.

    Raises:
        UsageError: the level is out of range.
    """
    if not 0 < level < 1:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    draws = _drawn(study, seed)
    few = few_shot_only(study)
    alone = _drawn(few, seed) if control and len(few.data.checkpoints) >= 3 else None
    premise = check_premise(study.data)
    status, notes = _status(study, draws, premise, level)
    return MovedFit(study, draws, alone, premise, status, tuple(notes), level, seed)


def few_shot_risen(data: EmergenceData) -> bool:
    """Whether few-shot scores of the better checkpoints are clearly above the base."""
    few = data.subset_rows(data.amount == 0)
    as_amount = replace(few, amount=np.ones_like(few.amount))
    return bool(risen(as_amount)[0] >= RISEN)


def few_shot_only(study: MovedStudy) -> MovedStudy:
    """The control: a fit to the rows without finetuning."""
    return study.subset_rows(study.data.amount == 0)


def _drawn(study: MovedStudy, seed: int) -> EnsembleDraws:
    families = find_families(study, seed)
    rng = np.random.default_rng(seed)
    if families is None:
        curve = MovedCurve(study)
        start, steps = curve.starts(rng), STEPS
    else:
        # Its walkers start inside the bulk of the posterior, and a step takes twice as long.
        curve, (start, steps) = MovedCurve(study, families.centre), (families.walkers, FEWER)
    found = run_ensemble(curve.log_density, start, rng, steps=steps)
    if found.rhat[curve.free].max() > MIXED:
        again = found.z[rng.integers(len(found.z), size=len(start))]
        found = run_ensemble(curve.log_density, again, rng, steps=LONGER * 1000)
    return found


def _status(
    study: MovedStudy, draws: EnsembleDraws, premise: Premise, level: float
) -> tuple[MovedStatus, list[Note]]:
    """How the fit ended, and why."""
    data = study.data
    notes = []
    before, _ = too_thin(data)
    curve = MovedCurve(study)
    if before is EmergenceStatus.AT_CHANCE and not few_shot_risen(data):
        return MovedStatus.AT_CHANCE, []
    worst = float(draws.rhat[curve.free].max())
    if worst > MIXED:
        notes.append(
            Note(
                "chains-disagree",
                "warning",
                f"The chains have not mixed (R-hat {worst:.2f}): try another seed.",
                {"rhat": worst},
            )
        )
    if premise.holds is None:
        notes.append(
            Note(
                "premise-unclear",
                "warning",
                f"The checkpoints cannot say whether scores depend on the {premise.axis} or on the "
                "size.",
                {k: list(v) for k, v in premise.shares.items()},  # type: ignore[misc]
            )
        )
    if data.scale == "flops" and study.families > 1:
        notes.append(
            Note(
                "families-late",
                "info",
                "In simulations with several families on FLOPs, points that missed came out late.",
                {"families": study.families},
            )
        )
    if premise.holds is False:
        return MovedStatus.PREMISE, notes
    # On FLOPs and between families, much else affects scores, and the fit allows for it.
    one_ladder = study.data.scale == "loss" and study.families == 1
    if premise.holds is None and premise.shares and not premise.confounded and one_ladder:
        return MovedStatus.UNCLEAR, notes
    if before is EmergenceStatus.TOO_FEW_AMOUNTS:
        return MovedStatus.TOO_FEW_AMOUNTS, notes
    p = curve.natural(draws.z)
    if _is_vague(curve, p, level):
        return MovedStatus.VAGUE, notes
    kept = float(np.std(log_total_shift(curve, p))) / _prior_spread(study)
    if study.shift is None and kept > LEARNED and not few_shot_risen(data):
        notes.append(
            Note(
                "shift-from-prior",
                "serious",
                f"The data leave {kept:.0%} of the prior's spread of the shift by finetuning, and "
                "no other task informs it.",
                {"kept": kept},
            )
        )
        return MovedStatus.UNTAUGHT, notes
    return MovedStatus.ANSWERED, notes


def _is_vague(curve: MovedCurve, p: MovedParameters, level: float, distance: float = ABOVE) -> bool:
    """Whether the interval of the point is wider than the range of the checkpoints."""
    tail = (1 - level) / 2
    draws = _on_scale(curve, progress_at(p, distance), p)
    low, high = np.quantile(draws, [tail, 1 - tail], method="nearest")
    if not np.isfinite([low, high]).all():
        return True
    data = curve.study.data
    if data.scale == "flops":
        low, high = np.log10([low, high])
    return bool(high - low > max(float(np.ptp(data.progress)), LEAST_RANGE[data.scale]))


def progress_at(p: MovedParameters, distance: float) -> Floats:
    """(S,) progress at which few-shot scores are `distance` above their base."""
    with np.errstate(all="ignore"):
        share = distance / p.height
        return np.where(share < 1, p.e0 + p.w * np.log(share / (1 - share)), np.inf)


def log_total_shift(curve: MovedCurve, p: MovedParameters) -> Floats:
    """(S,) ln of the shift from no finetuning to the largest amount, over the span."""
    ends = curve.middle(p, np.array([0.0, curve.most]))
    return np.asarray(np.log(np.maximum(ends[:, 0] - ends[:, 1], 1e-12) / p.span))


def _prior_spread(study: MovedStudy) -> float:
    """Prior standard deviation of ln(total shift)."""
    if study.shift is not None:
        return study.shift[1]
    curve = MovedCurve(study)
    z = np.random.default_rng(0).standard_normal((4000, len(curve.names)))
    return float(np.std(log_total_shift(curve, curve.natural(z))))


def _on_scale(curve: MovedCurve, x: Floats, p: MovedParameters) -> Floats:
    """(S,) progress as losses or FLOPs; points that are never reached lie beyond every model."""
    never = -np.inf if curve.study.data.scale == "loss" else np.inf
    return np.where(np.isfinite(x), curve.loss_of(x, p.floor), never)


def _summary(draws: Floats, level: float) -> tuple[float, float, float]:
    tail = (1 - level) / 2
    low, middle, high = np.quantile(draws, [tail, 0.5, 1 - tail], method="nearest")
    return float(middle), float(low), float(high)


def _named(three: tuple[float, float, float], level: float) -> dict[str, Any]:
    value, low, high = (float(x) if np.isfinite(x) else None for x in three)
    return {"value": value, "interval": [low, high], "level": level}
