"""Instance-level forecasts (IPU): one line per instance, with partial pooling.

Hu et al. 2023 (arXiv 2310.03262) fit PU_s(N) = exp(-c_s N^-alpha_s) per instance and average the
predictions; an instance that never passed then has no line. Here the lines are drawn from a common
normal distribution (partial pooling). The counts enter by their likelihood, so an instance without
a pass shows that its rate is small. Every model has an error that all its instances share. The fit
is by EM with Laplace's approximation per instance. If the log-likelihood of the reference answer is
known, it replaces missing passes, to the extent that it predicts the existing ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from augury.forecast.passrate.rate_series import Floats, RateSeries
from augury.forecast.passrate.smooth import NOISE_PRIOR, square_root

# An instance's passes beyond this number add nothing about its line: then the limit is how far a
# single instance deviates from any line, about a fifth in its rate.
WORTH = 20.0
# Prior of the noise between models, worth this many models.
NOISE_WORTH = 2.0
ROUNDS = 200
LEAST_LEFT = 0.1  # minimum uncertainty of F, even if a likelihood seems to determine it
STEP = 1.0  # largest change of F in one Newton step


@dataclass(frozen=True)
class Instances:
    """Fitted lines of instances.

    Attributes:
        lines: (S, 1 + k) intercept and slopes of F over the scaled logarithms of the scale.
        covariances: (S, 1 + k, 1 + k) covariance of each line.
        noise: standard deviation of the error that a model's instances share, in logits.
        design: (M, 1 + k) of the series.
    """

    series: RateSeries
    lines: Floats
    covariances: Floats
    noise: float
    design: Floats

    def draws(self, x: Floats, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return (n, q) pass rates above chance at (q, k) scales: the mean's, a new model's."""
        at = _design(self.series, x)
        size = self.lines.shape[1]
        roots = square_root(self.covariances + 1e-9 * np.eye(size))
        pulled = _slope(self.series.rate)
        onto_line = np.linalg.pinv(self.design)
        models = len(self.series.x)
        mean, run = np.empty((n, len(x))), np.empty((n, len(x)))
        free = models + NOISE_WORTH
        for i in range(n):
            noise = self.noise * np.sqrt(free / rng.chisquare(free))
            lines = self.lines + (roots @ rng.standard_normal((*self.lines.shape, 1)))[..., 0]
            lines = lines + onto_line @ (pulled * noise * rng.standard_normal(models))
            f = lines @ at.T
            logit = special.logit(np.clip(np.exp(-np.exp(np.clip(f, -30, 7))), 1e-300, 1 - 1e-12))
            mean[i] = special.expit(logit).mean(0)
            run[i] = special.expit(logit + noise * rng.standard_normal(len(x))).mean(0)
        return mean, run


def fit_instances(series: RateSeries) -> Instances:
    """Fit a line to every instance, with partial pooling and noise between models.

    Args:
        series: at least three models and two instances.
    """
    passes, samples = _worth(series)
    design = _design(series, series.x)
    start = np.linalg.lstsq(design, series.f, rcond=None)[0]
    size = design.shape[1]
    lines = np.tile(start, (passes.shape[1], 1))
    centre, spread = start.copy(), np.diag([1.0, *[0.25] * (size - 1)])
    error, noise = np.zeros(len(design)), float(np.exp(NOISE_PRIOR[0]))
    stand_in = _reference(series)
    covariances = np.zeros((len(lines), size, size))
    onto_line = np.linalg.pinv(design)
    for round_ in range(ROUNDS):
        before = lines.copy()
        precision = np.linalg.inv(spread)
        f = lines @ design.T - (_slope_f(lines @ design.T) * error)  # (S, M)
        score, information = _terms(f, passes.T, samples.T, series.chance)
        if stand_in is not None:
            expected, weight = stand_in
            score = score + weight * (expected - f)
            information = information + weight
        gradient = score @ design - (lines - centre) @ precision
        curvature = np.einsum("sm,mi,mj->sij", information, design, design) + precision
        covariances = np.linalg.inv(curvature)
        step = np.einsum("sij,sj->si", covariances, gradient)
        largest = np.abs(step @ design.T).max(1, keepdims=True)
        lines = lines + step * np.minimum(1.0, STEP / np.maximum(largest, 1e-12))
        f = lines @ design.T
        slope = _slope_f(f)
        score, information = _terms(f - slope * error, passes.T, samples.T, series.chance)
        pull = -(score * slope).sum(0) - error / noise**2
        known = (information * slope**2).sum(0) + 1 / noise**2
        error = np.clip(error + np.clip(pull / known, -0.5, 0.5), -4, 4)
        # Errors that form a line belong to the lines.
        pulled = _slope(series.rate)
        straight = design @ (onto_line @ (pulled * error)) / pulled
        error = error - straight
        lines = lines - onto_line @ (pulled * straight)
        centre = lines.mean(0)
        off = lines - centre
        spread = (off.T @ off + covariances.sum(0)) / len(lines) + 1e-4 * np.eye(size)
        prior = NOISE_WORTH * np.exp(2 * NOISE_PRIOR[0])
        free = max(len(error) - size, 1)
        noise = float(np.sqrt((error @ error + prior) / (free + NOISE_WORTH)))
        if np.abs(lines - before).max() < 1e-4 and round_ > 20:
            break
    return Instances(series, lines, covariances, noise, design)


def _worth(series: RateSeries) -> tuple[Floats, Floats]:
    """Return counts with large numbers of passes reduced and stopped samples made unbiased."""
    passes, samples = series.passes, series.samples
    if np.isfinite(series.stopped):
        done = passes >= series.stopped
        passes = np.where(done, passes - 1, passes)
        samples = np.where(done, samples - 1, samples)
    keep = np.minimum(1.0, WORTH / np.maximum(passes, 1e-12))
    return passes * keep, samples * keep


def _design(series: RateSeries, x: Floats) -> Floats:
    z = series.z
    t = (series.along(x) - z.mean(0)) / np.maximum(np.ptp(z, axis=0), 1e-9)
    return np.concatenate([np.ones((len(t), 1)), t], axis=1)


def _slope(rate: Floats) -> Floats:
    """Return how much F falls as logit p rises by one."""
    p = np.clip(rate, 1e-300, 1 - 1e-9)
    return (1 - p) / np.abs(np.log(p))


def _slope_f(f: Floats) -> Floats:
    return _slope(np.exp(-np.exp(np.clip(f, -20, 6.5))))


def _terms(f: Floats, passes: Floats, samples: Floats, chance: float) -> tuple[Floats, Floats]:
    """Return slope and Fisher information of the counts' log-likelihood in F."""
    g = np.exp(np.clip(f, -20, 6.5))
    above = np.exp(-g)
    p = np.clip(chance + (1 - chance) * above, 1e-300, 1 - 1e-12)
    dp = -(1 - chance) * above * g
    return (passes - samples * p) / (p * (1 - p)) * dp, samples * dp**2 / (p * (1 - p))


def _reference(series: RateSeries) -> tuple[Floats, Floats] | None:
    """Return (S, M) the F that the reference's likelihood predicts where nothing passed, weighted.

    log(-log-likelihood of the reference) predicts F along a line, fitted to the counts of all
    pairs, including those without a pass: only pairs that passed would be a biased selection.
    """
    known = np.isfinite(series.reference) & (series.reference < 0) & (series.samples > 0)
    told = known & (series.passes >= 3)
    if told.sum() < 10:
        return None
    by = np.log(-series.reference[known])
    design = np.stack([np.ones_like(by), by], 1)
    line = np.array([0.0, 1.0])  # if the reference is the only answer that passes
    for _ in range(50):
        score, information = _terms(
            design @ line, series.passes[known], series.samples[known], series.chance
        )
        step = np.linalg.solve(design.T @ (design * information[:, None]), design.T @ score)
        line = line + np.clip(step, -0.5, 0.5)
        if np.abs(step).max() < 1e-6:
            break
    rate = np.clip(series.passes[told] / series.samples[told], 1e-300, 1 - 1e-9)
    off = np.log(-np.log(rate)) - line[0] - line[1] * np.log(-series.reference[told])
    sampling = (1 - rate) / (series.passes[told] * np.log(rate) ** 2)
    left = max(float(np.mean(off**2 - sampling)), LEAST_LEFT**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = line[0] + line[1] * np.log(-series.reference)
    silent = known & (series.passes < 1)
    return np.where(silent, expected, 0.0).T, np.where(silent, 1 / left, 0.0).T
