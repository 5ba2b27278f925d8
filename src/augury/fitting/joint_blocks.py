"""The arrow structure of a joint fit: parameters shared by all groups, and a small block per group.

A row of data depends on the shared parameters and on those of its group. So the Jacobian needs one
column per shared parameter and one per *kind* of group parameter, whatever the number of groups,
and a step is solved group by group (the Schur complement of the shared block) instead of as one
system of all parameters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augury.laws import Grouped, Law

Indices = NDArray[np.int64]


class Blocks(NamedTuple):
    """Which coordinates are shared and which belong to which group.

    shared: (S,) positions of the law's shared parameters; own: (G, K) positions of each group's
    parameters; per: index of a row's group among the law's inputs.
    per: where the group of a row stands among the law's inputs.
    """

    shared: Indices
    own: Indices
    per: int

    @classmethod
    def of(cls, law: Law) -> Blocks | None:
        """Return the blocks of a joint law with more than one group; None for any other law."""
        if not isinstance(law, Grouped) or len(law.groups) < 2:
            return None
        at = {name: j for j, name in enumerate(law.parameters)}
        kinds = [name for name, p in law.law.parameters.items() if p.per == law.per]
        shared = [at[name] for name in law.law.parameters if name not in kinds]
        own = [[at[f"{name}[{group}]"] for name in kinds] for group in law.groups]
        return cls(np.array(shared, np.int64), np.array(own), list(law.inputs).index(law.per))

    def directions(self, size: int) -> NDArray[np.float64]:
        """Return the (S + K, size) directions to push through: a row sees only its own group."""
        out = np.zeros((len(self.shared) + self.own.shape[1], size))
        out[np.arange(len(self.shared)), self.shared] = 1.0
        for k, positions in enumerate(self.own.T):
            out[len(self.shared) + k, positions] = 1.0
        return out

    def sums(self, slim: Any, group: Any, slope: Any, curvature: Any, bound: Any) -> Any:
        """Return gradient (P,), curvature (P, P) and its bound's diagonal (P,).

        Args:
            slim: (S + K, n) Jacobian along `directions`.
            group: (n,) which group a row is of.
            slope, curvature, bound: (n,) derivatives of the loss by the predictor, weighted.
        """
        import jax
        import jax.numpy as jnp

        s, (groups, k), n = len(self.shared), self.own.shape, len(group)
        member = (group == jnp.arange(groups)[:, None]) * 1.0  # (G, n)
        top, low = slim[:s], slim[s:]

        def by_group(x: Any) -> Any:
            """Sum (..., n) over each group's rows: (G, ...)."""
            return (member @ x.reshape(-1, n).T).reshape(groups, *x.shape[:-1])

        # Ordered as shared, first group, second group ..., then moved to the law's positions.
        border = by_group(low[:, None] * (top * curvature)).reshape(groups * k, s)
        inner = by_group(low[:, None] * (low * curvature)[None])
        blocks = jax.scipy.linalg.block_diag(*inner)
        shared = (top * curvature) @ top.T
        hessian = jnp.block([[shared, border.T], [border, blocks]])
        gradient = jnp.concatenate([top @ slope, by_group(low * slope).ravel()])
        steepest = jnp.concatenate([(top * top) @ bound, by_group(low * low * bound).ravel()])
        place = np.argsort(np.concatenate([self.shared, self.own.ravel()]))
        return gradient[place], hessian[place][:, place], steepest[place]

    def solve(self, h: Any, g: Any) -> Any:
        """Solve h x = g for (B, P, P) of this structure: (B, P). The rest counts as shared."""
        import jax.numpy as jnp

        size = g.shape[1]
        shared = np.setdiff1d(np.arange(size), self.own.ravel())
        s = len(shared)
        inner = h[:, self.own[:, :, None], self.own[:, None, :]]  # (B, G, K, K)
        border = h[:, self.own[:, :, None], shared]  # (B, G, K, S)
        right = jnp.concatenate([border, g[:, self.own][..., None]], axis=-1)
        solved = jnp.linalg.solve(inner, right)
        slopes, rest = solved[..., :s], solved[..., s]
        top = g[:, shared]
        if s:
            schur = h[:, shared[:, None], shared] - jnp.einsum("bgks,bgkt->bst", border, slopes)
            reduced = top - jnp.einsum("bgks,bgk->bs", border, rest)
            top = jnp.linalg.solve(schur, reduced[..., None])[..., 0]
            rest = rest - jnp.einsum("bgks,bs->bgk", slopes, top)
        place = np.argsort(np.concatenate([shared, self.own.ravel()]))
        return jnp.concatenate([top, rest.reshape(len(g), -1)], axis=1)[:, place]


class GroupAmplitudes(NamedTuple):
    """The amplitudes of a joint law that shares none: one separate problem per group.

    own: (G, K) which of the law's amplitudes belong to each group; per: index of a row's group
    among the law's inputs.
    """

    own: Indices
    per: int

    @classmethod
    def of(cls, law: Law) -> GroupAmplitudes | None:
        """Return None if any amplitude is shared, and for any law that is not joint."""
        blocks = Blocks.of(law)
        found = [j for j, p in enumerate(law.parameters.values()) if p.amplitude]
        if blocks is None or not found or not np.isin(found, blocks.own).all():
            return None
        kinds = np.isin(blocks.own[0], found)
        return cls(np.searchsorted(found, blocks.own[:, kinds]), blocks.per)

    def directions(self) -> NDArray[np.float64]:
        """Return (K, G K): each kind of amplitude set to 1 in all groups."""
        out = np.zeros((self.own.shape[1], self.own.size))
        for k, positions in enumerate(self.own.T):
            out[k, positions] = 1.0
        return out

    def members(self, inputs: Any) -> Any:
        """Return (1 or B, G, n): 1 where a row belongs to a group."""
        import jax.numpy as jnp

        return (inputs[self.per][:, None] == jnp.arange(len(self.own))[:, None]) * 1.0

    def flat(self, each: Any) -> Any:
        """Flatten the (B, G, K) amplitudes of each group to (B, G K), in the law's order."""
        return each.reshape(len(each), -1)[:, np.argsort(self.own.ravel())]
