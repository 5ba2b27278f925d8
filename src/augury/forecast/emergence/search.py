"""Find the posterior mode of many studies at once, and the curvature there.

Random starts from the prior are ranked by their density, and the best few are polished by Newton
steps. Because a ReLU's posterior has corners and saddles, the Hessian is made positive by taking
the absolute values of its eigenvalues. Starts of all studies run side by side, and each stops when
it has converged.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from augury.forecast.emergence.compiled import MANY, slopes, subset_rows, values
from augury.forecast.emergence.compiled import Floats as Floats
from augury.forecast.emergence.density import Rows

# Starts tried and polished. In 64 simulated studies 94 to 99 % of polished starts end together.
TRIED, POLISHED = MANY, 4
# Most Newton steps per start; most starts converge in a dozen.
STEPS = 40
# A start has converged when its next step promises a gain below this, in nats.
ARRIVED = 1e-6
# Step of the differences, in prior standard deviations; a rounded corner is 1,000 times wider.
PROBE = 1e-5
# Smallest curvature assumed (the prior's is 1): at a corner it may have any sign.
LEAST_CURVATURE = 0.3


class Peaks(NamedTuple):
    """Modes of S studies. z: (S, P) coordinates. density: (S,) log posterior. covariance: (S, P, P)
    Laplace. agree: (S,) share of the `POLISHED` starts that end within .01 of the best density.
    """

    z: Floats
    density: Floats
    covariance: Floats
    agree: Floats


class Curvature(NamedTuple):
    """Log posterior (U,) at U starts, its gradient (U, P), and eigenvalues (U, P) and eigenvectors
    (U, P, P) of its negative Hessian.
    """

    density: Floats
    slope: Floats
    bends: Floats
    axes: Floats


def _local(z: Floats, rows: Rows, at: NDArray[np.int64], counts: bool) -> Curvature:
    """Hessian by differences of gradients: accurate enough, and nothing more to compile."""
    active = rows.law.active[at]
    size = z.shape[1]
    probes = np.concatenate([np.zeros((1, size)), PROBE * np.eye(size)])
    value, steep = slopes(z[:, None] + probes * active[:, None], rows, at, counts=counts)
    steep = np.nan_to_num(steep)
    hessian = -(steep[:, 1:] - steep[:, :1]) / PROBE
    hessian = 0.5 * (hessian + hessian.swapaxes(1, 2)) + np.eye(size) * (1.0 - active)[:, None]
    bends, axes = np.linalg.eigh(hessian)
    return Curvature(value[:, 0], steep[:, 0], bends, axes)


def _polished(
    z: Floats, rows: Rows, at: NDArray[np.int64], counts: bool
) -> tuple[Floats, Curvature]:
    """Move (U, P) starts uphill until they converge; return them with what is found there."""
    here = _local(z, rows, at, counts)
    z, damping = z.copy(), np.full(len(z), 0.1)
    going = np.arange(len(z))
    for _ in range(STEPS):
        own = Curvature(*(part[going] for part in here))
        trust = np.maximum(np.abs(own.bends), LEAST_CURVATURE) + damping[going, None]
        along = np.einsum("upk,up->uk", own.axes, own.slope)
        coming = (along**2 / trust).sum(1) > ARRIVED
        going, along, trust = going[coming], along[coming], trust[coming]
        if not len(going):
            break
        move = np.einsum("upk,uk->up", own.axes[coming], along / trust)
        tried = z[going] + move / np.maximum(1.0, np.abs(move).max(1, keepdims=True))
        there = _local(tried, rows, at[going], counts)
        better = there.density > here.density[going]
        up, down = going[better], going[~better]
        z[up] = tried[better]
        for whole, new in zip(here, there, strict=True):
            whole[up] = new[better]
        damping[up] *= 0.2
        damping[down] = np.maximum(damping[down], 0.1) * 5.0
    return z, here


def peaks(rows: Rows, *, counts: bool) -> Peaks:
    """Maximum and Laplace covariance of every study.

    Args:
        rows: (S, n) each, stacked studies, each with its law.
        counts: whether scores are counts.
    """
    active = np.asarray(rows.law.active)
    count, size = active.shape
    starts = np.random.default_rng(0).standard_normal((TRIED, size)) * 0.9
    starts[0] = 0.0
    chosen = []
    with ThreadPoolExecutor(1) as aside:
        # A new process compiles both functions here, side by side.
        aside.submit(slopes, np.zeros((1, size + 1, size)), rows, np.zeros(1, int), counts=counts)
        for k in range(count):
            own = starts * active[k]
            density = values(own, subset_rows(rows, k), counts=counts)
            chosen.append(own[np.argsort(-density, kind="stable")[:POLISHED]])
    at = np.repeat(np.arange(count), POLISHED)
    z, here = _polished(np.concatenate(chosen), rows, at, counts)
    density = here.density.reshape(count, POLISHED)
    top = np.arange(count) * POLISHED + density.argmax(1)
    axes = here.axes[top]
    inverse = axes / np.maximum(here.bends[top], LEAST_CURVATURE)[:, None] @ axes.swapaxes(1, 2)
    best = density.max(1)
    return Peaks(z[top], best, inverse, (density > best[:, None] - 0.01).mean(1))
