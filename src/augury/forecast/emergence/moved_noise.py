"""The noise of scores about the moved curve, and their likelihood.

A score deviates from the curve by counting noise; by its run's own noise; by the luck of its
checkpoint, shared by all of that checkpoint's finetunes; by its subset of examples, shared by all
checkpoints finetuned on it; and, if there are several families of models, by its family, which is
early or late and which finetuning moves more or less than others. Subsets and families move the
curve along the axis: they are integrated out to first order, families about their estimated effects
(`moved_families`). Twenty-seven checkpoints finetuned on one subset see a single draw of it:
without the subset term they would count as twenty-seven independent observations of how far that
many examples move the curve, and intervals would be too narrow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from augury.forecast.emergence.ensemble import Floats
from augury.forecast.emergence.observations import EmergenceData

# BLAS splits a matrix product with more multiplications than this between cores. On busy cores it
# then waits for them: 39 ms instead of 1 (612 scores of 51 models).
ALONE = 1_000_000


class Spreads(NamedTuple):
    """(W,) standard deviations.

    Luck is in scores; subsets and families are in progress; a family's recipe effect is in the log
    of the shift.
    """

    luck: Floats
    subset: Floats
    family: Floats
    recipe: Floats


class _Luck(NamedTuple):
    """What the scores say about each checkpoint's luck.

    weight: (W, n) weights of the scores. (W, M) each: known, the information on luck relative to
    its spread; shrink, its variance given the scores; pulled, the weighted sum of the scores.
    """

    weight: Floats
    known: Floats
    shrink: Floats
    pulled: Floats


class ScoreNoise:
    """Normal scores with effects shared by checkpoints, subsets and families.

    Args:
        data: gives each row's checkpoint and subset.
        family: (n,) index of each row's family; a single family has no effect.
    """

    def __init__(self, data: EmergenceData, family: NDArray[np.int64]) -> None:
        n, self._checkpoints = len(data.y), len(data.checkpoints)
        self._luck = np.zeros((n, self._checkpoints))
        self._luck[np.arange(n), data.checkpoint] = 1.0
        tuned = np.flatnonzero(data.subset >= 0)
        kinds, group = np.unique(data.subset[tuned], return_inverse=True)
        self.subsets = len(kinds)
        self.families = int(family.max()) + 1 if family.max() > 0 else 0
        self.recipes = self.families if len(tuned) else 0
        self._groups = max(self.subsets + self.families + self.recipes, 1)
        # Entries of B: row, group, and whether its column also carries `pull` (a recipe's does).
        blocks = [(tuned, group, 0)]
        if self.families:
            blocks.append((np.arange(n), self.subsets + family, 0))
        if self.recipes:
            blocks.append((tuned, self.subsets + self.families + family[tuned], 1))
        rows = np.concatenate([b[0] for b in blocks])
        columns = np.concatenate([b[1] for b in blocks]).astype(int)
        power = np.concatenate([np.full(len(b[0]), b[2]) for b in blocks])
        powers = int(power.max(initial=0))  # without either, rows share nothing
        self._member = _sums(columns, rows + n * power, (self._groups, n * (1 + powers)))
        place = columns * self._checkpoints + data.checkpoint[rows]
        cells = (self._groups * self._checkpoints, n * (1 + powers))
        self._cell = _sums(place, rows + n * power, cells)
        # Entries that share a row, as pairs of columns: each with itself and with all others.
        own = [np.flatnonzero(rows == i) for i in range(n)]
        pairs = np.array([(i, a, b) for i in range(n) for a in own[i] for b in own[i]], int)
        pairs = pairs.reshape(-1, 3)
        at = columns[pairs[:, 1]] * self._groups + columns[pairs[:, 2]]
        both = power[pairs[:, 1]] + power[pairs[:, 2]]
        self.width = n * (1 + 2 * powers)  # of the widest array, per draw
        self._pair = _sums(at, pairs[:, 0] + n * both, (self._groups**2, self.width))

    def log_likelihood(
        self,
        off: Floats,
        variance: Floats,
        slope: Floats,
        spread: Spreads,
        pull: Floats | None = None,
    ) -> Floats:
        """(W,) log density, up to a constant.

        The covariance is K = diag(v) + luck^2 for each checkpoint, plus B B'. B has a column b per
        subset and family, its spread times the slopes of its rows, and another per family with its
        rows' slopes times `pull`. Computed by Woodbury's identity.

        Args:
            off: (W, n) scores minus their expected values.
            variance: (W, n) variance of counting and runs.
            slope: (W, n) slope of the expected scores in progress.
            spread: standard deviations of the shared effects.
            pull: (W, n) progress per unit of a family's recipe; needed with several families.
        """
        luck = self._luck_given(off, variance, spread)
        quadratic = (off * off * luck.weight).sum(1) - (luck.shrink * luck.pulled**2).sum(1)
        log_det = np.log(variance).sum(1) + np.log1p(luck.known).sum(1)
        if self.subsets + self.families:
            inner, cross, _ = self._shared(off, slope, luck, spread, pull)
            # One factor gives both: the last row of that of [[inner, cross], [cross', c]] solves
            # for the scores explained, and c, which has to be as large as they are, drops out.
            whole = np.empty((len(off), self._groups + 1, self._groups + 1))
            whole[:, :-1, :-1] = inner
            whole[:, -1, :-1] = whole[:, :-1, -1] = cross
            whole[:, -1, -1] = 1.0 + (cross**2).sum(1)
            sound = np.isfinite(whole).all((1, 2))
            whole[~sound] = np.eye(self._groups + 1)
            factor = np.linalg.cholesky(whole)
            explained = np.where(sound, (factor[:, -1, :-1] ** 2).sum(1), np.nan)
            quadratic = quadratic - explained
            diagonal = np.diagonal(factor, axis1=1, axis2=2)[:, :-1]
            log_det = log_det + 2.0 * np.log(diagonal).sum(1)
        return np.asarray(-0.5 * (quadratic + log_det))

    def effects(
        self,
        off: Floats,
        variance: Floats,
        slope: Floats,
        spread: Spreads,
        pull: Floats | None = None,
    ) -> tuple[Floats, Floats]:
        """(W, families) how far each family is ahead, and the log of its recipe's effect.

        These are their means given the scores; arguments as for `log_likelihood`.
        """
        luck = self._luck_given(off, variance, spread)
        inner, cross, scale = self._shared(off, slope, luck, spread, pull)
        sound = np.isfinite(inner).all((1, 2))
        inner[~sound], cross[~sound] = np.eye(self._groups), np.nan
        found = scale * np.linalg.solve(inner, cross[:, :, None])[:, :, 0]
        first, second = self.subsets, self.subsets + self.families
        recipe = found[:, second:] if self.recipes else np.zeros((len(off), self.families))
        return found[:, first:second], recipe

    def _luck_given(self, off: Floats, variance: Floats, spread: Spreads) -> _Luck:
        weight = 1.0 / variance
        luck2 = spread.luck[:, None] ** 2
        known = luck2 * _product(weight, self._luck)
        return _Luck(weight, known, luck2 / (1.0 + known), _product(off * weight, self._luck))

    def _shared(
        self,
        off: Floats,
        slope: Floats,
        luck: _Luck,
        spread: Spreads,
        pull: Floats | None,
    ) -> tuple[Floats, Floats, Floats]:
        """The columns' information matrix, the scores projected on the columns, and the spreads.

        (W, G, G), (W, G) and (W, G), in units of the spreads; not finite where the draw is not.
        """
        walkers, g = len(off), self._groups
        steep = slope * luck.weight
        square, first = slope * steep, steep
        across = off * steep
        if self.recipes:
            assert pull is not None
            square = np.concatenate([square, square * pull, square * pull**2], axis=1)
            first = np.concatenate([steep, steep * pull], axis=1)
            across = np.concatenate([across, across * pull], axis=1)
        cell = (self._cell @ first.T).T.reshape(walkers, g, self._checkpoints)
        plain = (self._pair @ square.T).T.reshape(walkers, g, g)
        inner = plain - (cell * luck.shrink[:, None]) @ cell.transpose(0, 2, 1)
        cross = (self._member @ across.T).T
        cross = cross - (cell @ (luck.shrink * luck.pulled)[:, :, None])[:, :, 0]
        parts = [(spread.subset, self.subsets), (spread.family, self.families)]
        parts.append((spread.recipe, self.recipes))
        scale = np.concatenate([np.repeat(s[:, None], k, 1) for s, k in parts], axis=1)
        inner = np.eye(g) + scale[:, :, None] * inner * scale[:, None, :]
        return inner, scale * cross, scale


def _product(many: Floats, few: Floats) -> Floats:
    """`many @ few`, in parts small enough for one core."""
    room = max(ALONE // few.size, 1)
    return np.concatenate([many[i : i + room] @ few for i in range(0, len(many), room)])


def _sums(
    to: NDArray[np.int64], source: NDArray[np.int64], shape: tuple[int, int]
) -> sparse.csr_array:
    """The matrix that adds the entries at `source` into those at `to`."""
    return sparse.csr_array((np.ones(len(to)), (to, source)), shape)
