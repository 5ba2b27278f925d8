"""Posterior draws of many studies, by adaptive importance sampling.

A Laplace approximation fails where it matters here: the posterior of an extrapolated point is
skewed, and a ReLU's has corners. Instead, draws from a wide Student's t at the peak are weighted by
the density, a better t is estimated from them, and so on. The draws of all rounds count, each
weighted against the mixture of all proposals (Cornuet et al. 2012, arXiv 0907.1254). There are no
gradients and no chains, and every study costs the same: a tenth of a second, where NUTS takes
seconds. The results agree with NUTS (tests/claims).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, softmax

from augury.forecast.emergence.compiled import MANY, Floats, subset_rows, values
from augury.forecast.emergence.density import Rows
from augury.forecast.emergence.laws import NAMES
from augury.forecast.emergence.search import Peaks

# Rounds, and draws per proposal in each round.
ROUNDS, EACH = 5, MANY
# Each round has three proposals, one per third of the earlier draws sorted by the point: the
# posterior is curved, with a long tail towards distant points. With a single proposal the 5 %
# quantile of three studies differed by .04, .01 and .01 nats from NUTS's.
PARTS = 3
# Log weight that draws of other parts lose: a part with too few draws borrows from its neighbours.
OUTSIDE = 6.0
FREEDOM = 3.0
# Draws kept, resampled by weight.
KEPT = 1000
# How much wider a proposal is than the moments of its draws, and how much is added to the variance
# of the first (in prior standard deviations, squared): curvature at a corner says little about the
# bulk.
WIDER, WIDEST = 1.5, 0.05
# A study below this effective sample size is sampled again from its last moments.
SURE, ATTEMPTS = 150.0, 3
# A round below this effective sample size flattens its weights before it estimates moments.
ENOUGH = 60.0
POWERS = np.array([1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05])


Proposal = tuple[Floats, Floats]
"""Mean and root of the scale matrix of a Student's t."""


class ImportanceDraws(NamedTuple):
    """Draws of S studies. z: (S, KEPT, P) coordinates, equally weighted. size: (S,) effective
    sample size. evidence: (S,) log marginal likelihood, up to a constant of the rows. density:
    (S, KEPT) log posterior of each draw.
    """

    z: Floats
    size: Floats
    evidence: Floats
    density: Floats


class _Sample(NamedTuple):
    """One study's draws, and the moments of its posterior to restart from."""

    draws: ImportanceDraws
    mean: Floats
    spread: Floats


def _log_t(z: Floats, mean: Floats, root: Floats) -> Floats:
    """(D,) log density of a Student's t about `mean` whose scale matrix has the `root`."""
    size = len(mean)
    # einsum here and below: BLAS would split a ten-by-ten product between threads and wait.
    off = np.einsum("dp,qp->dq", z - mean, np.linalg.inv(root))
    tail = (FREEDOM + size) / 2 * np.log1p((off**2).sum(1) / FREEDOM)
    constant = gammaln((FREEDOM + size) / 2) - size / 2 * np.log(FREEDOM * np.pi)
    return np.asarray(constant - gammaln(FREEDOM / 2) - np.log(np.diag(root)).sum() - tail)


def _root(spread: Floats) -> Floats:
    return np.asarray(np.linalg.cholesky(spread), float)


def moments(z: Floats, log_weight: Floats) -> tuple[Floats, Floats]:
    """Weighted mean and covariance; weights are flattened until enough of them count."""
    for power in POWERS:
        w = softmax(power * log_weight)
        if 1.0 / (w**2).sum() >= ENOUGH:
            break
    mean = np.einsum("d,dp->p", w, z)
    off = z - mean
    return mean, np.einsum("dp,dq->pq", off * w[:, None], off)


def _proposals(z: Floats, log_weight: Floats, point: Floats) -> list[Proposal]:
    """Mean and root of each third of the draws, sorted by the point of emergence."""
    order = np.argsort(point)
    below = np.empty(len(z))
    below[order] = np.cumsum(softmax(log_weight)[order])
    part = np.minimum((below * PARTS).astype(int), PARTS - 1)
    out: list[Proposal] = []
    for k in range(PARTS):
        mean, spread = moments(z, np.where(part == k, log_weight, log_weight - OUTSIDE))
        out.append((mean, _root(WIDER * spread + 1e-6 * np.eye(len(mean)))))
    return out


def _study(peak: Floats, covariance: Floats, rows: Rows, counts: bool, seed: int) -> _Sample:
    """Sample one study, in its free coordinates only."""
    rng = np.random.default_rng(seed)
    law = rows.law
    free = np.flatnonzero(law.active)
    size = len(free)
    first = WIDER * covariance[np.ix_(free, free)] + (WIDEST + 1e-6) * np.eye(size)
    made: list[Proposal] = [(peak[free], _root(first))] * PARTS
    z, at, log_weight = np.empty((0, size)), np.empty(0), np.empty(0)
    mixed: list[Floats] = []
    everyone: list[Proposal] = []
    for k in range(ROUNDS):
        if k:
            made = _proposals(z, log_weight, _point(z, free, rows))
        normal = rng.standard_normal((PARTS, EACH, size))
        chi = rng.gamma(FREEDOM / 2, 2 / FREEDOM, (PARTS, EACH, 1))
        roots = np.stack([root for _, root in made])
        new = np.stack([m for m, _ in made])[:, None] + normal @ roots.swapaxes(1, 2) / np.sqrt(chi)
        new = new.reshape(-1, size)
        # Every proposal at every draw: old proposals at the new draws, new ones at all draws.
        before = zip(mixed, everyone, strict=True)
        z = np.concatenate([z, new])
        mixed = [np.concatenate([old, _log_t(new, *t)]) for old, t in before]
        own = made if k else made[:1]  # the first three are identical
        mixed += [_log_t(z, *t) for t in own]
        everyone += own
        share = np.array([PARTS] + [1] * (len(everyone) - 1)) / (PARTS * (k + 1))
        at = np.concatenate([at, values(_whole(new, free), rows, counts=counts)])
        log_weight = at - logsumexp(np.array(mixed) + np.log(share)[:, None], axis=0)
    weight = softmax(log_weight)
    # Systematic resampling: one uniform number, no further noise.
    place = (np.arange(KEPT) + rng.uniform()) / KEPT
    picked = np.searchsorted(np.cumsum(weight), place).clip(0, len(z) - 1)
    mean, spread = moments(z, log_weight)
    whole = np.zeros((len(NAMES), len(NAMES)))
    whole[np.ix_(free, free)] = spread
    drawn = ImportanceDraws(
        _whole(z[picked], free),
        np.asarray(1.0 / (weight**2).sum()),
        np.asarray(logsumexp(log_weight) - np.log(len(z))),
        at[picked],
    )
    return _Sample(drawn, _whole(mean[None], free)[0], whole)


def _point(z: Floats, free: NDArray[np.int64], rows: Rows) -> Floats:
    """(D,) values that increase with the point of emergence, used only to sort draws."""
    end, shift = (list(NAMES).index(name) for name in ("end", "shift"))
    own = rows.law.mean + rows.law.sd * _whole(z, free)
    return np.asarray(own[:, end] + np.exp(own[:, shift]))


def _whole(z: Floats, free: NDArray[np.int64]) -> Floats:
    """(D, P) coordinates of all parameters from those of the free ones."""
    out = np.zeros((len(z), len(NAMES)))
    out[:, free] = z
    return out


def sample(rows: Rows, at: Peaks, *, counts: bool, seed: int) -> ImportanceDraws:
    """Posterior draws of every study.

    Args:
        rows: (S, n) each, stacked studies, each with its law.
        at: their peaks.
        counts: whether scores are counts.
        seed: seed of the draws; study k uses seed + k.
    """
    found = []
    for k in range(len(at.z)):
        own = subset_rows(rows, k)
        best = _study(at.z[k], at.covariance[k], own, counts, seed + k)
        for attempt in range(1, ATTEMPTS):
            if best.draws.size >= SURE:
                break
            again = seed + k + attempt * 1_000_003
            more = _study(best.mean, best.spread, own, counts, again)
            best = max(best, more, key=lambda s: float(s.draws.size))
        found.append(best.draws)
    return ImportanceDraws(*(np.stack(part) for part in zip(*found, strict=True)))
