"""The tiny world's text: filler with statistics to learn, and a share of task documents.

Documents have 32 characters. Filler is words of 2-5 letters from a lexicon of 2,000 with Zipf
frequencies, each followed with probability .6 by one of its two favourite successors. Everything is
drawn from (seed, block of steps), so that training resumes anywhere without repeating a document.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from augury.train.tasks import CODE, Tokens, lab_task

LENGTH = 32
WORDS = 2000
FAVOURITE = 0.6
# Longest run of words that 32 characters can hold: words of two letters and a space.
MOST_WORDS = 11


@lru_cache(maxsize=1)
def lexicon() -> tuple[Tokens, Any, Any, Any]:
    """Words (2000, 6) with a space behind, lengths, favourite successors (2000, 2), frequencies."""
    rng = np.random.default_rng(2024)  # one language for every world
    lengths = rng.integers(2, 6, size=WORDS)
    letters = rng.integers(26, size=(WORDS, 6)) + CODE["a"]
    places = np.arange(6)[None]
    words = np.where(places < lengths[:, None], letters, CODE[" "])
    frequency = 1.0 / np.arange(1, WORDS + 1)
    return words, lengths + 1, rng.integers(WORDS, size=(WORDS, 2)), frequency / frequency.sum()


def filler(rng: np.random.Generator, n: int) -> Tokens:
    """(n, 32) documents of filler."""
    words, lengths, successors, frequency = lexicon()
    cumulative = np.cumsum(frequency)
    documents = np.full((n, LENGTH + 6), CODE[" "], dtype=np.int64)
    rows = np.arange(n)
    place = np.zeros(n, dtype=np.int64)
    word = np.searchsorted(cumulative, rng.random(n))
    for _ in range(MOST_WORDS):
        word = np.minimum(word, WORDS - 1)
        at = np.minimum(place, LENGTH)
        for k in range(6):
            documents[rows, at + k] = words[word, k]
        place = place + lengths[word]
        fresh = np.searchsorted(cumulative, rng.random(n))
        favourite = successors[word, rng.integers(2, size=n)]
        word = np.where(rng.random(n) < FAVOURITE, favourite, fresh)
    return documents[:, :LENGTH]


def documents(rng: np.random.Generator, n: int, shares: Mapping[str, float]) -> Tokens:
    """(n, 32) documents: of each task its share, the rest filler.

    A task document is instances one after the other, each ended by a full stop, as many as fit,
    and filler behind.
    """
    out = filler(rng, n)
    kind = rng.random(n)
    low = 0.0
    for name, share in shares.items():
        rows = np.flatnonzero((kind >= low) & (kind < low + share))
        low += share
        start = 0
        while len(rows):
            prompt, answer = lab_task(name).draw(rng, len(rows))
            whole = np.concatenate(
                [prompt, answer, np.full((len(rows), 1), CODE["."], dtype=np.int64)], axis=1
            )
            if start + whole.shape[1] > LENGTH:
                break
            out[rows, start : start + whole.shape[1]] = whole
            start += whole.shape[1]
    return out
