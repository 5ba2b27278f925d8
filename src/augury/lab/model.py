"""A tiny pre-LN GPT in JAX: two layers, two heads, MLP 4x, learned positions, tied embeddings.

Whole documents go through `logits`; sampling goes through `prefill` and `extend`, which keep keys
and values. Prompt and continuation have separate caches, so that prompts of different lengths share
one compiled program and every row of a batch writes to the same position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from augury.errors import UsageError
from augury.lab.corpus import LENGTH
from augury.lab.tasks import ALPHABET

Weights = dict[str, Any]
# (layer, queries, keys, values) -> mixed values, all (rows, positions, width)
Attend = Callable[[int, Any, Any, Any], Any]


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a model.

    Attributes:
        width: of the residual stream, a multiple of the heads.
        layers: transformer blocks.
        heads: attention heads per block.

    Raises:
        UsageError: a number is not positive, or the heads do not divide the width.
    """

    width: int
    layers: int = 2
    heads: int = 2

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} must be a positive whole number, not {value!r}")
        if self.width % self.heads:
            raise UsageError(f"width {self.width} must be a multiple of {self.heads} heads")

    @property
    def params(self) -> int:
        """All parameters, embeddings included (`params_kind` "all", as the tiny world counts)."""
        w = self.width
        return (len(ALPHABET) + LENGTH) * w + self.layers * (12 * w * w + 9 * w) + 2 * w


def init(config: ModelConfig, seed: int) -> Weights:
    """Return weights by name, float32; the same for the same seed."""
    return fresh_weights(config, len(ALPHABET), LENGTH, np.random.default_rng([seed, 0]))


def fresh_weights(
    config: ModelConfig, vocabulary: int, length: int, rng: np.random.Generator
) -> Weights:
    """Return weights for a given vocabulary and text length."""
    w, inner = config.width, 4 * config.width

    def normal(*shape: int, scale: float) -> Any:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    weights: Weights = {
        "embedding": normal(vocabulary, w, scale=w**-0.5),
        "position": normal(length, w, scale=0.1 * w**-0.5),
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


def logits(config: ModelConfig, weights: Weights, tokens: Any) -> Any:
    """Return (b, t, vocabulary) logits of the token after each of (b, t) tokens, t up to 32."""
    return prefill(config, weights, tokens)[0]


def prefill(config: ModelConfig, weights: Weights, tokens: Any) -> tuple[Any, Any]:
    """Return logits as `logits`, and the cache: per layer keys and values, (b, t, width) each."""
    x, cache = _read(config, weights, tokens)
    return _head(weights, x), cache


def hidden(config: ModelConfig, weights: Weights, tokens: Any) -> Any:
    """Return (b, t, width) what the head reads: the residual stream after the last norm."""
    return _norm(_read(config, weights, tokens)[0], weights, "norm")


def _read(config: ModelConfig, weights: Weights, tokens: Any) -> tuple[Any, Any]:
    """Return the residual stream after the last layer, and the cache."""
    import jax.numpy as jnp

    t = tokens.shape[1]
    visible = jnp.tril(jnp.ones((t, t), bool))
    cache = []

    def attend(i: int, query: Any, key: Any, value: Any) -> Any:
        cache.append((key, value))
        return _attention(config.heads, query, [(key, value, visible)])

    x = weights["embedding"][tokens] + weights["position"][:t]
    return _trunk(config, weights, x, attend), tuple(cache)


def empty_cache(config: ModelConfig, rows: int, places: int) -> Any:
    """Return a cache for `extend`, of `places` tokens per row."""
    import jax.numpy as jnp

    one = jnp.zeros((rows, places, config.width), jnp.float32)
    return tuple((one, one) for _ in range(config.layers))


def extend(
    config: ModelConfig, weights: Weights, token: Any, prompt: tuple[Any, Any], own: Any, k: Any
) -> tuple[Any, Any]:
    """Advance one token, given what is cached.

    Args:
        token: (b,) the k-th token after each row's prompt, k from 0.
        prompt: cache of the prompts, from `prefill`, and (b,) lengths; what follows is masked.
        own: cache of the tokens after the prompt, filled up to k - 1.
        k: which token.

    Returns:
        (b, vocabulary) logits of the next token, and `own` filled up to k.
    """
    import jax
    import jax.numpy as jnp

    before, lengths = prompt
    seen = (jnp.arange(before[0][0].shape[1])[None] < lengths[:, None])[:, None, None]
    written = jnp.arange(own[0][0].shape[1]) <= k
    after = []

    def attend(i: int, query: Any, key: Any, value: Any) -> Any:
        keys = jax.lax.dynamic_update_slice(own[i][0], key, (0, k, 0))
        values = jax.lax.dynamic_update_slice(own[i][1], value, (0, k, 0))
        after.append((keys, values))
        return _attention(config.heads, query, [(*before[i], seen), (keys, values, written)])

    x = weights["embedding"][token] + weights["position"][jnp.minimum(lengths + k, LENGTH - 1)]
    x = _trunk(config, weights, x[:, None], attend)
    return _head(weights, x)[:, 0], tuple(after)


def behind(
    config: ModelConfig, weights: Weights, tokens: Any, count: Any, prompt: tuple[Any, Any]
) -> Any:
    """Return logits of the token after a few that were written after cached prompts.

    Args:
        tokens: (b, t) tokens after each row's prompt, t at least 1.
        count: (b,) how many of them count, at least 1; what follows is masked.
        prompt: as in `extend`.

    Returns:
        (b, vocabulary) logits.
    """
    import jax.numpy as jnp

    before, lengths = prompt
    t = tokens.shape[1]
    seen = (jnp.arange(before[0][0].shape[1])[None] < lengths[:, None])[:, None, None]
    causal = jnp.tril(jnp.ones((t, t), bool))

    def attend(i: int, query: Any, key: Any, value: Any) -> Any:
        return _attention(config.heads, query, [(*before[i], seen), (key, value, causal)])

    places = jnp.minimum(lengths[:, None] + jnp.arange(t), LENGTH - 1)
    x = _trunk(config, weights, weights["embedding"][tokens] + weights["position"][places], attend)
    last = jnp.take_along_axis(x, (count - 1)[:, None, None], 1)
    return _head(weights, last)[:, 0]


def _trunk(config: ModelConfig, weights: Weights, x: Any, attend: Attend) -> Any:
    """Apply the layers to a residual stream (b, t, width)."""
    import jax
    import jax.numpy as jnp

    for i in range(config.layers):
        h = _norm(x, weights, f"{i}.attention_norm") @ weights[f"{i}.query_key_value"]
        x = x + attend(i, *jnp.split(h, 3, axis=-1)) @ weights[f"{i}.out"]
        h = _norm(x, weights, f"{i}.mlp_norm") @ weights[f"{i}.up"] + weights[f"{i}.up_shift"]
        x = x + jax.nn.gelu(h) @ weights[f"{i}.down"] + weights[f"{i}.down_shift"]
    return x


def _head(weights: Weights, x: Any) -> Any:
    """Return logits; the head is the embedding, unless a separate one was finetuned."""
    head = weights["head"] if "head" in weights else weights["embedding"]
    return _norm(x, weights, "norm") @ head.T


def _norm(x: Any, weights: Weights, name: str) -> Any:
    import jax

    centred = x - x.mean(-1, keepdims=True)
    scale = jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return centred * scale * weights[f"{name}.scale"] + weights[f"{name}.shift"]


def _attention(heads: int, query: Any, parts: list[tuple[Any, Any, Any]]) -> Any:
    """Attend from (b, q, width) over parts, each keys, values (b, k, width) and what is visible.

    The softmax runs over all parts together.
    """
    import jax
    import jax.numpy as jnp

    b, q, width = query.shape

    def split(x: Any) -> Any:
        return x.reshape(x.shape[0], x.shape[1], heads, width // heads)

    ours = split(query) * (width // heads) ** -0.5
    scores = [
        jnp.where(visible, jnp.einsum("bqhd,bkhd->bhqk", ours, split(key)), -1e9)
        for key, _, visible in parts
    ]
    weight = jax.nn.softmax(jnp.concatenate(scores, -1) if len(scores) > 1 else scores[0], -1)
    places = np.cumsum([score.shape[-1] for score in scores])[:-1]
    mixed = sum(
        jnp.einsum("bhqk,bkhd->bqhd", share, split(value))
        for share, (_, value, _) in zip(jnp.split(weight, places, -1), parts, strict=True)
    )
    return jnp.reshape(mixed, (b, q, width))
