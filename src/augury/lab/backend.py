"""The lab's models as a backend: teacher forcing to score, cached keys and values to sample.

Everything runs in a few fixed shapes, so that JAX compiles once per model and kind of question:
rows are padded to 64 or 1,024, positions to a multiple of eight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augury.errors import UsageError
from augury.evaluate.backend import (
    Floats,
    NextRequest,
    SampleRequest,
    Score,
    ScoreRequest,
    TokenUsage,
)
from augury.evaluate.stops import cut_text
from augury.lab.checkpoint import Checkpoint, load_checkpoint
from augury.lab.corpus import LENGTH
from augury.lab.model import ModelConfig, behind, empty_cache, extend, logits, prefill
from augury.lab.tasks import ALPHABET, BEGIN, encode
from augury.lab.trainer import shifted
from augury.runtime.compiling import jit

# Rows per compiled call. 1,024 draws as many samples per second as 4,096 at width 8 and more at 64.
ROWS = (64, 1024)
PLACES = 8
_TEXT = np.array(list(ALPHABET))


class LabBackend:
    """A checkpoint of the lab, as a `Backend`; prompt and answer have at most 32 characters.

    Args:
        checkpoint: its folder, or a checkpoint in memory.

    Raises:
        DataError: it does not exist, or is damaged.
    """

    def __init__(self, checkpoint: str | Path | Checkpoint) -> None:
        loaded = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(checkpoint)
        self.checkpoint = loaded
        self._config = loaded.config.model
        self._weights = loaded.weights
        self.usage = TokenUsage()
        self.distribution = "own"

    @property
    def about(self) -> Mapping[str, Any]:
        """Model, family, step, seed, params (all), tokens, flops, loss and the text's mixture."""
        saved = self.checkpoint
        return {
            "model": saved.config.name,
            "family": saved.config.family,
            "step": saved.step,
            "seed": saved.config.seed,
            "params": float(saved.config.model.params),
            "params_kind": "all",
            "tokens": saved.tokens,
            "flops": saved.flops,
            "loss": saved.loss,
            "loss_set": f"lab: {saved.config.mixture}",
        }

    @property
    def ends(self) -> frozenset[int]:
        """Empty: the lab's models write characters until they are stopped."""
        return frozenset()

    @property
    def unique_tokens(self) -> bool:
        """True: a character is a token."""
        return True

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, one character each."""
        return "".join(ALPHABET[token] for token in tokens)

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Return log-probabilities by teacher forcing.

        Raises:
            UsageError: prompt and continuation do not fit 32 characters, or are not of the lab's.
        """
        texts = [request.prompt + request.continuation for request in requests]
        tokens = _filled(texts, LENGTH)
        score = _scorer(self._config)
        chosen, best, ranks = _by_rows(lambda rows: score(self._weights, rows), tokens)
        scores = []
        for i, request in enumerate(requests):
            span = slice(len(request.prompt), len(texts[i]))
            own, greedy = chosen[i, span].astype(float), bool(best[i, span].all())
            scores.append(Score(own, greedy, ranks[i, span].astype(float)))
        return scores

    def next_token_logprobs(self, requests: Sequence[NextRequest]) -> Floats:
        """Return (n, 57) log-probabilities of the next character.

        Raises:
            UsageError: a text has more than 31 characters, or some outside the lab's alphabet.
        """
        if not requests:
            return np.zeros((0, len(ALPHABET)))
        longest = max(len(r.written) for r in requests)
        for request in requests:
            _fits(len(request.prompt) + len(request.written) + 1, request.prompt)
        # Prompts are read once each, whatever is written after them.
        place = {prompt: i for i, prompt in enumerate(dict.fromkeys(r.prompt for r in requests))}
        prompts = _with_begin(_filled(list(place), LENGTH - 1))
        lengths = np.array([len(prompt) + 1 for prompt in place], dtype=np.int32)
        before = min(_rounded(int(lengths.max())), LENGTH)
        read, look = _reader(self._config), _looker(self._config)
        of = np.array([place[r.prompt] for r in requests])
        count = np.array([len(r.written) for r in requests], dtype=np.int32)
        written = np.zeros((len(requests), _rounded(max(longest, 1))), dtype=np.int32)
        for i, request in enumerate(requests):
            written[i, : count[i]] = request.written
        parts = []
        for first in range(0, len(place), ROWS[0]):
            rows = np.zeros((ROWS[0], before), np.int32)
            some = prompts[first : first + ROWS[0], :before]
            rows[: len(some)] = some
            sizes = np.ones(ROWS[0], np.int32)
            sizes[: len(some)] = lengths[first : first + ROWS[0]]
            start, cache = read(self._weights, rows, sizes)
            own = np.flatnonzero((of >= first) & (of < first + ROWS[0]))
            (table,) = _by_rows(
                lambda at, tokens, n, start=start, cache=cache, sizes=sizes: (
                    look(self._weights, start, cache, sizes, at, tokens, n),
                ),
                (of[own] - first).astype(np.int32),
                written[own],
                count[own],
            )
            parts.append((own, table))
        out = np.empty((len(requests), len(ALPHABET)))
        for own, table in parts:
            out[own] = table
        return out

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        """Draw continuations; requests of any kind share a batch, each row with its own stream.

        Probabilities are resolved to 2^-24 (single precision): a rarer token is hardly ever drawn.
        `exact` has no such floor.

        Raises:
            UsageError: prompt and length do not fit 32 characters, or a character is not the lab's.
        """
        if not requests:
            return []
        for request in requests:
            _fits(len(request.prompt) + request.length, request.prompt)
        prompts = _filled([request.prompt for request in requests], LENGTH - 1)
        lengths = np.array([len(r.prompt) + 1 for r in requests], dtype=np.int32)
        longest = max(r.length for r in requests)
        seeds = np.array([r.seed for r in requests], dtype=np.uint64)
        before = min(_rounded(int(lengths.max())), LENGTH)
        draw = _sampler(self._config, before, _rounded(longest))
        counts = np.array([r.samples for r in requests])
        of = np.repeat(np.arange(len(requests)), counts)
        which = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        streams = np.stack([seeds >> np.uint64(32), seeds & np.uint64(2**32 - 1)], 1)
        temperatures = np.array([r.temperature for r in requests], dtype=np.float32)
        # What a row reads: the begin token and its prompt, cut at the longest prompt of the call.
        read = _with_begin(prompts)[:, :before]
        (tokens,) = _by_rows(
            lambda *rows: (draw(self._weights, longest, *rows),),
            read[of],
            lengths[of],
            streams[of].astype(np.uint32),
            which.astype(np.uint32),
            temperatures[of],
        )
        out: list[list[str]] = []
        for i, end in enumerate(np.cumsum(counts)):
            request = requests[i]
            rows = _TEXT[tokens[end - counts[i] : end, : request.length]]
            texts = rows.view(f"<U{request.length}")[:, 0].tolist()
            # All positions are drawn in one compiled call; what follows a stop is dropped.
            kept = _kept(texts, request.stop) if request.stop else rows.size
            self.usage.add(kept, len(request.prompt) + 1)
            out.append([cut_text(t, request.stop) for t in texts] if request.stop else texts)
        return out


def _kept(texts: Sequence[str], stops: Sequence[str]) -> int:
    """Count the characters up to the end of each text's first stop."""
    total = 0
    for text in texts:
        cut = cut_text(text, stops)
        ends = [len(cut) + len(s) for s in stops if text.startswith(s, len(cut))]
        total += min(ends, default=len(text))
    return total


def open_lab_model(folder: str) -> LabBackend:
    """Open the checkpoint in `folder`, or the last one of a run's folder."""
    path = Path(folder)
    steps = [p for p in path.glob("step-*") if p.name[5:].isdigit()]
    if (path / "config.json").exists() or not steps:
        return LabBackend(path)
    return LabBackend(max(steps, key=lambda p: int(p.name[5:])))


def _filled(texts: Sequence[str], most: int) -> NDArray[np.int32]:
    """Return (n, 32) tokens of texts with up to `most` characters, followed by zeros."""
    tokens = np.zeros((len(texts), LENGTH), dtype=np.int32)
    for i, text in enumerate(texts):
        _fits(len(text) + LENGTH - most, text)
        tokens[i, : len(text)] = encode(text)
    return tokens


def _with_begin(tokens: NDArray[np.int32]) -> NDArray[np.int32]:
    begin = np.full((len(tokens), 1), ALPHABET.index(BEGIN), np.int32)
    return np.concatenate([begin, tokens[:, :-1]], axis=1)


def _fits(length: int, text: str) -> None:
    if length > LENGTH:
        raise UsageError(
            f"{text!r} needs {length} characters with what is written behind it; "
            f"the lab's models have {LENGTH}"
        )


def _rounded(places: int) -> int:
    return -(-places // PLACES) * PLACES


def _by_rows(ask: Callable[..., tuple[Any, ...]], *inputs: Any) -> list[Any]:
    """Ask in blocks of one of the fixed numbers of rows, and join the answers."""
    parts = []
    for first, last, size in _blocks(len(inputs[0])):
        block = []
        for x in inputs:
            rows = np.zeros((size, *x.shape[1:]), x.dtype)
            rows[: last - first] = x[first:last]
            block.append(rows)
        parts.append([np.asarray(answer)[: last - first] for answer in ask(*block)])
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _blocks(n: int) -> Iterator[tuple[int, int, int]]:
    """Yield first row, last row and rows to pad to; at least one block."""
    first = 0
    while True:
        size = next((rows for rows in ROWS if n - first <= rows), ROWS[-1])
        last = min(first + size, n)
        yield first, last, size
        if last >= n:
            return
        first = last


@lru_cache(maxsize=64)
def _scorer(config: ModelConfig) -> Any:
    """Compile: log-probability of each character of (b, 32) texts; whether the likeliest; rank."""
    import jax
    import jax.numpy as jnp

    def score(weights: Any, text: Any) -> tuple[Any, Any, Any]:
        table = jax.nn.log_softmax(logits(config, weights, shifted(text)))
        chosen = jnp.take_along_axis(table, text[:, :, None], 2)
        return chosen[:, :, 0], table.argmax(2) == text, 1 + (table > chosen).sum(2)

    return jit(score)


@lru_cache(maxsize=64)
def _reader(config: ModelConfig) -> Any:
    """Compile: logits after (p, t) prompts of given lengths, and their cache."""
    import jax.numpy as jnp

    def read(weights: Any, prompts: Any, lengths: Any) -> tuple[Any, Any]:
        table, cache = prefill(config, weights, prompts)
        return jnp.take_along_axis(table, (lengths - 1)[:, None, None], 1)[:, 0], cache

    return jit(read)


@lru_cache(maxsize=64)
def _looker(config: ModelConfig) -> Any:
    """Compile: log-probabilities (b, 57) of the character after prompts and (b, t) tokens."""
    import jax
    import jax.numpy as jnp

    def look(
        weights: Any, start: Any, cache: Any, lengths: Any, of: Any, written: Any, count: Any
    ) -> Any:
        own = tuple((key[of], value[of]) for key, value in cache)
        table = behind(config, weights, written, jnp.maximum(count, 1), (own, lengths[of]))
        return jax.nn.log_softmax(jnp.where((count == 0)[:, None], start[of], table))

    return jit(look)


@lru_cache(maxsize=64)
def _sampler(config: ModelConfig, before: int, behind: int) -> Any:
    """Compile: (b, behind) characters, the first `longest` of which are drawn."""
    import jax
    import jax.numpy as jnp

    def draw(
        weights: Any,
        longest: Any,
        prompts: Any,
        lengths: Any,
        streams: Any,
        which: Any,
        temperature: Any,
    ) -> Any:
        rows = prompts.shape[0]
        table, cache = prefill(config, weights, prompts)
        last = jnp.take_along_axis(table, jnp.maximum(lengths - 1, 0)[:, None, None], 1)[:, 0]

        def own_key(stream: Any, i: Any) -> Any:
            key = jax.random.fold_in(jax.random.key(stream[0]), stream[1])
            return jax.random.fold_in(key, i)

        keys = jax.vmap(own_key)(streams, which)
        # One uniform number per character, by inverting the distribution: Gumbel noise would need
        # 57.
        uniform = jax.vmap(lambda key: jax.random.uniform(key, (LENGTH,)))(keys)

        def one(k: Any, carry: Any) -> Any:
            last, own, tokens = carry
            below = jnp.cumsum(jax.nn.softmax(last / temperature[:, None], -1), -1)
            chosen = (below <= (uniform[:, k] * below[:, -1])[:, None]).sum(-1)
            token = jnp.minimum(chosen, len(ALPHABET) - 1).astype(jnp.int32)
            tokens = jax.lax.dynamic_update_slice(tokens, token[:, None], (0, k))
            last, own = extend(config, weights, token, (cache, lengths), own, k)
            return last, own, tokens

        start = (last, empty_cache(config, rows, behind), jnp.zeros((rows, behind), jnp.int32))
        return jax.lax.fori_loop(0, longest, one, start)[2]

    return jit(draw)
