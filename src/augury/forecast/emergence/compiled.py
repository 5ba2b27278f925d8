"""The posterior density of many studies, through two compiled functions that serve everything.

A first fit costs what it compiles, so that little is compiled: the density at many points of one
study, and the density with its gradient at a few points of a few studies. Searches and samplers are
NumPy around them, and the number of studies never makes a new size.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augury.forecast.emergence.density import Rows, log_posterior

Floats = NDArray[np.float64]
# Points a call of `values`: 11 microseconds of a core each, 50 at a time 19.
MANY = 250
# Pairs of study and points a call of `slopes`: with 4 of 16 points 25 microseconds a point, with 1
# of 16 57, with 16 of 16 (beyond a core's cache) 35.
FEW = 4


@lru_cache(maxsize=4)
def _values(counts: bool) -> Any:
    import jax

    return jax.jit(jax.vmap(partial(log_posterior, counts=counts), (0, None)))


@lru_cache(maxsize=4)
def _slopes(counts: bool) -> Any:
    import jax

    one = jax.value_and_grad(partial(log_posterior, counts=counts))
    return jax.jit(jax.vmap(jax.vmap(one, (0, None))))


def only(rows: Rows, at: Any) -> Rows:
    """Some of stacked studies; one of them where `at` is a number."""
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
    """(U, D) log posterior and (U, D, P) gradients at (U, D, P) coordinates, of studies at (U,)."""
    import jax

    count = len(z)
    found, steep = [], []
    with jax.enable_x64(True):
        for first in range(0, count, FEW):
            picked = np.minimum(np.arange(first, first + FEW), count - 1)
            value, slope = _slopes(counts)(z[picked], only(rows, at[picked]))
            found.append(np.asarray(value))
            steep.append(np.asarray(slope))
    return np.concatenate(found)[:count], np.concatenate(steep)[:count]
