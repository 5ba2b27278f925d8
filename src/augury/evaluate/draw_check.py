"""Whether samples come from the model's own distribution: drawn tokens against those shown.

Order the tokens at a position by their probability. The mass of those likelier than the drawn one,
plus a random part of its own, is uniform from 0 to 1 if the token was drawn from what is shown. A
server that removes unlikely tokens (top-k, top-p, min-p), sharpens or decodes greedily never or too
rarely comes near 1: so the positions above a few thresholds are counted, an exact binomial test at
each of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Literal

import numpy as np
import scipy

from augury.evaluate.backend import Floats

Distribution = Literal["own", "cut", "unknown"]

# Thresholds of the mass: from greedy decoding (.5) to a tail of one in a thousand.
THRESHOLDS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
# A healthy server is flagged once in ten thousand runs; less in simulation, as the thresholds share
# their draws.
FALSE_ALARM = 1e-4
# With fewer positions a cut of top-p .95 would not be found: no verdict is given then.
FEWEST = 200
# Servers write -inf or -9999 for tokens that they have ruled out.
IMPOSSIBLE = -1000.0
# Probabilities shown are rounded; a sum further above 1 than this is not a probability.
ROUNDING = 1e-3


def place_of_draw(drawn: float, shown: Sequence[float], part: float) -> float | None:
    """Return where a draw lies in the mass ordered by probability: uniform for the model's own.

    Args:
        drawn: log-probability of the drawn token.
        shown: log-probabilities of the likeliest tokens; the drawn one may be among them.
        part: a uniform random number.

    Returns:
        From 0 to 1; None if the numbers are not probabilities.
    """
    masses = np.exp(np.array([x for x in shown if math.isfinite(x)]))
    own = math.exp(drawn) if math.isfinite(drawn) else 0.0
    if not len(masses) or masses.sum() > 1 + ROUNDING or own > 1 + ROUNDING:
        return None
    least = float(masses.min())
    if own >= least * (1 - 1e-6):
        above = float(masses[masses > own * (1 + 1e-6)].sum())
        # Equally likely tokens share their mass: which of them it is carries no information.
        ties = float(masses[np.abs(masses - own) <= own * 1e-6].sum()) or own
        return min(above + part * ties, 1.0)
    seen = float(masses.sum())
    return min(seen + part * max(1 - seen, 0.0), 1.0)


def judge_places(places: Sequence[float]) -> tuple[Distribution, float]:
    """Return the verdict, and its corrected p-value if nothing is cut."""
    n = len(places)
    if n < FEWEST:
        return "unknown", 1.0
    found: Floats = np.asarray(places, dtype=float)
    values = [float(scipy.stats.binom.cdf(int((found > t).sum()), n, 1 - t)) for t in THRESHOLDS]
    value = min(1.0, min(values) * len(THRESHOLDS))
    return ("cut" if value < FALSE_ALARM else "own"), value


class DrawCheck:
    """Collects draws of a first wave, and judges them.

    Attributes:
        places: of the draws so far.
        chunks: per request, the texts that came from each seed: repeats are detected from these.
        masked: number of tokens shown as impossible: no probability of a language model is 0.
    """

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng([seed, 17])
        self.places: list[float] = []
        self.chunks: list[list[list[str]]] = []
        self.masked = 0

    def add_draw(self, drawn: float, shown: Mapping[str, float]) -> None:
        """Count a drawn token, with the likeliest ones at its position."""
        self.masked += sum(x < IMPOSSIBLE for x in shown.values())
        place = place_of_draw(drawn, list(shown.values()), float(self._rng.random()))
        if place is not None:
            self.places.append(place)

    def verdict(self) -> tuple[Distribution, list[str]]:
        """Return what is known about the distribution, and remarks on it."""
        if self.masked:
            told = f"{self.masked:,} of the likeliest tokens are shown without probability"
            return "cut", [CUT.format(why=told)]
        distribution, value = judge_places(self.places)
        if distribution == "cut":
            why = f"{len(self.places):,} tokens do not occur at the probabilities shown"
            return "cut", [CUT.format(why=f"{why}, p = {value:.1g}")]
        kind = find_repeats(self.chunks)
        if kind is None or (kind == "greedy" and distribution == "own"):
            return distribution, []
        return ("cut" if kind != "greedy" else "unknown"), [REPEATS[kind]]


CUT = (
    "the server cuts the distribution ({why}): rates are not the model's, rare passes are lost; "
    "switch off top-k, top-p, min-p and penalties with --extra (docs/backends.md)"
)
REPEATS = {
    "greedy": (
        "every request got the same text repeatedly: the server decodes greedily, or the model "
        "is very sure"
    ),
    "copies": "the server answers a request for several samples with copies",
    "seeds": "the server gives the same samples for different seeds: they are not independent",
}
# Threshold: equal pairs this many standard deviations above a random order's number.
SIGMAS = 6.0
ORDERS = 60


def find_repeats(chunks: Sequence[Sequence[Sequence[str]]]) -> str | None:
    """Return how samples repeat each other although they should be independent: None, or a kind.

    All orders of independent samples are equally likely, so equal texts within a chunk, or at the
    same position of two chunks, are compared with random orders.

    Args:
        chunks: per request its chunks, each the texts that came from one seed.

    Returns:
        "greedy": each of three or more requests gave only one text; "copies": texts within a chunk
        are equal too often; "seeds": texts at the same position of two chunks are.
    """
    several = [c for c in chunks if sum(map(len, c)) > 3]
    if len(several) >= 3 and all(len({t for k in c for t in k}) == 1 for c in several):
        return "greedy"
    rng = np.random.default_rng(0)
    tables = [c for c in several if len(c) > 1 and len(c[0]) > 1]
    for kind, count in (("copies", _pairs_within), ("seeds", _pairs_across)):
        seen = sum(count(c) for c in tables)
        random = np.array([sum(count(_shuffled(c, rng)) for c in tables) for _ in range(ORDERS)])
        if len(tables) and seen > random.max() and seen - random.mean() > SIGMAS * random.std():
            return kind
    return None


def _pairs_within(chunks: Sequence[Sequence[str]]) -> int:
    """Count equal pairs of texts within a chunk."""
    return sum(n * (n - 1) // 2 for chunk in chunks for n in Counter(chunk).values())


def _pairs_across(chunks: Sequence[Sequence[str]]) -> int:
    """Count equal pairs of texts at the same position of two chunks."""
    places = zip_longest(*chunks)
    counts = (Counter(t for t in place if t is not None) for place in places)
    return sum(n * (n - 1) // 2 for count in counts for n in count.values())


def _shuffled(chunks: Sequence[Sequence[str]], rng: np.random.Generator) -> list[list[str]]:
    texts = [text for chunk in chunks for text in chunk]
    order = iter(rng.permutation(len(texts)).tolist())
    return [[texts[next(order)] for _ in chunk] for chunk in chunks]
