"""Weights of laws, by how well each predicts held-out checkpoints.

Each checkpoint is left out in turn. Where that hardly moves the posterior, the draws of the full
fit are reweighted. Where it does move it, reweighting would fail at exactly the checkpoints that
matter most, so the law is refitted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from augury.forecast.emergence.compiled import subset_rows, values
from augury.forecast.emergence.importance import moments, sample
from augury.forecast.emergence.laws import EmergenceLaw
from augury.forecast.emergence.observations import EmergenceData, stacked
from augury.forecast.emergence.search import Floats, Peaks

# Bootstrap resamples of checkpoints used for the weights.
RESAMPLES = 1000
# Reweighted draws replace a refit if their effective sample size reaches this, out of 1,000. In two
# studies with five laws they then differ from a refit by .06 nats, as two refits do; below an
# effective sample size of 50 they differ by up to 1.1.
TRUSTED = 300.0


def held_out(
    data: EmergenceData, laws: Sequence[EmergenceLaw], draws: Floats, *, seed: int
) -> Floats:
    """(K, M) log predictive density of each checkpoint's rows, given all other checkpoints.

    A held-out checkpoint gets the subset effects that the other checkpoints show.

    Args:
        data: the study.
        laws: (K,).
        draws: (K, D, P) draws of the full fits; the refits start their samplers from them.
        seed: seed of the draws.
    """
    whole = stacked([data] * len(laws), laws)
    counts, count = data.counts, len(data.checkpoints)
    rows = subset_rows(whole, np.repeat(np.arange(len(laws)), count))
    weight = np.array(rows.weight)
    for m in range(count):
        weight[m::count, : len(data.y)][:, data.checkpoint == m] = 0.0
    rows = rows._replace(weight=weight)
    density, means, spreads, again = np.empty(len(weight)), [], [], []
    for k in range(len(weight)):
        own = k // count
        if k % count == 0:
            both = values(draws[own], subset_rows(whole, own), counts=counts)
        # Both contain the prior, so it cancels.
        gain = both - values(draws[own], subset_rows(rows, k), counts=counts)
        density[k] = np.log(len(gain)) - logsumexp(-gain)
        if np.exp(2 * logsumexp(-gain) - logsumexp(-2 * gain)) < TRUSTED:
            again.append(k)
            mean, spread = moments(draws[own], -gain)
            means.append(mean)
            spreads.append(spread)
    if again:
        near = Peaks(np.array(means), np.zeros(0), np.array(spreads), np.zeros(0))
        drawn = sample(subset_rows(rows, again), near, counts=counts, seed=seed)
        for k, z, without in zip(again, drawn.z, drawn.density, strict=True):
            gain = values(z, subset_rows(whole, k // count), counts=counts) - without
            density[k] = logsumexp(gain) - np.log(len(gain))
    return density.reshape(len(laws), count)


def pseudo_weights(scores: Floats, rng: np.random.Generator) -> Floats:
    """(K,) weights from (K, M) held-out log densities: pseudo-BMA+.

    Softmax of the summed scores, averaged over Bayesian bootstraps of the checkpoints. A lead that
    rests on a single checkpoint then does not decide (Yao et al. 2018, arXiv 1704.02030).
    """
    count = scores.shape[1]
    share = rng.dirichlet(np.ones(count), RESAMPLES) * count  # (R, M)
    total = share @ scores.T
    total -= total.max(1, keepdims=True)
    weight = np.exp(total)
    return np.asarray((weight / weight.sum(1, keepdims=True)).mean(0))
