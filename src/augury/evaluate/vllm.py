"""vLLM in this process, for a machine with its own GPU.

Written to vLLM's documented interface (`vllm.LLM`, `SamplingParams`, prompts of token ids). The
tests do not run it: vLLM pins its own versions, so it does not share an environment with the extra
`models`. It was run once by hand, on an exported lab model with the CPU build of 0.32
(`docs/backends.md` has the figures); never on a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from augury.data.model_names import family_of, step_of
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
from augury.evaluate.hf_text import TokenText
from augury.evaluate.http import chunk_seed
from augury.evaluate.names import model_name
from augury.evaluate.stops import cut_text, sendable_stops

# Samples of one prompt in one request to the engine, which schedules each of them separately.
TOGETHER = 256


class VLLMBackend:
    """A model in vLLM's engine, as a `Backend`.

    Sample i of a request has its own seed, made from the request's and i; vLLM gives the same
    sample again except for rounding, which depends on what else is in its batch.

    `next_token_logprobs` gets the whole table through vLLM's lists of likely tokens: correct, and
    slow. Use it for small vocabularies, or use the transformers backend.

    Args:
        path_or_id: a folder, or an id on the hub.
        revision: branch, tag or commit on the hub.
        engine: further options of `vllm.LLM`, such as {"tensor_parallel_size": 2, "dtype":
        "float32"}.
        chat: use the checkpoint's chat template; samples are returned without their reasoning.

    Raises:
        UsageError: the extra `vllm` is missing.
    """

    def __init__(
        self,
        path_or_id: str | Path,
        revision: str | None = None,
        *,
        engine: Mapping[str, Any] | None = None,
        chat: Chat | None = None,
    ) -> None:
        try:
            import vllm
        except ModuleNotFoundError as error:
            raise UsageError(
                'this needs vllm, which is not installed: pip install "augury[vllm]", in an '
                'environment without "augury[models]"; or start `vllm serve` and use its address'
            ) from error
        self._vllm: Any = vllm
        # The table of next tokens asks for as many log-probabilities as there are tokens.
        options = {"revision": revision, "max_logprobs": -1, **(engine or {})}
        self._engine = vllm.LLM(model=str(path_or_id), **options)
        tokenizer = self._engine.get_tokenizer()
        self._text = TokenText(tokenizer, str(path_or_id), chat)
        self._chat = chat
        config = self._engine.model_config
        self.usage = TokenUsage()
        self.distribution = "own"
        self._vocabulary = int(config.get_vocab_size())
        self._context = int(config.max_model_len)
        stops = config.try_get_generation_config().get("eos_token_id")
        stops = stops if isinstance(stops, list) else [stops]
        self._ends = frozenset(int(x) for x in (*stops, tokenizer.eos_token_id) if x is not None)
        name = model_name(path_or_id)
        lab = getattr(config.hf_config, "augury", None)  # an exported model of the lab
        told = lab or {
            "model": name,
            "family": family_of(name),
            "revision": revision,
            "step": step_of(revision, name),
        }
        told = {**told, **self._text.about}
        self._about = {column: value for column, value in told.items() if value is not None}

    @property
    def about(self) -> Mapping[str, Any]:
        """Model, family, revision and step as far as the name tells them."""
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

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        """Draw continuations; the engine batches them.

        Raises:
            UsageError: prompt and length do not fit the model.
        """
        prompts, options, owner = [], [], []
        for i, request in enumerate(requests):
            tokens = self._text.prompt(request.prompt)
            self._fits(len(tokens) + request.length, request.prompt)
            for chunk, first in enumerate(range(0, request.samples, TOGETHER)):
                prompts.append(tokens)
                owner.append(i)
                options.append(
                    self._vllm.SamplingParams(
                        n=min(TOGETHER, request.samples - first),
                        seed=chunk_seed(request.seed, chunk),
                        temperature=request.temperature,
                        max_tokens=request.length,
                        stop_token_ids=sorted(self._ends),
                        stop=sendable_stops(request.stop, len(request.stop)) or None,
                        detokenize=bool(request.stop),  # stops are looked for in the text
                    )
                )
        texts: list[list[str]] = [[] for _ in requests]
        for i, done in zip(owner, self._ask(prompts, options), strict=True):
            rows: list[list[int]] = []
            self.usage.add(sum(len(o.token_ids) for o in done.outputs), len(done.prompt_token_ids))
            for out in sorted(done.outputs, key=lambda out: int(out.index)):
                row = list(out.token_ids)
                rows.append(row[:-1] if row and row[-1] in self._ends else row)
            stop = requests[i].stop
            written = self._text.texts(rows)
            if self._chat is not None:
                written = [without_reasoning(text) for text in written]
            texts[i] += [cut_text(text, stop) for text in written]
        return texts

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Score by teacher forcing the tokens that `hf_text.TokenText.seam` gives.

        Raises:
            UsageError: the tokenizer cannot write a continuation, or a text is too long.
        """
        pairs = [self._text.seam(r.prompt, r.continuation) for r in requests]
        for (before, behind), request in zip(pairs, requests, strict=True):
            # The engine writes a token even if only the prompt's are requested.
            self._fits(len(before) + len(behind) + 1, request.prompt)
        option = self._vllm.SamplingParams(max_tokens=1, prompt_logprobs=1, detokenize=False)
        asked = self._ask([[*a, *b] for a, b in pairs], [option] * len(pairs))
        scores = []
        for (before, behind), done in zip(pairs, asked, strict=True):
            told = done.prompt_logprobs[len(before) : len(before) + len(behind)]
            ours = [place[token] for place, token in zip(told, behind, strict=True)]
            tokens = np.array([x.logprob for x in ours], dtype=float)
            ranks = np.array([x.rank for x in ours], dtype=float)
            scores.append(Score(tokens, bool((ranks == 1).all()), ranks))
        return scores

    def next_token_logprobs(self, requests: Sequence[NextRequest]) -> Floats:
        """Return (n, vocabulary) log-probabilities of the next token.

        Raises:
            UsageError: a text is too long.
        """
        prompts = [[*self._text.prompt(r.prompt), *r.written] for r in requests]
        for tokens, request in zip(prompts, requests, strict=True):
            self._fits(len(tokens) + 1, request.prompt)
        option = self._vllm.SamplingParams(max_tokens=1, logprobs=-1, detokenize=False)
        table = np.full((len(requests), self._vocabulary), -np.inf)
        for row, done in enumerate(self._ask(prompts, [option] * len(prompts))):
            for token, told in done.outputs[0].logprobs[0].items():
                table[row, token] = told.logprob
        return table

    def _ask(self, prompts: Sequence[list[int]], options: Sequence[Any]) -> list[Any]:
        if not prompts:
            return []
        inputs = [{"prompt_token_ids": tokens} for tokens in prompts]
        return list(self._engine.generate(inputs, list(options), use_tqdm=False))

    def _fits(self, tokens: int, prompt: str) -> None:
        if tokens > self._context:
            raise UsageError(
                f"{prompt[:60]!r} needs {tokens} tokens with what is written behind it; "
                f"{self._about['model']} reads {self._context}"
            )
