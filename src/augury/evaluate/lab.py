"""The lab's models as a backend: teacher forcing to score, a key-value cache to sample."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from augury.errors import UsageError
from augury.evaluate.backend import Floats, SampleRequest, Score, ScoreRequest
from augury.train import CODE, LENGTH, ModelConfig, decode, encode, forward, load_checkpoint

# Rows per compiled call: enough to fill a core at width 6, and one shape to compile.
ROWS = 512


class LabBackend:
    """A checkpoint of the lab, as a `Backend`. Prompts hold at most 32 characters with the answer.

    Args:
        folder: a checkpoint.

    Raises:
        DataError: there is none, or it is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.checkpoint = load_checkpoint(folder)
        self._config = self.checkpoint.config.model
        self._weights = self.checkpoint.weights

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Log-probabilities by teacher forcing, `ROWS` requests a call."""
        spans = []
        text = np.zeros((len(requests), LENGTH), dtype=np.int32)
        for i, request in enumerate(requests):
            whole = encode(request.prompt + request.continuation)
            _fits(len(whole), request.prompt + request.continuation)
            text[i, : len(whole)] = whole
            spans.append((len(request.prompt), len(whole)))
        table = self._tables(text)
        chosen = np.take_along_axis(table, text[:, :, None].astype(int), 2)[:, :, 0]
        best = table.argmax(2)
        return [
            Score(chosen[i, a:b].astype(float), bool((best[i, a:b] == text[i, a:b]).all()))
            for i, (a, b) in enumerate(spans)
        ]

    def next_token_logprobs(self, prompts: Sequence[str]) -> Floats:
        """(n, 57) log-probabilities of the next character."""
        text = np.zeros((len(prompts), LENGTH), dtype=np.int32)
        for i, prompt in enumerate(prompts):
            _fits(len(prompt) + 1, prompt)
            text[i, : len(prompt)] = encode(prompt)
        places = [len(p) for p in prompts]
        return self._tables(text)[np.arange(len(prompts)), places].astype(float)

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        """Continuations, each request from its own random stream."""
        import jax

        out: list[list[str]] = []
        for request in requests:
            if request.samples < 1 or request.length < 1 or request.temperature <= 0:
                raise UsageError(f"cannot sample {request}: all numbers must be positive")
            _fits(len(request.prompt) + request.length, request.prompt)
            prompt = encode("^" + request.prompt).astype(np.int32)
            draw = _sampler(self._config, len(prompt), request.length)
            texts: list[str] = []
            # One stream for each block of rows: the first samples are the same however many follow.
            for block in range(-(-request.samples // ROWS)):
                key = jax.random.fold_in(jax.random.key(request.seed), block)
                drawn = draw(self._weights, prompt, key, request.temperature)
                texts += [decode(row) for row in np.asarray(drawn)]
            out.append(texts[: request.samples])
        return out

    def _tables(self, text: Any) -> Any:
        """(n, 32, 57) log-probability of every character at every position."""
        compiled = _scorer(self._config)
        blocks = []
        for first in range(0, len(text), ROWS):
            rows = text[first : first + ROWS]
            filled = np.zeros((ROWS, LENGTH), np.int32)
            filled[: len(rows)] = rows
            blocks.append(np.asarray(compiled(self._weights, filled))[: len(rows)])
        return np.concatenate(blocks)


def _fits(length: int, text: str) -> None:
    if length > LENGTH:
        raise UsageError(f"{length} characters do not fit the lab's {LENGTH}: {text!r}")


@lru_cache(maxsize=16)
def _scorer(config: ModelConfig) -> Any:
    import jax
    import jax.numpy as jnp

    def score(weights: Any, text: Any) -> Any:
        begin = jnp.full((text.shape[0], 1), CODE["^"], text.dtype)
        logits, _ = forward(config, weights, jnp.concatenate([begin, text[:, :-1]], axis=1))
        return jax.nn.log_softmax(logits)

    return jax.jit(score)


@lru_cache(maxsize=64)
def _sampler(config: ModelConfig, prompt_length: int, length: int) -> Any:
    """Compiled: (weights, prompt (p,), key, temperature) -> (ROWS, length) tokens."""
    import jax
    import jax.numpy as jnp

    step = partial(forward, config)

    def draw(weights: Any, prompt: Any, key: Any, temperature: Any) -> Any:
        logits, cache = step(weights, prompt[None])
        shared = jnp.repeat(cache, ROWS, axis=2)
        last = jnp.repeat(logits[:, -1], ROWS, axis=0)

        def one(carry: Any, k: Any) -> Any:
            logits, cache = carry
            own = jax.random.fold_in(key, k)
            token = jax.random.categorical(own, logits / temperature, axis=-1).astype(jnp.int32)
            logits, cache = step(weights, token[:, None], cache, prompt_length + k)
            return (logits[:, -1], cache), token

        _, tokens = jax.lax.scan(one, (last, shared), jnp.arange(length))
        return tokens.T

    return jax.jit(draw)
