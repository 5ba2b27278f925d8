"""Random numbers that belong to a sample, not to the batch that it is drawn in."""

from __future__ import annotations

import numpy as np

from augury.evaluate.backend import Floats

# Tokens whose numbers one Philox key gives: a key costs 5 us, and numbers that go unused almost
# nothing. A Philox counter gives four 64-bit numbers.
BLOCK = 16
_PER_COUNTER = 4


def uniforms(seed: int, first: int, samples: int, length: int) -> Floats:
    """(samples, length) uniform numbers in [0, 1) of samples `first`, `first` + 1 ... of a seed.

    The number of sample i and token k depends on (seed, i, k) alone: on no other sample, and not
    on how many are asked for.

    Args:
        seed: of the request, from 0 to 2^63 - 1.
        first: first sample, from 0.
        samples: how many.
        length: tokens a sample.
    """
    blocks = []
    for block in range(-(-length // BLOCK)):
        stream = np.random.Philox(key=np.array([seed, block], dtype=np.uint64))
        stream.advance(first * BLOCK // _PER_COUNTER)
        blocks.append(np.random.Generator(stream).random((samples, BLOCK)))
    return np.concatenate(blocks, axis=1)[:, :length]
