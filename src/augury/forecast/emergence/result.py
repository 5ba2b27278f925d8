"""The result of fitting emergence laws: immutable, with a status that says how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import polars as pl

from augury.display import Card, Shown
from augury.forecast.emergence.compiled import placed
from augury.forecast.emergence.laws import NAMES, EmergenceLaw, Scales, past_for
from augury.forecast.emergence.observations import EmergenceData, place_of
from augury.forecast.emergence.search import Floats
from augury.notes import Note


class EmergenceStatus(StrEnum):
    """How a study ended. Unless answered, its point is missing, wrong, or relies on the priors."""

    ANSWERED = "answered"
    CONTRADICTED = "few-shot scores contradict the law"
    VAGUE = "the data cannot say"
    FAR = "the point lies farther off than the checkpoints span"
    STRAIGHT = "a straight rise cannot say where scores stand that far above chance"
    TOO_FEW_AMOUNTS = "fewer than three finetuning amounts"
    NOT_EMERGED = "no finetuned model is past its elbow"
    NO_ELBOW = "no elbow lies among the checkpoints"
    AT_CHANCE = "everything is at chance"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _REMEDIES[self]


_REMEDIES = {
    EmergenceStatus.ANSWERED: "",
    EmergenceStatus.CONTRADICTED: (
        "Finetuning does not simply shift a curve here (it may teach the task instead of revealing "
        "it): do not trust the point. Forecast from the few-shot scores themselves, measured "
        "finely (PassUntil, `augury passrate`)."
    ),
    EmergenceStatus.VAGUE: (
        "The interval is wider than the range of the checkpoints: add smaller finetuning amounts, "
        "which are closest to none, or better checkpoints (`rank_units` says which)."
    ),
    EmergenceStatus.FAR: (
        "The point lies too far beyond the best checkpoint to be trusted: use better checkpoints, "
        "and check whether the laws agree."
    ),
    EmergenceStatus.STRAIGHT: (
        "Scores bend upwards past their elbow, or may do so between the best checkpoint and the "
        "distant point: ask for the elbow, or use the moved curve (`--law moved`)."
    ),
    EmergenceStatus.TOO_FEW_AMOUNTS: (
        "Too few amounts show how the elbow moves with data, so the prior decides: finetune on at "
        "least three amounts, each about half the one before."
    ),
    EmergenceStatus.NOT_EMERGED: (
        "The elbow of the most finetuned models lies beyond the checkpoints: finetune on more "
        "examples, or use better checkpoints. The reported point relies on the prior."
    ),
    EmergenceStatus.NO_ELBOW: (
        "Scores must leave chance within the range of checkpoints for at least one amount: add "
        "weaker checkpoints or smaller amounts where all are past it. If scores depend only on the "
        "amount of finetuning data, finetuning teaches the task and reveals nothing about when it "
        "would emerge without it."
    ),
    EmergenceStatus.AT_CHANCE: (
        "No score is above chance, so there is no elbow to move: finetune on more examples, use "
        "better checkpoints, or measure more finely (PassUntil, log-probabilities)."
    ),
}


@dataclass(frozen=True)
class LawFit:
    """One law fitted to one study.

    Attributes:
        law: which.
        peak: (P,) coordinates of the highest posterior density.
        density: log posterior at the peak.
        agree: share of polished starts that end at the peak.
        draws: (S, P) posterior draws, equally weighted.
        diagnostics: effective_size of the draws and evidence (log marginal likelihood); with NUTS,
            also rhat and ess of the point of emergence, and divergences.
    """

    law: EmergenceLaw
    peak: Floats
    density: float
    agree: float
    draws: Floats
    diagnostics: Mapping[str, float]


@dataclass(frozen=True)
class EmergenceFit(Shown):
    """A study and the laws fitted to it.

    Attributes:
        data: the study that was fitted.
        fits: one per law.
        weights: (K,) weights of the averaged laws, by how well they predict held-out checkpoints.
        scores: (K, M) log predictive density of each held-out checkpoint, or empty.
        status: how it ended; `status.remedy` says what to do.
        notes: warnings and remarks for the reader.
        uncertainty: how draws were made: "importance", "laplace" or "nuts".
        level: level of the reported intervals.
        seed: seed of all random numbers.
    """

    data: EmergenceData
    fits: tuple[LawFit, ...]
    weights: tuple[float, ...]
    scores: Floats
    status: EmergenceStatus
    notes: tuple[Note, ...]
    uncertainty: str
    level: float
    seed: int

    @property
    def law(self) -> str:
        """Name of the law, or the laws averaged with their weights."""
        if len(self.fits) == 1:
            return str(self.fits[0].law)
        pairs = sorted(zip(self.weights, self.fits, strict=True), key=lambda pair: -pair[0])
        return " + ".join(f"{w:.2f} {f.law}" for w, f in pairs if w >= 0.005)

    def _card(self) -> Card:
        rows = [
            {"law": str(f.law), "weight": weight, "starts_agree": f.agree, **f.diagnostics}
            for weight, f in zip(self.weights, self.fits, strict=True)
        ]
        remedy = (self.status.remedy,) if self.status.remedy else ()
        return Card(
            f"Laws of emergence on {len(self.data.y)} evaluations of "
            f"{len(self.data.checkpoints)} checkpoints: {self.status}",
            pl.DataFrame(rows, infer_schema_length=None),
            (*remedy, *self.notes),
        )

    def point_draws(
        self, *, distance: float | None = None, low_data: float | None = None
    ) -> Floats:
        """Return (S,) draws of the average's point of emergence, as progress.

        Args:
            distance: score above the base that counts as emerged; None is the elbow itself.
            low_data: another D_0 than in the fit.
        """
        parts = [self._drawn(f, distance, low_data) for f in self.fits]
        return mixed(parts, self.weights, self.seed)

    def law_draws(self, k: int, *, distance: float | None = None) -> Floats:
        """Return (S,) draws of the point of emergence by the k-th law alone."""
        return self._drawn(self.fits[k], distance, None)

    def _drawn(self, f: LawFit, distance: float | None, low_data: float | None) -> Floats:
        return point_of(f.law, f.draws, self.data, distance=distance, low_data=low_data)

    def elbow_draws(self, amount: float) -> Floats:
        """Return (S,) draws of the average's elbow at a finetuning amount, as progress."""
        parts = [point_of(f.law, f.draws, self.data, low_data=amount) for f in self.fits]
        return mixed(parts, self.weights, self.seed)


def mixed(parts: list[Floats], weights: tuple[float, ...], seed: int) -> Floats:
    """Return (S,) draws of a mixture: each part contributes its share, in shuffled order.

    The shuffle has a fixed seed, so that the draws of two quantities stay paired.
    """
    count = len(parts[0])
    ends = np.round(np.cumsum(weights) / np.sum(weights) * count).astype(int)
    starts = np.concatenate([[0], ends[:-1]])
    rng = np.random.default_rng(seed)
    picked = [
        part[rng.permutation(count)[: b - a]]
        for part, a, b in zip(parts, starts, ends, strict=True)
    ]
    return np.concatenate(picked)[rng.permutation(count)]


def parameters(law: EmergenceLaw, z: Floats, scales: Scales) -> Any:
    """Map (S, P) coordinates to natural parameters, (S,) attributes (see `laws.natural`)."""
    return placed(z, law.member, scales, float(scales.log_low))[2]


def point_of(
    law: EmergenceLaw,
    z: Floats,
    data: EmergenceData,
    *,
    distance: float | None = None,
    low_data: float | None = None,
) -> Floats:
    """Return the point of emergence, (S,) in progress, at (S, P) coordinates."""
    import jax

    scales = data.scales
    place, steep, p = placed(z, law.member, scales, float(np.log(low_data or data.low_data)))
    if distance is not None:
        with jax.enable_x64(True):
            place = place + np.asarray(past_for(p, distance, steep))
    # A point that needs a loss below the lowest is never reached.
    return np.where(place > scales.limit, np.inf, place) if distance is not None else place


def coordinate_names() -> tuple[str, ...]:
    """Names of the coordinates of `LawFit.draws`."""
    return NAMES


def interval_of(progress: Floats, level: float, scale: Any) -> tuple[float, float, float]:
    """Return median and equal-tailed interval of draws, as loss or FLOPs, in ascending order."""
    tail = (1 - level) / 2
    # Interpolating between infinite draws (never emerges) would give NaN.
    low, middle, high = np.quantile(progress, [tail, 0.5, 1 - tail], method="nearest")
    value = place_of(np.array([middle, low, high]), scale)
    return float(value[0]), float(min(value[1:])), float(max(value[1:]))
