"""A random subspace of a model's weights, to finetune few parameters: w = w0 + P z.

P (D, d) has orthonormal columns. Every weight belongs to one of d groups of about equal size, and
moves with its group's coordinate, up or down at random: P z costs D operations, and one compiled
program serves every d. With d = D the subspace is the whole space. Li et al. 2018 (arXiv
1804.08838) draw P dense, sparse or by Fastfood; on a rotated quadratic of known rank all of these
need as many dimensions as it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augury.errors import UsageError


@dataclass(frozen=True)
class Subspace:
    """P, by its one entry per row.

    Attributes:
        group: (D,) the coordinate that moves each weight.
        entry: (D,) the entries of P: signs over the square root of the group's size.
        dimensions: d.
    """

    group: NDArray[np.int32]
    entry: NDArray[np.float32]
    dimensions: int

    def lift(self, coordinates: Any) -> Any:
        """Return (D,) P z of (d,) coordinates, or of more, of which only the first d count."""
        return self.entry * coordinates[self.group]

    def project(self, weights: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return (d,) P' v of (D,) weights: coordinates of the subspace's nearest point."""
        return np.asarray(np.bincount(self.group, self.entry * weights, self.dimensions), float)


def random_subspace(size: int, dimensions: int, rng: np.random.Generator) -> Subspace:
    """Draw a subspace of `dimensions` in a space of `size`.

    Raises:
        UsageError: it has no dimension, or more than the space.
    """
    if not 1 <= dimensions <= size:
        raise UsageError(f"a subspace of {size} weights has 1 to {size} dimensions, not "
                         f"{dimensions}")  # fmt: skip
    group = rng.permutation(np.arange(size) % dimensions)
    share = np.sqrt(np.bincount(group, minlength=dimensions))[group]
    entry = rng.choice([-1.0, 1.0], size) / share
    return Subspace(group.astype(np.int32), entry.astype(np.float32), dimensions)


def flat_weights(weights: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return (D,) all weights of a model, in the order of their names."""
    return np.concatenate([np.ravel(weights[name]) for name in sorted(weights)]).astype(np.float32)


def shaped_weights(flat: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return weights by name from (D,) numbers, as `flat_weights` orders them."""
    found, first = {}, 0
    for name in sorted(shapes):
        size = int(np.prod(shapes[name]))
        found[name] = flat[first : first + size].reshape(shapes[name])
        first += size
    return found
