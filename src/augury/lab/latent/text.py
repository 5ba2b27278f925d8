"""Text of a latent world: running text, labelled lists, second names, prompts.

Token 0 begins a document; then come words, their second names, and letters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from augury.lab.latent.world import LENGTH, VALUES, LatentWorld
from augury.lab.tasks import Tokens

Floats = NDArray[np.float64]

# Blocks of 64 words: labelled, those that stop the finetuning, and those that are asked about.
TRAIN, HELD_OUT, TEST = slice(0, 192), slice(192, 256), slice(256, 384)
# Frequencies (rank + 10)^-.8.
ZIPF, ZIPF_SHIFT = 0.8, 10
# Tables of every world come from this stream and the seed.
WORLD_STREAM = 1000


def orthogonal_attributes(rng: np.random.Generator) -> Tokens:
    """Draw (384, 6) values; in each block of 64 words, any three take all 64 combinations.

    The 64 words of the hexacode over the field of four elements, any three of whose six positions
    are independent, with the values of every attribute renamed in each block. So an answer derived
    from one or two other attributes is correct only by chance.
    """
    times = np.array([[0, 0, 0, 0], [0, 1, 2, 3], [0, 2, 3, 1], [0, 3, 1, 2]])
    a, b, c = (x.ravel() for x in np.meshgrid(*[np.arange(4)] * 3, indexing="ij"))
    places = [a, b, c, *(times[a, times[x, x]] ^ times[b, x] ^ c for x in (1, 2, 3))]
    code = np.stack(places, 1)
    blocks = []
    for _ in range(6):
        renamed = [rng.permutation(VALUES)[code[:, k]] for k in range(6)]
        blocks.append(rng.permutation(np.stack(renamed, 1)))
    return np.concatenate(blocks)


@dataclass(frozen=True)
class LatentText:
    """The text of a world under one seed.

    Attributes:
        world: its configuration.
        seed: of attributes, successors and frequencies.
    """

    world: LatentWorld
    seed: int

    @cached_property
    def attributes(self) -> Tokens:
        """(384, 6) values."""
        return orthogonal_attributes(np.random.default_rng([WORLD_STREAM, self.seed]))

    @cached_property
    def _frequency(self) -> Floats:
        rng = np.random.default_rng([WORLD_STREAM, self.seed, 1])
        raw = (np.arange(1, self.world.words + 1) + ZIPF_SHIFT) ** -ZIPF
        return np.asarray(rng.permutation(raw) / raw.sum(), float)

    def _successors(self, muted: bool) -> Floats:
        """Return (384, 384) probabilities of the next word."""
        rng = np.random.default_rng([WORLD_STREAM, self.seed, 2])
        log = np.log(self._frequency)[None].repeat(self.world.words, 0)
        for k, strength in enumerate(self.world.strengths):
            follows = rng.permutation(VALUES)
            if muted and k in self.world.tasks:
                continue
            values = self.attributes[:, k]
            log = log + strength * (follows[values][:, None] == values[None])
        p = np.exp(log - log.max(1, keepdims=True))
        return np.asarray(p / p.sum(1, keepdims=True), float)

    @cached_property
    def _chains(self) -> tuple[Floats, Floats]:
        """Return cumulative successors, row by row, with and without the tasks' attributes."""

        def flat(muted: bool) -> Floats:
            cumulative = np.cumsum(self._successors(muted), 1)
            return np.asarray((cumulative + np.arange(len(cumulative))[:, None]).ravel(), float)

        return flat(False), flat(True)

    def _drawn(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Tokens:
        """Draw words by their frequency."""
        places = np.searchsorted(np.cumsum(self._frequency), rng.random(shape))
        return np.minimum(places, self.world.words - 1)

    def running(self, rng: np.random.Generator, n: int, *, muted: float = 0.0) -> Tokens:
        """Draw (n, 24) running text; in a share `muted` the tasks' attributes do not count."""
        words = np.empty((n, LENGTH), np.int64)
        words[:, 0] = self._drawn(rng, (n,))
        cut = round(n * muted)
        for part, chain in ((slice(cut, n), 0), (slice(0, cut), 1)):
            own = words[part]
            if not len(own):
                continue
            flat, size = self._chains[chain], self.world.words
            for t in range(1, LENGTH):
                before = own[:, t - 1]
                place = np.searchsorted(flat, before + rng.random(len(own)))
                own[:, t] = np.clip(place - before * size, 0, size - 1)
        return 1 + words

    def lists(self, rng: np.random.Generator, n: int, width: int) -> Tokens:
        """Draw (n, 24) lists of words and letters: of attribute 0, and rarely of a task."""
        world = self.world
        rare = world.rate_of_rare(width)
        weight = np.array([1.0, *[rare] * len(world.tasks)])
        which = rng.choice(len(weight), n, p=weight / weight.sum())
        words = self._drawn(rng, (n, LENGTH // 2))
        out = np.empty((n, LENGTH), np.int64)
        for i, task in enumerate((0, *world.tasks)):
            rows = which == i
            if task:  # words that are asked about are never labelled
                words[rows] = rng.choice(TRAIN.stop, (int(rows.sum()), LENGTH // 2))
            out[rows, 1::2] = world.letters(task) + self.attributes[words[rows], task]
        out[:, 0::2] = 1 + words
        return out

    def naming(self, rng: np.random.Generator, n: int) -> Tokens:
        """Draw (n, 24) second names, each followed by its word."""
        words = rng.integers(self.world.words, size=(n, LENGTH // 2))
        out = np.empty((n, LENGTH), np.int64)
        out[:, 0::2] = 1 + self.world.words + words
        out[:, 1::2] = 1 + words
        return out

    def corpus(self, rng: np.random.Generator, n: int, width: int, *, muted: float = 0.0) -> Tokens:
        """Draw (n, 24) documents as a model of a width reads them."""
        share = self.world.lists
        names = share if self.world.aliases else 0.0
        listed, named, _ = rng.multinomial(n, [share, names, 1.0 - share - names])
        parts = [
            self.lists(rng, listed, width),
            self.naming(rng, named),
            self.running(rng, n - listed - named, muted=muted),
        ]
        return rng.permutation(np.concatenate(parts))

    def prompts(self, rng: np.random.Generator, n: int, task: int, part: slice) -> Tokens:
        """Draw (n, t) prompts of a task with the answer as the last token, for the words of `part`.

        Every word of the part is asked about equally often if n is a multiple of their number.
        """
        world = self.world
        pool = np.arange(world.words)[part]
        asked = rng.permutation(np.resize(rng.permutation(pool), n))
        words = np.concatenate([rng.choice(TRAIN.stop, (n, world.shots)), asked[:, None]], 1)
        out = np.empty((n, world.opening + 2 * world.shots + 2), np.int64)
        out[:, : world.opening] = self.running(rng, n)[:, : world.opening]
        out[:, world.opening :: 2] = 1 + words
        if world.aliases:
            out[:, -2] += world.words
        out[:, world.opening + 1 :: 2] = world.letters(task) + self.attributes[words, task]
        return out

    def floor(self) -> float:
        """Return the nats per token that no model of this corpus goes below, except for rare lists.

        Entropies given the previous tokens and the kind of the document. A model has to infer the
        kind, so its own floor is up to .02 nats higher.
        """

        def entropy(p: Floats) -> Floats:
            return np.asarray(-(p * np.log(np.maximum(p, 1e-300))).sum(-1), float)

        chain, at = self._successors(False), self._frequency
        first = float(entropy(at))
        running, rows = first, entropy(chain)
        for _ in range(1, LENGTH):
            running += float(at @ rows)
            at = at @ chain
        share = self.world.lists
        names = share if self.world.aliases else 0.0
        listed = LENGTH // 2 * first
        named = LENGTH // 2 * float(np.log(self.world.words))
        whole = share * listed + names * named + (1.0 - share - names) * running
        return whole / LENGTH
