"""The posterior density of many studies, through two compiled functions.

Most of the cost of a first fit is compiling, so only two functions are compiled: the density at
many points of one study, and the density with its gradient at a few points of a few studies.
Searches and samplers are NumPy code around them. More studies never need a new compilation.
"""

from __future__ import annotations

from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augury.fitting.optimise import round_up
from augury.forecast.emergence.density import Rows, log_posterior
from augury.forecast.emergence.laws import (
    Member,
    Scales,
    elbow,
    natural,
    score_above_base,
    steepness,
)
from augury.runtime.compiling import jit

Floats = NDArray[np.float64]
# Points per call of `values`: 11 us of CPU time each; with 50 per call, 19.
MANY = 250
# Pairs of study and points per call of `slopes`: 25 us per point with 4
# pairs of 16 points; 57 us with 1 pair, 35 us with 16 (more than the cache of one core holds).
FEW = 4


@lru_cache(maxsize=4)
def _values(counts: bool) -> Any:
    import jax

    many = jax.vmap(partial(log_posterior, counts=counts), (0, None))
    return jit(many)


@lru_cache(maxsize=4)
def _slopes(counts: bool) -> Any:
    import jax

    one = jax.value_and_grad(partial(log_posterior, counts=counts))
    return jit(jax.vmap(jax.vmap(one, (0, None))))


def subset_rows(rows: Rows, at: Any) -> Rows:
    """Select some of the stacked studies, or one if `at` is a number."""
    import jax

    return jax.tree.map(lambda leaf: np.asarray(leaf)[at], rows)


def values(z: Floats, rows: Rows, *, counts: bool) -> Floats:
    """(D,) log posterior of one study at (D, P) coordinates."""
    import jax

    count = len(z)
    padded = np.concatenate([z, np.zeros((-count % MANY, z.shape[1]))])
    with jax.enable_x64(True):
        found = [
            _values(counts)(padded[first : first + MANY], rows) for first in range(0, count, MANY)
        ]
        return np.concatenate([np.asarray(f) for f in found])[:count]


def slopes(z: Floats, rows: Rows, at: NDArray[np.int64], *, counts: bool) -> tuple[Floats, Floats]:
    """(U, D) log posterior and (U, D, P) gradients at (U, D, P) coordinates of (U,) studies."""
    import jax

    count = len(z)
    with jax.enable_x64(True):
        found = []
        for first in range(0, count, FEW):
            picked = np.minimum(np.arange(first, first + FEW), count - 1)
            found.append(_slopes(counts)(z[picked], subset_rows(rows, at[picked])))
        # Start all calls before reading any result, to keep every core busy.
        value, slope = (np.concatenate([np.asarray(f[i]) for f in found]) for i in (0, 1))
    return value[:count], slope[:count]


@lru_cache(maxsize=1)
def _placed() -> Any:

    def place(z: Any, member: Any, scales: Any, amount: Any) -> Any:
        p = natural(z, member, scales)
        where = elbow(p, amount, member.kind, scales)
        return where, steepness(p, amount, scales), vars(p)

    return jit(place)


def placed(
    z: Floats, member: Member, scales: Scales, log_amount: float
) -> tuple[Floats, Floats, SimpleNamespace]:
    """(S,) elbow, slope just past it and natural parameters, as attributes, at (S, P) coordinates.

    One function, because step by step JAX compiles fifty small ones, 3 CPU-seconds.
    """
    import jax

    with jax.enable_x64(True):
        own = Scales(*(np.float64(x) for x in scales))
        where, steep, p = jax.tree.map(
            lambda x: np.broadcast_to(x, len(z)).astype(float),
            _placed()(z, Member(*member), own, np.float64(log_amount)),
        )
    return where, steep, SimpleNamespace(**p)


@lru_cache(maxsize=1)
def _curves() -> Any:
    import jax

    def curve(z: Any, member: Any, scales: Any, progress: Any, amount: Any) -> Any:
        def one(x: Any, d: Any) -> Any:
            p = natural(z, member, scales)
            return score_above_base(
                p, x - elbow(p, d, member.kind, scales), steepness(p, d, scales)
            )

        return jax.vmap(one)(progress, amount)

    return jit(curve)


def curves(
    z: Floats, member: Member, scales: Scales, progress: Floats, log_amount: Floats
) -> tuple[Floats, Floats]:
    """(U, S) scores above the base and their slopes at (U,) places, at (S, P) coordinates."""
    import jax

    with jax.enable_x64(True):
        own = Scales(*(np.float64(x) for x in scales))
        count = len(progress)
        at = np.minimum(np.arange(round_up(count)), count - 1)  # few sizes are compiled
        up, slope = _curves()(z, Member(*member), own, progress[at], log_amount[at])
        return np.asarray(up)[:count], np.asarray(slope)[:count]
