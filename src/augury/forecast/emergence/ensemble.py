"""Posterior draws by an ensemble of walkers: no gradients, and nothing to compile.

Half of the walkers move at a time. Each moves along a line through a walker of the other half
(stretch moves, Goodman & Weare 2010, CAMCoS 5:65) or by the difference of two of them (ter Braak
2006, Stat. Comput. 16:239), which mixes better in ten dimensions. Both moves are unaffected by
linear changes of coordinates, so the curved, scale-free posteriors here need no tuning. The first
half of the steps is burn-in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WALKERS = 96
STEPS = 1400
# One step in this many is kept after burn-in: neighbouring steps are nearly identical.
THIN = 10
# Share of steps that add the full difference, to jump between separate modes.
WHOLE = 0.1
# A walker this far below the best has not found the posterior's mass and is dropped.
LOST = 30.0


class EnsembleDraws(NamedTuple):
    """The walkers' draws.

    z: (S, P) draws. density: (S,) log posterior, up to a constant. rhat: (P,) R-hat between the two
    halves of the kept steps; 1 where they agree. accepted: share of proposals accepted.
    """

    z: Floats
    density: Floats
    rhat: Floats
    accepted: float


def run_ensemble(
    log_density: Callable[[Floats], Floats],
    start: Floats,
    rng: np.random.Generator,
    *,
    steps: int = STEPS,
) -> EnsembleDraws:
    """Draw from a density.

    Args:
        log_density: maps (W, P) coordinates to (W,) values; minus infinity outside the support.
        start: (W, P) starting points of an even number of walkers, W > 2 P.
        rng: random generator.
        steps: steps per walker; the first half is discarded.
    """
    z = start.copy()
    count, size = z.shape
    half = count // 2
    density = log_density(z)
    sides = (np.arange(half), np.arange(half, count))
    kept, at, taken = [], [], 0.0
    for step in range(steps):
        for own, other in (sides, sides[::-1]):
            if rng.random() < 0.5:
                proposal, extra = _stretch(z[own], z[other], rng)
            else:
                proposal, extra = _difference(z[own], z[other], rng), np.zeros(half)
            new = log_density(proposal)
            accept = np.log(rng.random(half)) < extra + new - density[own]
            z[own[accept]] = proposal[accept]
            density[own[accept]] = new[accept]
            taken += float(accept.mean())
        if step >= steps // 2 and step % THIN == 0:
            kept.append(z.copy())
            at.append(density.copy())
    draws, logs = np.stack(kept), np.stack(at)  # (K, W, P), (K, W)
    found = logs.mean(0) > logs.max() - LOST
    if not found.any():  # too few steps for any walker to arrive
        found = logs.mean(0) > logs.mean(0).max() - LOST
    rhat = _rhat(draws[:, found])
    return EnsembleDraws(
        draws[:, found].reshape(-1, size), logs[:, found].ravel(), rhat, taken / (2 * steps)
    )


def _stretch(own: Floats, other: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A point on the line through a walker of the other half, and its log volume factor."""
    factor = (rng.random(len(own)) + 1.0) ** 2 / 2.0  # density 1 / sqrt(f) on [1/2, 2]
    partner = other[rng.integers(len(other), size=len(own))]
    return partner + factor[:, None] * (own - partner), (own.shape[1] - 1) * np.log(factor)


def _difference(own: Floats, other: Floats, rng: np.random.Generator) -> Floats:
    """Move a walker by the scaled difference of two from the other half."""
    count, size = own.shape
    a = rng.integers(len(other), size=count)
    b = (a + rng.integers(1, len(other), size=count)) % len(other)
    scale = np.where(rng.random(count) < WHOLE, 1.0, 2.38 / np.sqrt(2 * size))
    jitter = 1e-4 * rng.standard_normal(own.shape)
    return own + scale[:, None] * (other[a] - other[b]) + jitter


def _rhat(draws: Floats) -> Floats:
    """(P,) R-hat of (K, W, P): the first half of the kept steps against the second."""
    steps = len(draws) // 2
    parts = np.stack([draws[:steps], draws[steps : 2 * steps]])
    flat = parts.reshape(2, -1, draws.shape[2])
    within = flat.var(1).mean(0)
    between = flat.mean(1).var(0, ddof=1)
    return np.sqrt(1.0 + between / np.maximum(within, 1e-300))
