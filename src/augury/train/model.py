"""A tiny pre-LN GPT in JAX: two layers, two heads, MLP 4x, learned positions, tied embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from augury.errors import UsageError
from augury.train.corpus import LENGTH
from augury.train.tasks import ALPHABET

Weights = dict[str, Any]


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a model.

    Attributes:
        width: of the residual stream, even (two heads).
        layers, heads: as they say.
    """

    width: int
    layers: int = 2
    heads: int = 2

    def __post_init__(self) -> None:
        if self.width < self.heads or self.width % self.heads:
            raise UsageError(f"width {self.width} must be a multiple of {self.heads} heads")

    @property
    def params(self) -> int:
        """All parameters, embeddings included (the convention of the tiny world)."""
        w = self.width
        return (len(ALPHABET) + LENGTH) * w + self.layers * (12 * w * w + 9 * w) + 2 * w


def init(config: ModelConfig, seed: int) -> Weights:
    """Weights by name, float32; the same for the same seed."""
    rng = np.random.default_rng([seed, 0])
    w, inner = config.width, 4 * config.width

    def normal(*shape: int, scale: float) -> Any:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    weights: Weights = {
        "embedding": normal(len(ALPHABET), w, scale=w**-0.5),
        "position": normal(LENGTH, w, scale=0.1 * w**-0.5),
        "norm.scale": np.ones(w, np.float32),
        "norm.shift": np.zeros(w, np.float32),
    }
    depth = (2 * config.layers) ** -0.5  # keeps the residual stream's size, as in GPT-2
    for i in range(config.layers):
        for name in ("attention_norm", "mlp_norm"):
            weights[f"{i}.{name}.scale"] = np.ones(w, np.float32)
            weights[f"{i}.{name}.shift"] = np.zeros(w, np.float32)
        weights[f"{i}.query_key_value"] = normal(w, 3 * w, scale=w**-0.5)
        weights[f"{i}.out"] = normal(w, w, scale=depth * w**-0.5)
        weights[f"{i}.up"] = normal(w, inner, scale=w**-0.5)
        weights[f"{i}.up_shift"] = np.zeros(inner, np.float32)
        weights[f"{i}.down"] = normal(inner, w, scale=depth * inner**-0.5)
        weights[f"{i}.down_shift"] = np.zeros(w, np.float32)
    return weights


def _norm(x: Any, weights: Weights, name: str) -> Any:
    import jax.numpy as jnp

    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * weights[f"{name}.scale"] + weights[f"{name}.shift"]


def _heads(x: Any, heads: int) -> Any:
    """(b, t, w) -> (b, heads, t, w / heads)."""
    b, t, w = x.shape
    return x.reshape(b, t, heads, w // heads).transpose(0, 2, 1, 3)


def forward(
    config: ModelConfig, weights: Weights, tokens: Any, cache: Any = None, start: Any = 0
) -> tuple[Any, Any]:
    """Logits of the next token at every position.

    Args:
        tokens: (b, t) int, at positions start ... start + t - 1.
        cache: keys and values (layers, 2, b, heads, LENGTH, w / heads) of the positions before
            `start`; None where there are none.
        start: position of the first token.

    Returns:
        (b, t, vocabulary) logits, and the cache with these positions written.
    """
    import jax
    import jax.numpy as jnp

    b, t = tokens.shape
    heads, size = config.heads, config.width // config.heads
    if cache is None:
        cache = jnp.zeros((config.layers, 2, b, heads, LENGTH, size), jnp.float32)
    places = start + jnp.arange(t)
    x = weights["embedding"][tokens] + weights["position"][places]
    visible = jnp.arange(LENGTH)[None, :] <= places[:, None]
    for i in range(config.layers):
        h = _norm(x, weights, f"{i}.attention_norm") @ weights[f"{i}.query_key_value"]
        query, key, value = (_heads(part, heads) for part in jnp.split(h, 3, axis=-1))
        fresh = jnp.stack([key, value])[None]
        cache = jax.lax.dynamic_update_slice(cache, fresh, (i, 0, 0, 0, start, 0))
        scores = jnp.einsum("bhqd,bhkd->bhqk", query, cache[i, 0]) * size**-0.5
        scores = jnp.where(visible, scores, -1e9)
        mixed = jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores, -1), cache[i, 1])
        x = x + mixed.transpose(0, 2, 1, 3).reshape(b, t, -1) @ weights[f"{i}.out"]
        h = _norm(x, weights, f"{i}.mlp_norm") @ weights[f"{i}.up"] + weights[f"{i}.up_shift"]
        x = x + jax.nn.gelu(h) @ weights[f"{i}.down"] + weights[f"{i}.down_shift"]
    return _norm(x, weights, "norm") @ weights["embedding"].T, cache
