"""One law fitted to the beginnings of one curve, all of them in one batch.

A backtest of a curve fits every law to its first points, to a few more, and so on up to all of
them. The points are the same each time and only their weights change, so all cuts of a law are one
batched problem: one search, one optimisation, one compiled function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from augury.fitting.likelihoods import Likelihood, Points
from augury.fitting.optimise import Prior, no_prior, solve
from augury.fitting.space import Floats, Space
from augury.fitting.starts import find_starts
from augury.laws import Law

# Starts of the search that are optimised, per cut.
POLISHED = 4
# Weight of a prior in the first of two fits, from which the noise is estimated.
FAINT = 1e-3
# Evaluations before a fit is given up: only those in flat valleys, whose forecast has settled by
# then.
MOST_STEPS = 60

# (mean, standard deviation) by parameter, in the coordinates of the fit.
Priors = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class CutFits:
    """A law at the best parameters of every cut.

    Attributes:
        law: what was fitted.
        parameters: (K, P) in natural units.
        values: (K, n) the law at every point of the curve, fitted or not.
        spread: (K,) root mean square of the log residuals of the fitted points.
    """

    law: Law
    parameters: Floats
    values: Floats
    spread: Floats

    def at(self, cut: int, inputs: Mapping[str, Floats]) -> Floats:
        """Return (m,) the law at other points, with the parameters of one cut."""
        own = dict(zip(self.law.parameters, self.parameters[cut], strict=True))
        return np.asarray(self.law(own, **inputs))


def fit_cuts(
    law: Law,
    inputs: Mapping[str, Floats],
    y: Floats,
    weights: Floats,
    likelihood: Likelihood,
    priors: Priors,
) -> CutFits:
    """Fit a law to one curve under K sets of weights.

    Args:
        law: without parameters of the likelihood or of groups.
        inputs: (n,) arrays, (n, T) for curves, by name.
        y: (n,) positive.
        weights: (K, n), 0 leaves a point out.
        likelihood: on logarithms.
        priors: weak ones, which matter for a cut with few points and not with many.
    """
    count = len(weights)
    names = list(law.parameters)
    # Every cut has the same points; the search wants them once per cut.
    wide = Points(
        tuple(np.repeat(np.asarray(inputs[n], float)[None], count, 0) for n in law.inputs),
        np.repeat(y[None], count, 0),
        np.ones((count, len(y))),
    )
    starts = find_starts(law, likelihood, wide, weights, keep=POLISHED)
    rows = np.repeat(np.arange(count), starts.shape[1])
    u = starts.reshape(len(rows), -1)
    mean, precision = (x.repeat(count, 0) for x in no_prior(len(names)))
    for j, name in enumerate(names):
        if name in priors:
            mean[:, j], precision[:, j] = priors[name][0], priors[name][1] ** -2
    size = weights.sum(1)
    noise = np.full(count, 1e-6)
    for strength in (FAINT, 1.0):
        prior = Prior(mean, strength * noise[:, None] * precision)
        # Optimised, as curves come by the dozen: .16 s of CPU each, not .8; the first waits .6 s.
        solution = solve(
            law, likelihood, u, wide, weights, prior, rows=rows, max_steps=MOST_STEPS, brief=False
        )
        cost = np.where(np.isfinite(solution.objective), solution.objective, np.inf)
        best = cost.reshape(count, -1).argmin(1) + np.arange(count) * starts.shape[1]
        found = Space.of(law, likelihood.nuisance).natural(solution.u)
        columns = [found[best, j][:, None] for j in range(len(names))]
        values = np.asarray(
            law(
                dict(zip(names, columns, strict=True)),
                **{n: np.asarray(inputs[n], float)[None] for n in law.inputs},
            )
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            residual = np.where(weights > 0, np.log(np.where(values > 0, values, np.nan) / y), 0.0)
        squares = (weights * residual**2).sum(1)
        spare = np.maximum(size - len(names), 1.0)
        noise = np.maximum(np.nan_to_num(squares / spare, nan=1.0), 1e-8)
        u = solution.u
        if not priors:
            break
    return CutFits(law, found[best], values, np.sqrt(squares / size))
