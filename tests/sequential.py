"""Coverage by a sequential test: as sure as with a fixed number of draws, in half to two thirds.

Wald's probability ratio test (Ann. Math. Stat. 1945) asks after each draw whether what was seen
speaks for the nominal coverage or for one that the fixed test would reject 95 % of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, binom

# Probability that the fixed test passes at the coverage that the sequential one tells from nominal.
PASSES = 0.05


class Bound:
    """One side of a fixed test: it passes if of `draws` at least, or at most, `hits` held.

    Attributes:
        size: how often the fixed test fails at the nominal coverage.
        other: the coverage at which it passes 5 % of the time.
    """

    def __init__(self, hits: int, draws: int, nominal: float, *, lower: bool) -> None:
        self.hits, self.draws, self.lower = hits, draws, lower
        if lower:
            self.size = float(binom.cdf(hits - 1, draws, nominal))
            self.other = float(beta.ppf(PASSES, hits, draws - hits + 1))
        else:
            self.size = float(binom.sf(hits, draws, nominal))
            self.other = float(beta.ppf(1 - PASSES, hits + 1, draws - hits))
        size = max(self.size, 1e-6)
        self._hit = np.log(nominal / self.other)
        self._miss = np.log((1 - nominal) / (1 - self.other))
        self._passed, self._failed = np.log((1 - size) / PASSES), np.log(size / (1 - PASSES))

    def verdict(self, held: int, drawn: int) -> bool | None:
        """Return whether the coverage is nominal; None if more draws are needed."""
        if drawn >= self.draws:
            return held >= self.hits if self.lower else held <= self.hits
        ratio = held * self._hit + (drawn - held) * self._miss
        if ratio >= self._passed:
            return True
        return False if ratio <= self._failed else None


@dataclass(frozen=True)
class Held:
    """How a sequential test ended.

    Attributes:
        passed: whether every interval has its coverage.
        drawn: number of draws.
        shares: share of the draws that each interval held.
    """

    passed: bool
    drawn: int
    shares: tuple[float, ...]


def coverage(
    draws: Iterable[Sequence[bool]],
    *,
    of: int,
    least: float,
    most: float = 1.0,
    nominal: float = 0.9,
    whole: bool = False,
) -> Held:
    """Test whether intervals hold, as a test of `of` draws with the bounds `least` and `most` does.

    Args:
        draws: for each draw whether each interval held; no more are taken than are needed.
        of, least, most: the fixed test: how many draws, and the shares between which it passes.
        nominal: the coverage that the intervals claim.
        whole: take all draws, as the fixed test does.
    """
    bounds = [Bound(int(np.ceil(least * of - 1e-9)), of, nominal, lower=True)]
    if most < 1:
        bounds.append(Bound(int(np.floor(most * of + 1e-9)), of, nominal, lower=False))
    hits = np.zeros(0)
    for drawn, draw in enumerate(draws, 1):
        hits = np.asarray(draw, float) + (hits if len(hits) else 0.0)
        if whole and drawn < of:
            continue
        verdicts = [bound.verdict(int(h), drawn) for bound in bounds for h in hits]
        if False in verdicts or None not in verdicts:
            return Held(False not in verdicts, drawn, tuple(hits / drawn))
    raise ValueError(f"fewer than {of} draws")
