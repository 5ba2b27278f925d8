"""Random numbers determined by a sample, not by the batch in which it is drawn."""

from __future__ import annotations

import numpy as np

from augury.evaluate.backend import Floats

# Number of tokens per Philox key: a key costs 5 us, and unused numbers almost nothing. A Philox
# counter gives four 64-bit numbers.
BLOCK = 16
_PER_COUNTER = 4


def uniforms(seed: int, first: int, samples: int, length: int) -> Floats:
    """Return (samples, length) uniform numbers in [0, 1) for samples from `first` of a seed.

    The number of sample i and token k depends only on (seed, i, k): not on other samples, nor on
    their number.

    Args:
        seed: of the request, from 0 to 2^63 - 1.
        first: first sample, from 0.
        samples: number of samples.
        length: tokens per sample.
    """
    blocks = []
    for block in range(-(-length // BLOCK)):
        stream = np.random.Philox(key=np.array([seed, block], dtype=np.uint64))
        stream.advance(first * BLOCK // _PER_COUNTER)
        blocks.append(np.random.Generator(stream).random((samples, BLOCK)))
    return np.concatenate(blocks, axis=1)[:, :length]
