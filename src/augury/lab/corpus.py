"""The tiny world's text: filler with learnable statistics, and a share of task documents.

Documents have 32 characters. Filler is words of 2-5 letters from a lexicon of 2,000 with Zipf
frequencies, each followed with probability .6 by one of its two favourite successors. Everything is
drawn from (seed, block of steps), so that training resumes anywhere without repeating a document.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from augury.lab.tasks import CODE, NOTHING, Tokens, lab_task

LENGTH = 32
WORDS = 2000
FAVOURITE = 0.6
# Longest run of words in 32 characters: words of two letters and a space.
MOST_WORDS = 11
VALIDATION = 2048


@lru_cache(maxsize=1)
def lexicon() -> tuple[Tokens, Tokens, Tokens, NDArray[np.float64]]:
    """Return words (2000, 6) plus a space, lengths with it, favourites (2000, 2), frequencies."""
    rng = np.random.default_rng(2024)  # one language for every world
    lengths = rng.integers(2, 6, size=WORDS)
    letters = rng.integers(26, size=(WORDS, 6)) + CODE["a"]
    words = np.where(np.arange(6)[None] < lengths[:, None], letters, CODE[" "])
    frequency = 1.0 / np.arange(1, WORDS + 1)
    return words, lengths + 1, rng.integers(WORDS, size=(WORDS, 2)), frequency / frequency.sum()


def filler(rng: np.random.Generator, n: int) -> Tokens:
    """Draw (n, 32) documents of filler."""
    words, lengths, successors, frequency = lexicon()
    cumulative = np.cumsum(frequency)

    def fresh() -> Tokens:
        return np.minimum(np.searchsorted(cumulative, rng.random(n)), WORDS - 1)

    text = np.full((n, LENGTH + 6), CODE[" "], dtype=np.int64)
    rows = np.arange(n)[:, None]
    place = np.zeros(n, dtype=np.int64)
    word = fresh()
    for _ in range(MOST_WORDS):
        text[rows, np.minimum(place, LENGTH)[:, None] + np.arange(6)] = words[word]
        place = place + lengths[word]
        favourite = successors[word, rng.integers(2, size=n)]
        word = np.where(rng.random(n) < FAVOURITE, favourite, fresh())
    return text[:, :LENGTH]


def documents(rng: np.random.Generator, n: int, shares: Mapping[str, float]) -> Tokens:
    """Draw (n, 32) documents: each task's share, the rest filler.

    A task document consists of as many instances as fit, followed by filler.

    Args:
        rng: draws everything.
        n: number of documents.
        shares: share of documents by task, at most 1 in all.
    """
    text = filler(rng, n)
    kind = rng.random(n)
    low = 0.0
    for name, share in shares.items():
        rows = np.flatnonzero((kind >= low) & (kind < low + share))
        low += share
        place = np.zeros(len(rows), dtype=np.int64)
        while len(rows):
            whole = lab_task(name).documents(rng, len(rows))
            lengths = (whole != NOTHING).sum(1)
            fits = place + lengths <= LENGTH
            rows, place, lengths, whole = rows[fits], place[fits], lengths[fits], whole[fits]
            of, at = np.nonzero(whole != NOTHING)
            text[rows[of], place[of] + at] = whole[of, at]
            place = place + lengths
    return text


def training_text(seed: int, step: int, n: int, shares: Mapping[str, float]) -> Tokens:
    """Draw (n, 32) documents for the steps from `step` on, determined by this seed and step."""
    return documents(np.random.default_rng([seed, 1, step]), n, shares)


def validation_text(shares: Mapping[str, float], n: int = VALIDATION) -> Tokens:
    """Draw (n, 32) held-out documents of the mixture, the same for every training seed."""
    return documents(np.random.default_rng([9, 9, 9, 9]), n, shares)
