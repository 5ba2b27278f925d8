"""The moved curve: one smooth rise that finetuning shifts; few-shot is no finetuning.

    score = base + A sigmoid((x - e(D)) / w(D))
    e(D) = e0 - s / t ln[(1 + (D / D_h)^t) / (1 + (D / D_c)^t)]

x is progress: -ln(loss - floor), or log10 FLOPs. Few-shot rows enter as D = 0, so no amount has to
count as none. Two amounts are fitted: D_h, the examples that pretraining and the prompt are already
worth, and D_c, beyond which more data do not move the curve. So the shift is S-shaped over log D,
or simply the log of 1 + D / D_h where t = 1 and D_c lies beyond the amounts; t is how sharply the
shift sets in. The width w may differ between much data and none. On FLOPs the prompt itself is
worth h examples: D + h and h replace D and none, and w follows the shift. The floor of the loss is
unknown and integrated over; a loss law gives its prior.

`moved_noise` describes the noise.

This is our law, after Snell et al. 2024 (arXiv 2411.16035); their ReLU laws are in `laws`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from augury.forecast.emergence.ensemble import WALKERS, Floats
from augury.forecast.emergence.moved_noise import ScoreNoise, Spreads
from augury.forecast.emergence.observations import EmergenceData

NAMES = (
    "e0", "log_s", "log_dh", "log_cap", "log_turn", "log_w", "tilt", "height", "base",
    "log_luck", "log_run", "floor", "log_family", "log_subset",
)  # fmt: skip
# With several families, their finetuning differs too. On FLOPs little is known about where the
# shift begins, so the prompt's examples are a parameter of their own.
FAMILY_NAMES, FLOPS_NAMES = ("log_recipe",), ("log_prompt",)
# Smallest range of progress that scales the priors, in log units and decades: a few late
# checkpoints do not make a large shift by finetuning less likely.
LEAST_SPAN = {"loss": 0.5, "flops": 1.0}
# Prior standard deviations, in the coordinates of `place`. The shift, the prompt's worth in
# examples and the height are wide; noise and width are within a factor of two either way.
PRIOR = {
    "e0": 1.0, "log_s": 1.0, "log_dh": 2.0, "log_cap": 1.0, "log_turn": 0.5, "log_w": 0.6,
    "tilt": 0.3, "height": 1.5, "base": 1.0, "log_luck": 0.6, "log_run": 0.6,
    "floor": 1.0, "log_family": 0.7, "log_subset": 0.7, "log_recipe": 0.7,
    "log_prompt": 1.5,
}  # fmt: skip
# The priors are wider on FLOPs: public models of many families shift in an S over log D, early or
# late, and rise half as steeply with much data as with none. Models span decades, and the point
# sought lies within a few of them.
ON_FLOPS = {"e0": 0.3, "log_dh": 2.5, "log_cap": 2.5, "tilt": 0.4}
# Prior medians, relative to the span of progress: the shift per e-fold of examples, the width, the
# offset of a family and of a subset. On FLOPs models span decades, and shift and rise cover less of
# them. There the prior is on the whole shift, which an S of any length may produce.
SHIFT = 0.15
WHOLE = (-1.0, 0.7)
WIDTH = {"loss": 0.15, "flops": 0.1}
FAMILY = {"loss": 0.1, "flops": 0.05}
SUBSET = 0.03
TILT = {"loss": 0.0, "flops": 0.35}
# Finetuning examples that prompt and pretraining are worth, per example in the prompt: the shift
# begins there. On FLOPs one prompt example counts as one for finetuning, within a factor of 12
# (90 %).
WORTH = {"loss": 2.0, "flops": 20.0}
# Prior median of the spread of ln(shift) between families.
RECIPE = 0.2
# Prior median of ln(D_c / largest amount): a little beyond the data.
LEVELS_OFF = {"loss": 1.0, "flops": -2.0}
# Noise in a score: the checkpoint's luck and the run's own noise.
LUCK, RUN = 0.015, 0.03
# Standard deviation of the base where chance is known, and where the data give it.
KNOWN, READ = 0.01, 0.04
# Smallest height, as a share of the room above chance.
LEAST_HEIGHT = 0.15
# Without information, the floor lies below the lowest loss by this share of it, within a factor of
# 2.7 either way (90 %). This is assumed, not measured: the scorecard has to set it.
UNKNOWN_GAP, UNKNOWN_SPREAD = 0.1, 0.6
PRIOR_STARTS = 6000
# Arrays are limited to this many numbers per pass, a quarter of a megabyte, so that they fit in a
# core's cache. The density of 48 draws on 864 rows of eight families takes 7.5 ms this way, and 12
# ms in one pass.
PIECE = 32_000
# Iterations that find a draw's own family effects, starting from those common to all draws.
REFINED = 1


class FloorPrior(NamedTuple):
    """Prior of the floor of the loss, which no model goes below.

    ln(lowest loss seen - floor) is normal with this mean and standard deviation.
    """

    mean: float
    spread: float


@dataclass(frozen=True)
class MovedStudy:
    """The data the moved curve is fitted to.

    Attributes:
        data: scores, amounts, losses or FLOPs.
        floor: prior of the floor of the loss; None on FLOPs.
        family: (n,) index of each row's family, all 0 if there is one.
        shift: prior mean and standard deviation of ln(shift between no finetuning and the largest
            amount, over the span), from other tasks under the same recipe; None for the wide prior.
    """

    data: EmergenceData
    floor: FloorPrior | None
    family: NDArray[np.int64]
    shift: tuple[float, float] | None = None

    @property
    def families(self) -> int:
        return int(self.family.max()) + 1

    def subset_rows(self, keep: NDArray[np.bool_]) -> MovedStudy:
        """Select the rows of a mask (n,)."""
        return MovedStudy(self.data.subset_rows(keep), self.floor, self.family[keep], self.shift)


class Families(NamedTuple):
    """Effects of the families, (F,) each.

    ahead: progress by which a family leads at equal loss or FLOPs. recipe: ln of how far finetuning
    moves it relative to the others.
    """

    ahead: Floats
    recipe: Floats


class MovedParameters(NamedTuple):
    """Natural parameters of (W,) draws, and their axis of progress.

    e0, s, dh, cap, turn, w, tilt, height, base, luck, run, family, subset, recipe: (W,) each.
    floor: (W,), NaN on FLOPs.
    best, span: (W,) progress of the best checkpoint, and the range of progress.
    """

    e0: Floats
    s: Floats
    dh: Floats
    cap: Floats
    turn: Floats
    w: Floats
    tilt: Floats
    height: Floats
    base: Floats
    luck: Floats
    run: Floats
    family: Floats
    subset: Floats
    recipe: Floats
    prompt: Floats
    floor: Floats
    best: Floats
    span: Floats


class _Levels(NamedTuple):
    """A draw's values for each amount of finetuning: (W, amounts) each.

    middle: progress at half height. width, shift: as in `_Rows`.
    """

    middle: Floats
    width: Floats
    shift: Floats


class _Rows(NamedTuple):
    """A draw's values for each row, without family effects: (W, n) each.

    past: progress beyond half height. width: width of the rise. shift: how far finetuning has moved
    the curve.
    """

    past: Floats
    width: Floats
    shift: Floats


class MovedCurve:
    """The posterior of the moved curve on one study, in coordinates whose prior is standard normal.

    Args:
        study: the data.
        centre: effects of the families; None is none. Family effects are integrated out to first
            order about each draw's own, which are searched from this centre.
        turns: iterations of that search; 0 uses the centre for all draws.
    """

    def __init__(
        self, study: MovedStudy, centre: Families | None = None, turns: int = REFINED
    ) -> None:
        data = study.data
        self.study = study
        self.chance = data.base
        self.room = 1.0 - self.chance
        self.known = np.isfinite(data.chance)
        self.log_most = float(np.log(max(data.amount.max(), 1.0)))
        self.most = float(max(data.amount.max(), 1.0))
        shots = max(data.few_shot_examples, 1)
        self.log_worth = float(np.log(WORTH[data.scale] * shots))
        self.noise = ScoreNoise(data, study.family)
        more = FAMILY_NAMES if study.families > 1 else ()
        self.names = (*NAMES, *more, *(FLOPS_NAMES if data.scale == "flops" else ()))
        self.free = np.array([self._is_free(name) for name in self.names])
        self._ends = np.array([data.place.min(), data.place.max()])
        self._levels, self._level = np.unique(data.amount, return_inverse=True)
        self._turns = turns if study.families > 1 else 0
        none = np.zeros(study.families)
        self._centre = Families(none, none) if centre is None else centre

    def _is_free(self, name: str) -> bool:
        if name == "floor":
            return self.study.floor is not None
        if name == "log_subset":
            return self.noise.subsets > 0
        if name == "log_recipe":
            return self.noise.recipes > 0
        return name != "log_family" or self.study.families > 1

    def place(self, place: Any, floor: Floats) -> Floats:
        """Convert losses or FLOPs to (W, n) progress."""
        place = np.asarray(place, float)
        if self.study.data.scale == "flops":
            return np.broadcast_to(np.log10(place), (len(floor), *place.shape))
        return -np.log(np.maximum(place[None] - floor[:, None], 1e-12))

    def loss_of(self, x: Floats, floor: Floats) -> Floats:
        """Convert (W,) progress to losses or FLOPs."""
        with np.errstate(over="ignore"):
            return 10.0**x if self.study.data.scale == "flops" else floor + np.exp(-x)

    def natural(self, z: Floats) -> MovedParameters:
        """Convert (W, P) coordinates to natural parameters."""
        z = z * self.free
        data = self.study.data
        spread = PRIOR if data.scale == "loss" else PRIOR | ON_FLOPS
        at = {name: z[:, i] * spread[name] for i, name in enumerate(self.names)}
        if self.study.floor is None:
            floor = np.full(len(z), np.nan)
        else:
            lowest = float(data.place.min())
            gap = np.exp(self.study.floor.mean + self.study.floor.spread * at["floor"])
            floor = lowest - np.minimum(gap, lowest)
        x = self.place(self._ends, floor)
        best, span = x.max(1), np.maximum(np.ptp(x, axis=1), LEAST_SPAN[data.scale])
        dh = np.exp(self.log_worth + at["log_dh"])
        turn = np.exp(at["log_turn"])
        cap = dh + self.most * np.exp(LEVELS_OFF[data.scale] + at["log_cap"])
        prompt = np.zeros(len(z))
        if data.scale == "flops":
            prompt = max(data.few_shot_examples, 1) * np.exp(at.get("log_prompt", prompt))
        whole = self.study.shift or (WHOLE if data.scale == "flops" else None)
        if whole is None:
            s = SHIFT * span * np.exp(at["log_s"])
        else:
            # The prior is on the whole shift, also from other tasks; `log_s` is its coordinate.
            s = span * np.exp(whole[0] + whole[1] * at["log_s"])
            s = s / _grown(self.most, dh, cap, turn, prompt)
        height = LEAST_HEIGHT + (1.0 - LEAST_HEIGHT) * expit(1.5 + at["height"])
        return MovedParameters(
            e0=best + span * at["e0"],
            s=s,
            dh=dh,
            cap=cap,
            turn=turn,
            w=WIDTH[data.scale] * span * np.exp(at["log_w"]),
            tilt=TILT[data.scale] + at["tilt"],
            height=self.room * height,
            base=self.chance + (KNOWN if self.known else READ) * at["base"],
            luck=LUCK * np.exp(at["log_luck"]),
            run=RUN * np.exp(at["log_run"]),
            family=FAMILY[data.scale] * span * np.exp(at["log_family"]),
            subset=SUBSET * span * np.exp(at["log_subset"]),
            recipe=RECIPE * np.exp(at.get("log_recipe", np.zeros(len(z)))),
            prompt=prompt,
            floor=floor,
            best=best,
            span=span,
        )

    def middle(self, p: MovedParameters, amount: Floats) -> Floats:
        """(W, n) progress at half height, for (n,) finetuning amounts."""
        grown = self._grown_by(p, amount)
        return p.e0[:, None] - p.s[:, None] * grown

    def _grown_by(self, p: MovedParameters, amount: Floats) -> Floats:
        """(W, n) how far finetuning on (n,) amounts has moved the curve, per `s`."""
        dh, cap, turn, prompt = (x[:, None] for x in (p.dh, p.cap, p.turn, p.prompt))
        return _grown(amount[None], dh, cap, turn, prompt)

    def width(self, p: MovedParameters, amount: Floats) -> Floats:
        """(W, n) width of the rise: w without finetuning, w e^tilt at the largest amount."""
        return self._width(p, amount, self._grown_by(p, amount))

    def _width(self, p: MovedParameters, amount: Floats, grown: Floats) -> Floats:
        if self.study.data.scale == "flops":
            way = grown / self._grown_by(p, np.array([self.most]))
        else:
            way = np.log1p(amount[None] / p.dh[:, None]) / np.log1p(self.most / p.dh[:, None])
        return p.w[:, None] * np.exp(p.tilt[:, None] * way)

    def expected(
        self, p: MovedParameters, place: Floats, amount: Floats, ahead: Floats | float = 0.0
    ) -> tuple[Floats, Floats]:
        """(W, n) expected scores at losses or FLOPs, and their slope in progress.

        Args:
            p: (W,) parameters.
            place, amount: (n,) losses or FLOPs, and finetuning amounts.
            ahead: (W, n) progress by which the models lead others.
        """
        levels, of = np.unique(amount, return_inverse=True)  # few levels, many rows
        width, middle = self.width(p, levels)[:, of], self.middle(p, levels)[:, of]
        return self._risen(p, self.place(place, p.floor) - middle + ahead, width)

    def _risen(self, p: MovedParameters, past: Floats, width: Floats) -> tuple[Floats, Floats]:
        """Scores and slopes at a distance `past` half height."""
        share = expit(past / width)
        height = p.height[:, None]
        return p.base[:, None] + height * share, height * share * (1.0 - share) / width

    def _by_level(self, p: MovedParameters) -> _Levels:
        grown = self._grown_by(p, self._levels)
        shift = p.s[:, None] * grown
        return _Levels(p.e0[:, None] - shift, self._width(p, self._levels, grown), shift)

    def _rows(self, p: MovedParameters, levels: _Levels) -> _Rows:
        of = self._level
        past = self.place(self.study.data.place, p.floor) - levels.middle[:, of]
        return _Rows(past, levels.width[:, of], levels.shift[:, of])

    def log_density(self, z: Floats) -> Floats:
        """(W,) log posterior of (W, P) coordinates, up to a constant."""
        with np.errstate(all="ignore"):
            p = self.natural(z)
            levels = self._by_level(p)
            # Arrays of all rows can be too large for a core's cache; the others are small.
            pieces = max(-(-len(z) * self.noise.width // PIECE), 1)
            ends = accumulate((len(part) for part in np.array_split(z, pieces)), initial=0)
            parts = [slice(a, b) for a, b in pairwise(ends)]
            fit = np.concatenate([self._log_likelihood(p, levels, part) for part in parts])
            prior = -0.5 * ((z * self.free) ** 2).sum(1) - 0.5 * (z[:, ~self.free] ** 2).sum(1)
        return np.where(np.isfinite(fit), fit + prior, -np.inf)

    def _log_likelihood(self, p: MovedParameters, levels: _Levels, part: slice) -> Floats:
        """Log likelihood of some draws."""
        p = MovedParameters(*(x[part] for x in p))
        rows, centre = self._rows(p, _Levels(*(x[part] for x in levels))), self._centre
        for _ in range(self._turns):
            centre = Families(*self.noise.effects(*self._strayed(p, rows, centre)))
        return self.noise.log_likelihood(*self._strayed(p, rows, centre))

    def family_effects(self, z: Floats) -> Families:
        """Family effects, averaged over (W, P) coordinates."""
        with np.errstate(all="ignore"):
            p = self.natural(z)
            rows = self._rows(p, self._by_level(p))
            ahead, recipe = self.noise.effects(*self._strayed(p, rows, self._centre))
        return Families(np.nanmean(ahead, axis=0), np.nanmean(recipe, axis=0))

    def _strayed(
        self, p: MovedParameters, rows: _Rows, centre: Families
    ) -> tuple[Floats, Floats, Floats, Spreads, Floats | None]:
        """Residuals of the scores, and what else their likelihood needs."""
        data = self.study.data
        ahead: Floats | float = 0.0
        pull, moved = None, None
        if self.noise.families:
            # Exponentials of few families, then one for each row.
            of = self.study.family
            own, recipe = centre.ahead[..., of], centre.recipe[..., of]
            pull = rows.shift * np.exp(centre.recipe)[..., of]
            ahead = own + rows.shift * np.expm1(centre.recipe)[..., of]
            moved = own + pull * recipe
        mean, slope = self._risen(p, rows.past + ahead, rows.width)
        off = data.y - mean if moved is None else data.y - mean + slope * moved
        rate = np.clip(mean, 1e-6, 1.0 - 1e-6)
        counting = rate * (1 - rate) / data.trials if data.counts else data.stderr**2
        variance = counting + p.run[:, None] ** 2
        return off, variance, slope, Spreads(p.luck, p.subset, p.family, p.recipe), pull

    def starts(self, rng: np.random.Generator) -> Floats:
        """(W, P) walkers: the best of many prior draws, slightly perturbed."""
        z = rng.standard_normal((PRIOR_STARTS, len(self.names)))
        best = np.argsort(-self.log_density(z))[:WALKERS]
        return z[best] + 0.05 * rng.standard_normal((WALKERS, len(self.names)))


def _grown(amount: Any, dh: Any, cap: Any, turn: Any, prompt: Any) -> Floats:
    """How far finetuning has moved the curve: 0 at D = 0, logarithmic from D_h on, flat past cap.

    A prompt worth examples of its own has already moved the curve; the result counts from there.
    """

    def up(examples: Any) -> Any:
        log = np.log(np.maximum(examples, 1e-9))
        low = np.logaddexp(0.0, turn * (log - np.log(dh)))
        return low - np.logaddexp(0.0, turn * (log - np.log(cap)))

    before = up(prompt) if np.any(prompt) else 0.0
    return np.asarray((up(amount + prompt) - before) / turn)
