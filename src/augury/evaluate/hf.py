"""Checkpoints of transformers as a backend: a local folder, or a hub id with its revision.

Prompts are read once per batch and their keys and values shared by their samples. Texts of
different lengths share a batch, padded on the left and masked there.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from augury.evaluate.chat import Chat, without_reasoning
from augury.evaluate.hf_load import about, check_device, load, needs_models
from augury.evaluate.hf_stops import RowWatch, StopWatch
from augury.evaluate.hf_text import TokenText
from augury.evaluate.hf_walk import TransformersWalk
from augury.evaluate.stops import cut_text
from augury.evaluate.streams import uniforms

# Keys and values of 16,384 tokens take 4 GB for Pythia-1B in single precision; the lab's models are
# equally fast from 8,192 on.
BATCH_TOKENS = 16_384
# Maximum numbers in a table of logits: 512 MB in single precision.
LOGITS = 2**27
# A step of a model this small is over before a second thread has begun; if another process has that
# core, 64 x 256 samples of the lab's width 8 took 10-30 s with two threads, .4 s with one.
SMALL = 1e6
Ids = NDArray[np.int64]


class TransformersBackend:
    """A causal language model of transformers, as a `Backend`.

    Probabilities are the model's own at temperature 1: no top-k, no top-p, whatever its generation
    configuration says. Samples are drawn by inverting the distribution in double precision with
    random numbers determined by (seed, i), so a sample does not depend on its batch, except for
    rounding inside the model: in single precision about one token in a million, in half precision
    far more.

    Weights are read from safetensors; a checkpoint with only pickled weights is read by torch's
    restricted reader, which runs no code. Code in a checkpoint is never run.

    Args:
        path_or_id: a folder, a GGUF file (dequantised; extra `gguf`), the folder of a PEFT adapter
            (merged into the model that it names), or an id on the hub.
        revision: branch, tag or commit on the hub, such as "step1000".
        device: where it runs; a GPU if available. "auto" spreads it over several.
        dtype: precision, such as "bfloat16"; by default single on a CPU, the checkpoint's own on a
            GPU.
        batch_tokens: maximum tokens of a batch, including prompts: memory against speed.
        chat: use the checkpoint's chat template; samples are returned without their reasoning.

    Raises:
        UsageError: the extra `models` is missing, an option is out of range, or the model keeps a
            recurrent state (Mamba and similar).
        DataError: the checkpoint does not exist, or cannot be read.
    """

    def __init__(
        self,
        path_or_id: str | Path,
        revision: str | None = None,
        *,
        device: str | None = None,
        dtype: str | None = None,
        batch_tokens: int = BATCH_TOKENS,
        chat: Chat | None = None,
    ) -> None:
        torch = needs_models("torch")
        if batch_tokens < 1:
            raise UsageError(f"batch_tokens must be positive, not {batch_tokens}")
        kind = None if dtype is None else getattr(torch, dtype, None)
        if dtype is not None and not (isinstance(kind, torch.dtype) and kind.is_floating_point):
            raise UsageError(
                f"dtype must be one of torch's floating-point types, such as 'bfloat16', not "
                f"{dtype!r}"
            )
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        check_device(device)
        precision = dtype or ("float32" if device == "cpu" else "auto")
        spread = device == "auto"
        tokenizer, model = load(path_or_id, revision, precision, spread)
        if getattr(model, "_is_stateful", False):
            raise UsageError(
                f"{path_or_id} keeps a recurrent state in place of keys and values, which this "
                "backend cannot share between samples: serve it (vLLM) and use its address"
            )
        self._model = (model if spread else model.to(device)).eval()
        self._small = sum(p.numel() for p in model.parameters()) < SMALL
        self._text = TokenText(tokenizer, str(path_or_id), chat)
        self._chat = chat
        self.usage = TokenUsage()
        self.distribution = "own"
        self._batch_tokens = batch_tokens
        self._takes = set(inspect.signature(model.forward).parameters)
        self._vocabulary = int(model.get_output_embeddings().weight.shape[0])
        self._context = getattr(model.config, "max_position_embeddings", None)
        precise = {"dtype": dtype} if dtype not in (None, "float32") else {}
        self._about = about(model, path_or_id, revision) | precise | dict(self._text.about)
        stops = model.generation_config.eos_token_id if model.generation_config else None
        stops = stops if isinstance(stops, list) else [stops]
        self._ends = frozenset(int(x) for x in (*stops, tokenizer.eos_token_id) if x is not None)

    @property
    def about(self) -> Mapping[str, Any]:
        """Model, family, revision, step, params (non-embedding), params_total; dtype if requested.

        An exported lab model has the same columns as its `LabBackend`.
        """
        return self._about

    @property
    def ends(self) -> frozenset[int]:
        """End tokens of the generation configuration and of the tokenizer."""
        return self._ends

    @property
    def unique_tokens(self) -> bool:
        """False: most texts can be written with several sequences of tokens."""
        return False

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens written after a prompt, without special tokens."""
        return self._text.texts([tokens])[0]

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Score by teacher forcing the tokens that `hf_text.TokenText.seam` gives.

        Raises:
            UsageError: the tokenizer cannot write a continuation, or a text is too long.
        """
        pairs = [self._text.seam(r.prompt, r.continuation) for r in requests]
        for pair, request in zip(pairs, requests, strict=True):
            self._fits(len(pair[0]) + len(pair[1]), request.prompt)
        return self._forced(pairs, 1.0)

    def forced(
        self, rows: Sequence[tuple[str, tuple[int, ...]]], temperature: float
    ) -> list[float]:
        """Return log-probabilities of exactly these tokens after each prompt; -inf if unknown."""
        pairs = [(self._text.prompt(prompt), list(tokens)) for prompt, tokens in rows]
        totals = np.full(len(rows), -np.inf)
        known = [i for i, (_, behind) in enumerate(pairs) if max(behind) < self._vocabulary]
        scores = self._forced([pairs[i] for i in known], temperature)
        totals[known] = [score.total for score in scores]
        return [float(x) for x in totals]

    @property
    def context(self) -> int | None:
        """Number of tokens that the model can read at once, if its configuration gives it."""
        return None if self._context is None else int(self._context)

    def document_tokens(self, text: str) -> list[int]:
        """Return the tokens of a document, with what the tokenizer puts before a text."""
        return self._text.prompt(text)

    def pair_logprobs(
        self, pairs: Sequence[tuple[list[int], list[int]]]
    ) -> list[NDArray[np.float64]]:
        """Return log-probabilities of the second tokens of each pair after the first ones."""
        return [score.tokens for score in self._forced(pairs, 1.0)]

    def _forced(
        self, pairs: Sequence[tuple[list[int], list[int]]], temperature: float
    ) -> list[Score]:
        """Score tokens after tokens."""
        torch = needs_models("torch")
        scores: dict[int, Score] = {}
        sizes = [len(a) + len(b) - 1 for a, b in pairs]
        for rows in self._batches(sizes, [len(b) for _, b in pairs]):
            keep = max(len(pairs[i][1]) for i in rows)
            fed = [[*pairs[i][0], *pairs[i][1]][:-1] for i in rows]
            with self._running():
                logits = self._read(fed, keep)[0].float() / temperature
                wanted = np.zeros((len(rows), keep), dtype=np.int64)
                for row, i in enumerate(rows):
                    wanted[row, keep - len(pairs[i][1]) :] = pairs[i][1]
                target = torch.from_numpy(wanted).to(logits.device)
                own = logits.gather(2, target[:, :, None])
                chosen = own[:, :, 0] - logits.logsumexp(2)
                best = (logits.argmax(2) == target).cpu().numpy()
                ranks = 1.0 + (logits > own).sum(2).double().cpu().numpy()
                tokens = chosen.double().cpu().numpy()
            for row, i in enumerate(rows):
                first = keep - len(pairs[i][1])
                greedy = bool(best[row, first:].all())
                scores[i] = Score(tokens[row, first:], greedy, ranks[row, first:])
        return [scores[i] for i in range(len(pairs))]

    def next_token_logprobs(self, requests: Sequence[NextRequest]) -> Floats:
        """Return (n, vocabulary) log-probabilities; requests that share a prompt read it once.

        Raises:
            UsageError: a text is too long.
        """
        prompts = {text: self._text.prompt(text) for text in {r.prompt for r in requests}}
        table = np.empty((len(requests), self._vocabulary))
        sizes = []
        for request in requests:
            sizes.append(len(prompts[request.prompt]) + len(request.written))
            self._fits(sizes[-1] + 1, request.prompt)
        # One depth per batch: every row then ends at the requested position.
        for depth in sorted({len(r.written) for r in requests}):
            at = [i for i, r in enumerate(requests) if len(r.written) == depth]
            for chosen in self._batches([sizes[i] for i in at], [1] * len(at)):
                rows = [at[i] for i in chosen]
                batch = [requests[i] for i in rows]
                with self._running():
                    logits, past = self._shared([prompts[r.prompt] for r in batch])
                    if depth:
                        logits = past.extend([r.written for r in batch])
                    table[rows] = logits.double().log_softmax(1).cpu().numpy()
        return table

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        """Draw continuations; requests of any kind share a batch, each row with its own stream.

        Raises:
            UsageError: prompt and length do not fit the model.
        """
        known = {text: self._text.prompt(text) for text in {r.prompt for r in requests}}
        prompts = [known[r.prompt] for r in requests]
        for request, tokens in zip(requests, prompts, strict=True):
            self._fits(len(tokens) + request.length, request.prompt)
        watches = {r.stop: StopWatch(self._text, r.stop) for r in requests if r.stop}
        written: list[list[list[int]]] = [[] for _ in requests]
        for parts in self._parts(requests, prompts):
            rows = self._draw(requests, prompts, parts, watches)
            for of, first, last in parts:
                written[of] += rows[: last - first]
                del rows[: last - first]
        texts = [self._text.texts(rows) for rows in written]
        if self._chat is not None:
            texts = [[without_reasoning(text) for text in own] for own in texts]
        return [
            [cut_text(text, request.stop) for text in own] if request.stop else own
            for request, own in zip(requests, texts, strict=True)
        ]

    def _draw(
        self,
        requests: Sequence[SampleRequest],
        prompts: Sequence[list[int]],
        parts: Sequence[tuple[int, int, int]],
        watches: Mapping[tuple[str, ...], StopWatch],
    ) -> list[list[int]]:
        """Draw the tokens of samples `first` to `last` of requests, in one batch."""
        torch = needs_models("torch")
        of = [i for i, first, last in parts for _ in range(last - first)]
        number = [n for _, first, last in parts for n in range(first, last)]
        asked = [requests[i] for i in of]
        watch = RowWatch(self._text, asked, number, watches, give_up=self._chat is None)
        longest = max(requests[i].length for i, _, _ in parts)
        with self._running():
            logits, past = self._shared([prompts[i] for i in of])
            place = logits.device if logits.device.type != "mps" else "cpu"  # it has no doubles
            lengths = torch.tensor([requests[i].length for i in of], device=place)
            heat = [requests[i].temperature for i in of]
            temperature = torch.tensor(heat, dtype=torch.double, device=place)
            numbers = [
                uniforms(requests[i].seed, first, last - first, longest) for i, first, last in parts
            ]
            uniform = torch.from_numpy(np.concatenate(numbers)).to(place)
            ends = torch.tensor(sorted(self._ends), dtype=torch.long, device=place)
            tokens = torch.zeros((len(of), longest), dtype=torch.long, device=place)
            written = torch.zeros(len(of), dtype=torch.long, device=place)
            alive = torch.arange(len(of), device=place)
            self.usage.add(0, sum(len(p) for p in {tuple(prompts[i]) for i in of}))
            for k in range(longest):
                scaled = logits.to(place).double() / temperature[alive, None]
                below = (scaled - scaled.amax(1, keepdim=True)).exp().cumsum(1)
                wanted = uniform[alive, k] * below[:, -1]
                # The first token whose cumulative mass is above: never one without mass.
                drawn = torch.searchsorted(below, wanted[:, None], right=True)[:, 0]
                drawn = drawn.clamp_(max=self._vocabulary - 1)
                ended = torch.isin(drawn, ends)
                tokens[alive, k] = drawn
                written[alive] += (~ended).long()
                self.usage.add(len(alive), 0)
                going = ~ended & (lengths[alive] > k + 1)
                if watch.looks:
                    met = watch.ended(alive.tolist(), tokens[alive, : k + 1].tolist())
                    going &= ~torch.tensor(met, dtype=torch.bool, device=place)
                if not going.all():
                    alive, drawn = alive[going], drawn[going]
                    if not len(alive):
                        break
                    past.select(going.nonzero()[:, 0])
                logits = past.step(drawn)
            counts = written.tolist()
            return [row[:n] for row, n in zip(tokens.tolist(), counts, strict=True)]

    def walk(self, prompts: Sequence[str]) -> TransformersWalk:
        """Write a text after each prompt token by token (`walk.TokenWalk`)."""
        with self._running():
            logits, past = self._shared([self._text.prompt(prompt) for prompt in prompts])
        return TransformersWalk(logits, past, self._running)

    def walk_rows(self, prompt: str, length: int) -> int:
        """Return the number of rows that fit the memory, with this many tokens after the prompt.

        Raises:
            UsageError: they do not fit the model.
        """
        tokens = len(self._text.prompt(prompt)) + length
        self._fits(tokens, prompt)
        return self._most(tokens, 1)

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Disable gradients, and use one thread for a small model."""
        torch = needs_models("torch")
        threads = torch.get_num_threads()
        alone = self._small and threads > 1
        if alone:
            torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                yield
        finally:
            if alone:
                torch.set_num_threads(threads)

    def _shared(self, prompts: Sequence[list[int]]) -> tuple[Any, _Past]:
        """Return next-token logits (rows, vocabulary) after prompts, read once if repeated."""
        torch = needs_models("torch")
        distinct = {tuple(p): i for i, p in enumerate(dict.fromkeys(map(tuple, prompts)))}
        logits, past = self._read([list(p) for p in distinct], 1)
        if len(distinct) == len(prompts):
            return logits[:, -1], past
        index = torch.tensor([distinct[tuple(p)] for p in prompts], device=logits.device)
        past.select(index)
        return logits[index, -1], past

    def _read(self, texts: Sequence[list[int]], keep: int) -> tuple[Any, _Past]:
        """Return logits (rows, keep, vocabulary) after the last `keep` tokens, and the cache."""
        torch = needs_models("torch")
        widest = max(map(len, texts))
        tokens = np.zeros((len(texts), widest), dtype=np.int64)
        for row, text in enumerate(texts):
            tokens[row, widest - len(text) :] = text
        blank = torch.tensor([widest - len(text) for text in texts], device=self._model.device)
        past = _Past(self._model, self._takes, blank)
        return past.read(torch.from_numpy(tokens).to(self._model.device), keep), past

    def _fits(self, tokens: int, prompt: str) -> None:
        # The last token is written, not read.
        if self._context and tokens - 1 > self._context:
            raise UsageError(
                f"{prompt[:60]!r} needs {tokens} tokens with what is written behind it; "
                f"{self._about['model']} reads {self._context}"
            )

    def _most(self, tokens: int, kept: int) -> int:
        """Return the rows per batch, at least one: `tokens` read and `kept` logit rows each."""
        return max(min(self._batch_tokens // tokens, LOGITS // (kept * self._vocabulary)), 1)

    def _batches(self, sizes: Sequence[int], kept: Sequence[int]) -> Iterator[list[int]]:
        """Yield indices of texts that are read together, of similar length."""
        batch: list[int] = []
        widest = 1
        for i in sorted(range(len(sizes)), key=lambda i: (sizes[i], kept[i])):
            widest = max(widest, kept[i])
            if batch and len(batch) >= self._most(sizes[i], widest):
                yield batch
                batch, widest = [], kept[i]
            batch.append(i)
        if batch:
            yield batch

    def _parts(
        self, requests: Sequence[SampleRequest], prompts: Sequence[list[int]]
    ) -> Iterator[list[tuple[int, int, int]]]:
        """Yield batches of (request, first, last sample), similar prompt lengths together."""
        parts: list[tuple[int, int, int]] = []
        rows, longest = 0, 0
        for i in sorted(range(len(requests)), key=lambda i: len(prompts[i])):
            first = 0
            while first < requests[i].samples:
                longest = max(longest, requests[i].length)
                free = self._most(len(prompts[i]) + longest, 1) - rows
                if free <= 0:
                    yield parts
                    parts, rows, longest = [], 0, 0
                    continue
                last = min(first + free, requests[i].samples)
                parts.append((i, first, last))
                rows, first = rows + last - first, last
        if parts:
            yield parts


class _Past:
    """Rows that a model has read, padded on the left by `blank` (rows,) tokens, and its cache."""

    def __init__(self, model: Any, takes: set[str], blank: Any) -> None:
        self._model, self._takes, self._blank = model, takes, blank
        self._cache: Any = None
        self._length = 0
        self._padded = bool(blank.any())

    def read(self, tokens: Any, keep: int) -> Any:
        """Read (rows, t) tokens; return logits (rows, keep, vocabulary) after the last `keep`."""
        torch = needs_models("torch")
        before, self._length = self._length, self._length + tokens.shape[1]
        inputs: dict[str, Any] = {"input_ids": tokens, "use_cache": True}
        if self._cache is not None:
            inputs["past_key_values"] = self._cache
        if self._padded:
            places = torch.arange(self._length, device=tokens.device)[None]
            inputs["attention_mask"] = (places >= self._blank[:, None]).long()
            if "position_ids" in self._takes:
                inputs["position_ids"] = (places - self._blank[:, None]).clamp_(min=0)[:, before:]
        if "logits_to_keep" in self._takes:
            inputs["logits_to_keep"] = keep
        out = self._model(**inputs)
        self._cache = out.past_key_values
        return out.logits[:, -keep:]

    def step(self, token: Any) -> Any:
        """Read (rows,) tokens; return next-token logits (rows, vocabulary)."""
        return self.read(token.to(self._blank.device)[:, None], 1)[:, -1]

    def extend(self, written: Sequence[tuple[int, ...]]) -> Any:
        """Read equally many tokens per row; return next-token logits (rows, vocabulary)."""
        torch = needs_models("torch")
        return self.read(torch.tensor(written, device=self._blank.device), 1)[:, -1]

    def select(self, rows: Any) -> None:
        """Keep these rows, in this order; a row may occur several times."""
        rows = rows.to(self._blank.device)
        self._cache.batch_select_indices(rows)
        self._blank = self._blank[rows]
