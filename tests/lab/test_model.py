"""The tiny GPT: its size, its causality, and the cached path compared with the full one."""

from functools import partial

import numpy as np
import pytest

from augury.errors import UsageError
from augury.lab import LENGTH, ModelConfig, empty_cache, extend, logits, prefill
from augury.lab.model import init
from augury.runtime.compiling import jit

CONFIG = ModelConfig(8)


def texts(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(57, size=(rows, LENGTH)).astype("int32")


# N of the published table of the tiny world, by width.
@pytest.mark.parametrize(
    ("width", "params"), [(6, 1518), (8, 2408), (16, 7888), (64, 105280), (96, 231648)]
)
def test_params_counts_every_weight(width: int, params: int) -> None:
    config = ModelConfig(width)
    assert config.params == params
    assert sum(x.size for x in init(config, 0).values()) == params


def test_logits_do_not_look_ahead() -> None:
    weights = init(CONFIG, 1)
    one = texts(4)
    other = one.copy()
    other[:, 20:] = texts(4, seed=1)[:, 20:]
    read = jit(partial(logits, CONFIG))
    before, after = (np.asarray(read(weights, t)) for t in (one, other))
    np.testing.assert_array_equal(before[:, :20], after[:, :20])
    assert np.abs(before[:, 20:] - after[:, 20:]).max() > 1e-3


@pytest.mark.slow
def test_cached_logits_are_the_logits_of_the_whole_text() -> None:
    weights = init(CONFIG, 2)
    lengths = np.array([3, 7, 12], dtype="int32")
    whole = texts(3)
    expected = np.asarray(jit(partial(logits, CONFIG))(weights, whole))
    # Noise after each prompt, which must be ignored.
    _, cache = jit(partial(prefill, CONFIG))(weights, whole[:, :16])
    step = jit(partial(extend, CONFIG))  # one program; separate operations would be hundreds
    own = empty_cache(CONFIG, 3, 16)
    for k in range(16):
        token = whole[np.arange(3), lengths + k]
        found, own = step(weights, token, (cache, lengths), own, k)
        np.testing.assert_allclose(found, expected[np.arange(3), lengths + k], atol=1e-5)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"width": 0}, "width must be a positive whole number, not 0"),
        ({"width": 8.0}, "width must be a positive whole number, not 8.0"),
        ({"width": 8, "layers": -1}, "layers must be a positive whole number, not -1"),
        ({"width": 9}, "width 9 must be a multiple of 2 heads"),
    ],
)
def test_a_shape_that_cannot_be(values: dict[str, int], line: str) -> None:
    with pytest.raises(UsageError, match=f"^{line}$"):
        ModelConfig(**values)
