"""The published method to fit Chinchilla's law, with SciPy: the baseline of the benchmarks.

Hoffmann et al. 2022 (arXiv 2203.15556) minimise the Huber loss (delta 1e-3) of log residuals over
(a, b, e, alpha, beta), A = exp(a) and so on, by L-BFGS from a grid of 4,500 starts; Besiroglu et
al. 2024 (arXiv 2404.10102) do the same with SciPy, sum the loss, and bootstrap 4,000 times. Both
use finite differences for the gradient; with the analytic gradient this is SciPy's best speed.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize
from scipy.special import huber

Floats = NDArray[np.float64]
DELTA = 1e-3
# The published grid of starts.
GRID = np.array(
    list(
        product(
            np.arange(0, 30, 5),  # a
            np.arange(0, 30, 5),  # b
            np.arange(-1, 1.5, 0.5),  # e
            np.arange(0, 2.5, 0.5),  # alpha
            np.arange(0, 2.5, 0.5),  # beta
        )
    ),
    dtype=float,
)


def pieces(x: Floats, log_n: Floats, log_d: Floats) -> tuple[Floats, Floats]:
    """Log-sum-exp of the three terms, and their shares."""
    a, b, e, alpha, beta = x
    terms = np.stack([a - alpha * log_n, b - beta * log_d, np.full_like(log_n, e)])
    top = terms.max(0)
    shares = np.exp(terms - top)
    total = shares.sum(0)
    return top + np.log(total), shares / total


def objective(x: Floats, log_n: Floats, log_d: Floats, log_loss: Floats, w: Floats) -> float:
    """Summed Huber loss of weighted points."""
    return float(w @ huber(DELTA, pieces(x, log_n, log_d)[0] - log_loss))


def with_gradient(
    x: Floats, log_n: Floats, log_d: Floats, log_loss: Floats, w: Floats
) -> tuple[float, Floats]:
    """The loss and its gradient."""
    mean, (in_a, in_b, in_e) = pieces(x, log_n, log_d)
    off = mean - log_loss
    slope = w * np.clip(off, -DELTA, DELTA)
    gradient = np.array(
        [
            slope @ in_a,
            slope @ in_b,
            slope @ in_e,
            -slope @ (in_a * log_n),
            -slope @ (in_b * log_d),
        ]
    )
    return float(w @ huber(DELTA, off)), gradient


def solve(
    start: Floats, data: tuple[Any, ...], *, analytic: bool, **options: Any
) -> OptimizeResult:
    """One run of L-BFGS-B."""
    function: Any = with_gradient if analytic else objective
    return minimize(function, start, args=data, jac=analytic, method="L-BFGS-B", options=options)
