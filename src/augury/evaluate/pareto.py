"""How heavy the upper tail of importance weights is: k-hat of Pareto-smoothed importance sampling.

Below .5 the weights have a finite variance and their mean behaves well; above .7 a mean of any
practical number of draws cannot be trusted (Vehtari et al. 2024, arXiv 1507.02646). Only the
diagnosis is used: the weights themselves are bounded and left unchanged, because smoothing would
bias the estimate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# Tails of fewer weights are uninformative: the paper's own limit.
FEWEST = 5
# Weights this close to each other count as equal: the rounding inside a model.
EQUAL = 1e-3
# Above this k-hat a mean of weights cannot be trusted (arXiv 1507.02646, section 3).
UNRELIABLE = 0.7


def pareto_k(weights: Any) -> float:
    """Compute k-hat of positive weights.

    Args:
        weights: (n,) positive importance weights, on any scale.

    Returns:
        The shape of the generalised Pareto distribution that fits the largest weights, at most a
        fifth of them; 0 if they are equal or take only a few values (a few texts that pass), NaN if
        there are too few to tell.

    Source: Vehtari et al. 2024 (arXiv 1507.02646), with the fit of Zhang & Stephens (2009) and the
    paper's weak prior towards .5.
    """
    ordered = np.sort(np.asarray(weights, float))
    n = len(ordered)
    count = math.ceil(min(0.2 * n, 3 * math.sqrt(n)))
    if n and ordered[-1] <= ordered[0] * (1 + EQUAL):
        return 0.0
    if count < FEWEST or count >= n:
        return math.nan
    floor = ordered[-count - 1]
    tail = ordered[-count:]
    tail = tail[tail > floor * (1 + EQUAL)]
    steps = np.diff(tail) > EQUAL * tail[:-1]
    if steps.sum() + 1 < FEWEST:  # a few recurring values: bounded, no tail
        return 0.0
    return _shape(tail - floor)


def _shape(x: Any) -> float:
    """Compute Zhang & Stephens' posterior mean of the shape, x sorted and positive."""
    n = len(x)
    grid = 30 + int(math.sqrt(n))
    quarter = x[int(n / 4 + 0.5) - 1]
    b = (1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))) / (3 * quarter) + 1 / x[-1]
    k = np.log1p(-b[:, None] * x).mean(1)
    likelihood = n * (np.log(-b / k) - k - 1)
    weight = 1 / np.exp(likelihood - likelihood[:, None]).sum(1)
    best = float((b * weight).sum() / weight.sum())
    shape = float(np.log1p(-best * x).mean())
    return (n * shape + 10 * 0.5) / (n + 10)
