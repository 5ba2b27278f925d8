"""Weights of laws, by how well each predicts checkpoints that it was not fitted to.

Every checkpoint is left out in turn and every law fitted again, exactly: no approximation by
weighing the draws of the full fit, which breaks down at just those checkpoints that matter most.
All refits are one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from augury.forecast.emergence.density import log_likelihood
from augury.forecast.emergence.importance import sample
from augury.forecast.emergence.laws import EmergenceLaw, natural
from augury.forecast.emergence.observations import EmergenceData, join, stacked
from augury.forecast.emergence.search import Floats, Peaks, in_blocks

# Resamples of checkpoints behind the weights.
RESAMPLES = 1000


@lru_cache(maxsize=4)
def _likelihoods(counts: bool) -> Any:
    """Compiled: draws (S, D, P) and stacked rows -> (S, D) log-likelihoods."""
    import jax

    def one(z: Any, rows: Any) -> Any:
        return log_likelihood(natural(z, rows.law, rows.scales), rows, counts=counts)

    each = jax.vmap(one, (0, None))
    return jax.jit(lambda z, rows: (jax.lax.map(lambda a: each(*a), (z, rows)),))


def held_out(
    data: EmergenceData, laws: Sequence[EmergenceLaw], draws: Floats, *, seed: int
) -> Floats:
    """(K, M) log predictive density of each checkpoint's rows, given all other checkpoints.

    The effects of subsets on a held-out checkpoint are those that its neighbours show.

    Args:
        data: the study.
        laws: (K,).
        draws: (K, D, P) of the full fits, from which the samplers of the refits start.
        seed: of the draws.
    """
    whole = stacked([data], [laws[0]])
    room = whole.y.shape[1]
    parts, full = [], []
    for law in laws:
        own = data.rows(law, room, whole.groups.shape[2])
        for m in range(len(data.checkpoints)):
            weight = own.weight.copy()
            weight[: len(data.y)][data.checkpoint == m] = 0.0
            parts.append(own._replace(weight=weight))
            full.append(own)
    count = len(data.checkpoints)
    mean = np.repeat(draws.mean(1), count, 0)
    spread = np.stack([np.cov(d.T) for d in draws])
    free = np.stack([law.member.active for law in laws])
    spread = np.repeat(spread * free[:, None] * free[:, :, None], count, 0)
    near = Peaks(mean, np.zeros(len(mean)), spread, np.ones(len(mean)))
    rows = join(parts)
    drawn = sample(rows, near, counts=data.counts, seed=seed)
    run = partial(in_blocks, _likelihoods(data.counts))
    (without,), (both,) = run(drawn.z, rows), run(drawn.z, join(full))
    gain = both - without
    top = gain.max(1, keepdims=True)
    density = top[:, 0] + np.log(np.exp(gain - top).mean(1))
    return density.reshape(len(laws), count)


def pseudo_weights(scores: Floats, rng: np.random.Generator) -> Floats:
    """(K,) weights from (K, M) held-out log densities: pseudo-BMA+.

    Softmax of the summed scores, averaged over Bayesian bootstraps of the checkpoints, so that a
    lead that rests on one checkpoint is not taken for certain (Yao et al. 2018, arXiv 1704.02030).
    """
    count = scores.shape[1]
    share = rng.dirichlet(np.ones(count), RESAMPLES) * count  # (R, M)
    total = share @ scores.T
    total -= total.max(1, keepdims=True)
    weight = np.exp(total)
    return np.asarray((weight / weight.sum(1, keepdims=True)).mean(0))
