"""Estimates from weighted passes: rates and intervals of samples drawn from a proposal.

Each instance is drawn from a mixture of the model itself (a share e) and proposals until r draws
pass, or the cap. A passing draw y has weight p(y) / mixture(y), at most 1/e. Given the number of
draws K, the order of the passes tells nothing about their weights, so the unbiased pass rate of the
mixture times the mean weight of the passes is unbiased for the model's own rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from augury.data import counts
from augury.evaluate.backend import Floats
from augury.evaluate.pareto import EQUAL, UNRELIABLE, pareto_k

# Below this many effective passes a mean is not called reliable. In simulation, intervals for
# weights with a coefficient of variation of 1.5 cover 80 % of the time at 5 passes and 86 % at 20.
FEWEST_EFFECTIVE = 5.0
# If weights larger than any drawn one carry more than this of the mean, it is not called reliable.
# Chosen by simulation with the truth in view (lognormal weights, 4 and 16 instances); `python -m
# benchmarks.importance weights` tries it on others.
MOST_UNSEEN = 0.25
# The lower half of logarithms between these two quantiles spans 1.28 standard deviations.
TENTH, MIDDLE, NORMAL_TENTH = 0.1, 0.5, 1.2816
# If the bound on weights is below this many times their mean, a pass is worth at least a tenth of a
# plain one, whatever the tail.
BOUNDED = 10.0


@dataclass(frozen=True)
class PassWeights:
    """Importance weights of the passes of every instance.

    Attributes:
        proposals: as given.
        share: e, share of draws from the model itself.
        known: whether every passing text is known (the check compares with references). If not,
            texts that the proposals never write are missing: values are lower bounds.
        passes, samples: (n,) counts of the mixture, not of the model.
        r: passes at which an instance stopped.
        logs: n arrays of the log weights of the passes.
        own: (n, 2) samples drawn from the model itself, and passes among them.
    """

    proposals: tuple[str, ...]
    share: float
    known: bool
    passes: NDArray[np.int64]
    samples: NDArray[np.int64]
    r: float
    logs: tuple[Floats, ...]
    own: NDArray[np.int64]

    @cached_property
    def _weights(self) -> tuple[Floats, ...]:
        return tuple(np.exp(x) for x in self.logs)

    @cached_property
    def rates(self) -> Floats:
        """(n,) unbiased pass rates of the model, which may exceed 1 by chance."""
        mean = np.array([w.mean() if len(w) else 0.0 for w in self._weights])
        mixture = counts.rate(self.passes, self.samples, self.r)
        return np.where(mean > 0, mixture * mean, 0.0 * mixture)

    @cached_property
    def each_effective(self) -> Floats:
        """(n,) effective number of passes: (sum w)^2 / sum w^2."""
        return np.array([_effective(w) for w in self._weights])

    @cached_property
    def effective(self) -> float:
        """Effective number of passes behind the mean over instances."""
        return _effective(self._contributions())

    @cached_property
    def k_hat(self) -> float:
        """Tail index of the pooled weights, each relative to its instance's mean.

        Only of instances whose weights could exceed their mean by much: no weight is above 1/e. NaN
        if there are too few passes to tell; 0 if the weights of an instance are equal, or none can
        be large.
        """
        relative = self._relative()
        if not len(relative):
            return 0.0 if self.passes.any() else float("nan")
        return pareto_k(relative)

    @cached_property
    def effective_share(self) -> float:
        """Effective passes per pass, for the weights that `k_hat` uses; 1 without any."""
        relative = self._relative()
        return _effective(relative) / len(relative) if len(relative) else 1.0

    @cached_property
    def unseen_share(self) -> float:
        """Expected share of the mean that weights larger than any drawn one carry.

        For a lognormal distribution, truncated at the bound 1/e. Its spread is estimated from the
        lower half of the logarithms, which is the same whether the largest weights were drawn or
        not; the effective number of passes is largest just when they are missing. NaN if no
        instance has two passes.
        """
        several = [x for x in self.logs if len(x) > 1]
        if not several:
            return float("nan")
        apart = [(x - np.median(x)) * np.sqrt(len(x) / (len(x) - 1)) for x in several]
        low, middle = np.quantile(np.concatenate(apart), [TENTH, MIDDLE])
        spread = float(middle - low) / NORMAL_TENTH
        if spread <= EQUAL:
            return 0.0
        passed = self.passes > 0
        center = np.array([x.mean() for x in self.logs if len(x)])
        part = self.passes[passed] / self.samples[passed] * np.exp(center)
        part = part / part.sum()
        # As many passes of instances that count equally.
        alike = 1 / float((part**2 / self.passes[passed]).sum())
        largest = scipy.stats.norm.isf(1 / max(alike, 2.0))
        bound = (np.log(1 / self.share) - center) / spread
        inside = scipy.stats.norm.cdf(bound - spread)
        above = np.maximum(inside - scipy.stats.norm.cdf(largest - spread), 0.0)
        return float((part * above / np.maximum(inside, 1e-300)).sum())

    def _relative(self) -> Floats:
        """Return weights relative to their instance's mean, where they could exceed it by much."""
        passed = [w for w in self._weights if len(w)]
        relative = [w / w.mean() for w in passed if 1 / self.share > BOUNDED * w.mean()]
        return np.concatenate(relative) if relative else np.zeros(0)

    @property
    def reliable(self) -> bool:
        """Whether the mean over instances may be used."""
        enough = self.effective >= FEWEST_EFFECTIVE and not self.unseen_share > MOST_UNSEEN
        return enough and not self.k_hat > UNRELIABLE

    def intervals(self, level: float = 0.9) -> tuple[Floats, Floats]:
        """Return (n,) the ends of each instance's interval, for the rate along the drawn ways.

        A gamma distribution with mean and variance of the weighted sum; if weights differ, its
        upper end counts the largest weight once more, for what a few draws have not shown (Fay &
        Feuer 1997). If nothing passed: from 0 to what the model's own share allows.
        """
        ends = [self._interval(i, level) for i in range(len(self.passes))]
        return np.array([a for a, _ in ends]), np.array([b for _, b in ends])

    def _interval(self, i: int, level: float) -> tuple[float, float]:
        w, k, done = self._weights[i], float(self.samples[i]), self.passes[i] >= self.r
        tail = (1 - level) / 2
        if not k:
            return float("nan"), float("nan")
        if not len(w):
            return 0.0, min(float(-np.log1p(-level) / (self.share * k)), 1.0)
        if w.max() <= w.min() * (1 + EQUAL):
            low, high = counts.rate_interval(self.passes[i], k, self.r, level)
            return float(low[0] * w.mean()), min(float(high[0] * w.mean()), 1.0)
        extra = 0.0 if done else 0.5
        low_end = _gamma(tail, w, k, extra)
        high_end = _gamma(1 - tail, np.append(w, w.max()), k, extra)
        return low_end, min(high_end, 1.0)

    def mean_interval(self, level: float = 0.9) -> tuple[float, float]:
        """Return the interval of the mean rate over these instances.

        As `counts.mean_interval`, with the variance of the weights added and the largest
        contribution counted once more at the upper end.
        """
        if len(self.passes) == 1:
            low, high = self.intervals(level)
            return float(low[0]), float(high[0])
        if not self.passes.sum():
            drawn = self.share * float(self.samples.sum())
            return 0.0, min(float(-np.log1p(-level) / drawn), 1.0) if drawn else float("nan")
        done = self.passes >= self.r
        total, variance = float(self.rates.sum()), 0.0
        for i, w in enumerate(self._weights):
            if len(w):
                variance += self.rates[i] ** 2 * self._relative_variance(i, bool(done[i]))
        # What capped instances may hide counts as half a pass of the model's own draws.
        silent = ~done & (self.passes == 0)
        hidden = float(np.max(np.where(silent, 0.5 / (self.share * self.samples), 0.0)))
        variance += 2 * hidden**2
        total += hidden
        uneven = [w.max() > w.min() * (1 + EQUAL) for w in self._weights if len(w)]
        largest = float(self._contributions().max()) * len(self.passes) if any(uneven) else 0.0
        tail, extra = (1 - level) / 2, 0.5 + 0.5 * float(done.mean())
        low_end = _matched(tail, total, variance, extra)
        high_end = _matched(1 - tail, total + largest, variance + largest**2, extra)
        n = len(self.passes)
        return low_end / n, min(high_end / n, 1.0)

    def _relative_variance(self, i: int, done: bool) -> float:
        w, c, k = self._weights[i], float(self.passes[i]), float(self.samples[i])
        spread = float(w.var() / w.mean() ** 2)
        count = 1 / (c - 2) if done and c > 2 else 1 / c
        return max((1 - c / k) * count, 0.25 / k) + spread / c

    def _contributions(self) -> Floats:
        """Return the contribution of every pass to the mean over instances."""
        parts = [w / (k * len(self.logs)) for w, k in zip(self._weights, self.samples, strict=True)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def notes(self, ids: Sequence[str]) -> list[str]:
        """Return what to know before using the numbers."""
        found = []
        drawn, passed = self.samples - self.own[:, 0], self.passes - self.own[:, 1]
        asked = " and ".join(self.proposals)
        found.append(
            f"drawn from {asked} and, {self.share:.0%} of the draws, from the model itself; of the "
            f"proposals' draws {passed.sum() / max(drawn.sum(), 1):.0%} passed"
        )
        if not self.known:
            text = (
                "a lower bound from the texts that the proposal finds: the check accepts other "
                "texts too"
            )
            if self.own[:, 0].all():
                high = counts.mean_interval(self.own[:, 1], self.own[:, 0], np.inf)[1]
                text += f"; the model's own draws alone give at most {high:.2g}"
            found.append(text)
        if self.k_hat > UNRELIABLE:
            found.append(
                f"not reliable: the weights have a heavy tail (k-hat {self.k_hat:.2f}, above "
                f"{UNRELIABLE}); draw more, or use a proposal closer to the model"
            )
        elif self.effective < FEWEST_EFFECTIVE:
            found.append(
                f"not reliable: {self.effective:.1f} effective passes, fewer than "
                f"{FEWEST_EFFECTIVE:g}; draw more"
            )
        elif self.unseen_share > MOST_UNSEEN:
            found.append(
                f"not reliable: the weights differ so much that about {self.unseen_share:.0%} of "
                "the rate is in weights larger than these draws show; draw more, or use a "
                "proposal closer to the model"
            )
        never = [name for name, c in zip(ids, self.passes, strict=True) if not c]
        if never:
            shown = ", ".join(never[:5]) + (" ..." if len(never) > 5 else "")
            found.append(
                f"the proposal did not help {len(never)} of {len(ids)} instances, which never "
                f"passed ({shown}): only an upper limit is known for them"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "k_hat": self.k_hat,
            "effective": self.effective,
            "effective_share": self.effective_share,
            "unseen_share": self.unseen_share,
            "reliable": self.reliable,
            "own_share": self.share,
            "proposals": list(self.proposals),
            "all_passing_texts_known": self.known,
        }


def _effective(w: Floats) -> float:
    square = float((w**2).sum())
    return float(w.sum()) ** 2 / square if square > 0 else 0.0


def _gamma(at: float, w: Floats, k: float, extra: float) -> float:
    total, square = float(w.sum()), float((w**2).sum())
    # Minus the square of the mean: rates near 1 vary less than Poisson counts.
    return _matched(at, total, max(square - total**2 / k, square / (k + 1)), extra) / k


def _matched(at: float, mean: float, variance: float, extra: float) -> float:
    """Return a quantile of the gamma with this mean and variance, plus `extra` passes."""
    shape = mean**2 / variance
    return float(scipy.stats.gamma.ppf(at, shape + extra) * mean / shape)
