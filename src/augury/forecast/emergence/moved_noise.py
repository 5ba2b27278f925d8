"""The noise of scores about the moved curve, and their likelihood.

A score strays by counting; by a run's own noise; by the luck of its checkpoint, shared by all of
its finetunes; by its subset of examples, shared by all checkpoints that learn from it; and, where
models of several families meet, by its family. Subset and family move the curve along the axis:
they are integrated out to first order. Twenty-seven checkpoints finetuned on one subset are one
draw of it: without that term they count as twenty-seven pieces of evidence of how far so many
examples move the curve, and intervals are too narrow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from augury.forecast.emergence.ensemble import Floats
from augury.forecast.emergence.observations import EmergenceData


class Spreads(NamedTuple):
    """(W,) standard deviations: of luck, in scores; of subsets and families, in progress."""

    luck: Floats
    subset: Floats
    family: Floats


class ScoreNoise:
    """Normal scores with what checkpoints, subsets and families share.

    Args:
        data: which row is of which checkpoint and subset.
        family: (n,) index of each row's family; one family is none.
    """

    def __init__(self, data: EmergenceData, family: NDArray[np.int64]) -> None:
        n, self._checkpoints = len(data.y), len(data.checkpoints)
        self._luck = np.zeros((n, self._checkpoints))
        self._luck[np.arange(n), data.checkpoint] = 1.0
        tuned = np.flatnonzero(data.subset >= 0)
        kinds, group = np.unique(data.subset[tuned], return_inverse=True)
        self.subsets = len(kinds)
        self.families = int(family.max()) + 1 if family.max() > 0 else 0
        self._groups = self.subsets + self.families
        rows = [*tuned, *(range(n) if self.families else ())]
        columns = [*group, *(self.subsets + family if self.families else ())]
        member = sparse.csr_array((np.ones(len(rows)), (rows, columns)), (n, max(self._groups, 1)))
        self._member = member.T.tocsr()
        place = np.asarray(columns, int) * self._checkpoints + data.checkpoint[rows]
        shape = (max(self._groups, 1) * self._checkpoints, n)
        self._cell = sparse.csr_array((np.ones(len(rows)), (place, rows)), shape)
        # Rows that two groups share: a subset with itself, a family with itself, and the two.
        pairs = [
            (i, a, b) for i in range(n) for a in member[[i]].indices for b in member[[i]].indices
        ]
        at = [a * max(self._groups, 1) + b for _, a, b in pairs]
        shape = (max(self._groups, 1) ** 2, n)
        self._pair = sparse.csr_array((np.ones(len(pairs)), (at, [p[0] for p in pairs])), shape)

    def log_likelihood(
        self, off: Floats, variance: Floats, slope: Floats, spread: Spreads
    ) -> Floats:
        """(W,) log density, up to a constant.

        Covariance: K = diag(v) + luck^2 of each checkpoint, and B B' with a column b per subset
        and family, its spread times the slopes of its rows. By Woodbury's identity.

        Args:
            off: (W, n) scores minus what is expected.
            variance: (W, n) of counting and runs.
            slope: (W, n) of the expected scores in progress.
            spread: of what is shared.
        """
        weight = 1.0 / variance
        luck2 = spread.luck[:, None] ** 2
        total = weight @ self._luck
        shrink = luck2 / (1.0 + luck2 * total)
        pulled = (off * weight) @ self._luck
        quadratic = (off * off * weight).sum(1) - (shrink * pulled**2).sum(1)
        log_det = np.log(variance).sum(1) + np.log1p(luck2 * total).sum(1)
        if self._groups:
            walkers, g = len(off), self._groups
            steep = slope * weight
            cell = (self._cell @ steep.T).T.reshape(walkers, g, self._checkpoints)
            plain = (self._pair @ (slope * steep).T).T.reshape(walkers, g, g)
            inner = plain - (cell * shrink[:, None]) @ cell.transpose(0, 2, 1)
            cross = (self._member @ (off * steep).T).T
            cross = cross - (cell @ (shrink * pulled)[:, :, None])[:, :, 0]
            scale = np.concatenate(
                [
                    np.repeat(spread.subset[:, None], self.subsets, 1),
                    np.repeat(spread.family[:, None], self.families, 1),
                ],
                axis=1,
            )
            inner = np.eye(g) + scale[:, :, None] * inner * scale[:, None, :]
            sound = np.isfinite(inner).all((1, 2)) & np.isfinite(cross).all(1)
            inner[~sound], cross[~sound] = np.eye(g), np.nan
            factor = np.linalg.cholesky(inner)
            solved = np.linalg.solve(factor, (scale * cross)[:, :, None])[:, :, 0]
            quadratic = quadratic - (solved**2).sum(1)
            log_det = log_det + 2.0 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(1)
        return np.asarray(-0.5 * (quadratic + log_det))
