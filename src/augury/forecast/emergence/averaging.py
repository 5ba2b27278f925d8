"""Weights of laws, by how well each predicts checkpoints that it was not fitted to.

Every checkpoint is left out in turn and every law fitted again, exactly: no approximation by
weighing the draws of the full fit, which breaks down at just those checkpoints that matter most.
All refits are one batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from augury.forecast.emergence.compiled import only, values
from augury.forecast.emergence.importance import sample
from augury.forecast.emergence.laws import EmergenceLaw
from augury.forecast.emergence.observations import EmergenceData, stacked
from augury.forecast.emergence.search import Floats, Peaks

# Resamples of checkpoints behind the weights.
RESAMPLES = 1000


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
    whole = stacked([data] * len(laws), laws)
    count = len(data.checkpoints)
    rows = only(whole, np.repeat(np.arange(len(laws)), count))
    weight = np.array(rows.weight)
    for m in range(count):
        weight[m::count, : len(data.y)][:, data.checkpoint == m] = 0.0
    rows = rows._replace(weight=weight)
    mean = np.repeat(draws.mean(1), count, 0)
    spread = np.stack([np.cov(d.T) for d in draws])
    free = np.stack([law.member.active for law in laws])
    spread = np.repeat(spread * free[:, None] * free[:, :, None], count, 0)
    near = Peaks(mean, np.zeros(len(mean)), spread, np.ones(len(mean)))
    drawn = sample(rows, near, counts=data.counts, seed=seed)
    # The prior is in both, and drops out.
    both = [values(z, only(whole, k // count), counts=data.counts) for k, z in enumerate(drawn.z)]
    gain = np.stack(both) - drawn.density
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
