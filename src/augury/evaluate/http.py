"""Any server that speaks OpenAI's completions: vLLM, SGLang, llama.cpp, transformers, hosted ones.

Requests go out side by side up to a limit, each is tried again when the server is busy or the line
breaks, and an answer that is not one is reported as what it was.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from augury.data.model_names import family_of, step_of
from augury.errors import DataError, UsageError
from augury.evaluate.backend import (
    Floats,
    NextRequest,
    SampleRequest,
    Score,
    ScoreRequest,
    TokenUsage,
)
from augury.evaluate.http_line import Line, RefusedError, garbage
from augury.evaluate.stops import cut_text, sendable_stops

KEY = "AUGURY_API_KEY"
# vLLM's CPU build draws 1,200 samples/s of 8 tokens so, 240-440 one at a time.
N_PER_REQUEST = 16
# OpenAI's servers refuse more; what the others would cut is cut here.
MOST_STOPS = 4


class HTTPBackend:
    """A model behind a server, as a `Backend` that samples, and scores where the server can.

    Sample i of a request comes with chunk i // n_per_request, whose seed is made of the request's
    and the chunk's number. Servers that keep to seeds give the same samples again (vLLM does up to
    rounding between batches; some ignore them).

    Top-p is sent as 1. What else cuts the distribution is the server's own: llama.cpp keeps the 40
    likeliest tokens and min-p .05 unless `extra` says {"top_k": 0, "min_p": 0}, and vLLM follows
    the checkpoint's generation configuration unless it says {"top_k": 0} or is started with
    `--generation-config vllm`.

    Args:
        url: of the server, such as "http://localhost:8000"; "/v1" is added where it is missing.
        model: as the server calls it.
        in_flight: requests under way at a time.
        n_per_request: samples asked for in one request; by default 16, or 1 where a first small
            request shows that the server gives no more.
        retries: how often a request is tried again before the run stops.
        timeout: seconds that a server may take to answer.
        chat: ask /chat/completions, the prompt as the user's message; such a model has no scores.
        extra: more fields of every request, for the server at hand.
        api_key: sent as bearer token; by default the environment's AUGURY_API_KEY, if any.

    Raises:
        UsageError: an option is out of range, or the extra `http` is missing.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        in_flight: int = 64,
        n_per_request: int | None = None,
        retries: int = 8,
        timeout: float = 600.0,
        chat: bool = False,
        extra: Mapping[str, Any] | None = None,
        api_key: str | None = None,
    ) -> None:
        for name, value in (("in_flight", in_flight), ("n_per_request", n_per_request)):
            if value is not None and value < 1:
                raise UsageError(f"{name} must be positive, not {value}")
        if retries < 0:
            raise UsageError(f"retries must be at least 0, not {retries}")
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"url must begin with http:// or https://, not {url!r}")
        base = url.rstrip("/")
        base = base if base.endswith("/v1") else f"{base}/v1"
        self.url = base + ("/chat/completions" if chat else "/completions")
        self._model, self._chat, self._n = model, chat, n_per_request
        self._extra = dict(extra or {})
        self.usage = TokenUsage()
        key = api_key if api_key is not None else os.environ.get(KEY)
        self._line = Line(self.url, in_flight, retries, timeout, key)

    def __enter__(self) -> HTTPBackend:
        """The backend itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Let go of the connections; a later request opens new ones."""
        self._line.close()

    @property
    def about(self) -> Mapping[str, Any]:
        """Model, and family and step as far as its name tells them."""
        told = {
            "model": self._model,
            "family": family_of(self._model),
            "step": step_of(self._model),
        }
        return {column: value for column, value in told.items() if value is not None}

    @property
    def ends(self) -> frozenset[int]:
        """None that are known: the server ends texts itself."""
        return frozenset()

    @property
    def unique_tokens(self) -> bool:
        """False: most texts can be written with several sequences of tokens."""
        return False

    def decode(self, tokens: Sequence[int]) -> str:
        """RefusedError.

        Raises:
            UsageError: always; a server does not show its tokens.
        """
        raise UsageError(f"{self._model} at {self.url} does not show its tokens")

    def next_token_logprobs(self, requests: Sequence[NextRequest]) -> Floats:
        """RefusedError.

        Raises:
            UsageError: always; servers show a handful of likely tokens, not all.
        """
        raise UsageError(
            f"{self._model} at {self.url} does not show the probabilities of all next tokens; "
            "sample from it, or load the checkpoint itself"
        )

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        """Continuations; every chunk of a request is one call to the server.

        Raises:
            UsageError: the server refuses the request, or there is none.
            DataError: it answered something else than completions, or could not be reached.
        """
        if not requests:
            return []
        together = self._n = self._n or self._together(requests[0])
        bodies, owner = [], []
        for i, request in enumerate(requests):
            for chunk, first in enumerate(range(0, request.samples, together)):
                n = min(together, request.samples - first)
                bodies.append(self._body(request, n, chunk_seed(request.seed, chunk)))
                owner.append(i)
        texts: list[list[str]] = [[] for _ in requests]
        for i, body, answer in zip(owner, bodies, self._line.ask(bodies), strict=True):
            stop = requests[i].stop
            texts[i] += [cut_text(text, stop) for text in self._texts(answer, body.get("n", 1))]
            self._count(answer)
        return texts

    def _count(self, answer: Any) -> None:
        """Tokens that an answer took, where it says so."""
        told = answer.get("usage")
        told = told if isinstance(told, dict) else {}
        drawn, read = (
            x if isinstance(x := told.get(k), int) else None
            for k in ("completion_tokens", "prompt_tokens")
        )
        paid = None if drawn is None or read is None else drawn + read
        self.usage.add(drawn, read, paid)

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Log-probabilities, from a server that echoes prompts with theirs (vLLM, SGLang).

        Raises:
            UsageError: this one does not, or a continuation does not begin with a token.
            DataError: it answered something else than completions, or could not be reached.
        """
        if self._chat:
            raise UsageError(f"{self.url} chats: it does not score texts; use chat=False")
        bodies = [
            {
                "model": self._model,
                "prompt": r.prompt + r.continuation,
                "max_tokens": 1,  # some servers fail at 0; what is written is cut off below
                "temperature": 0.0,
                "echo": True,
                "logprobs": 1,
                **self._extra,
            }
            for r in requests
        ]
        answers = self._line.ask(bodies)
        return [self._score(r, a) for r, a in zip(requests, answers, strict=True)]

    def _together(self, request: SampleRequest) -> int:
        """How many samples to ask for at once, from what the server makes of a request for two."""
        try:
            (answer,) = self._line.ask([{**self._body(request, 2, request.seed), "max_tokens": 1}])
        except RefusedError:
            return 1
        return N_PER_REQUEST if len(self._choices(answer)) == 2 else 1

    def _body(self, request: SampleRequest, n: int, seed: int) -> dict[str, Any]:
        message = [{"role": "user", "content": request.prompt}]
        body: dict[str, Any] = {
            "model": self._model,
            **({"messages": message} if self._chat else {"prompt": request.prompt}),
            "max_tokens": request.length,
            "temperature": request.temperature,
            "top_p": 1.0,
            "seed": seed,
        }
        if n > 1:  # some servers refuse the field
            body["n"] = n
        if stop := sendable_stops(request.stop, MOST_STOPS):
            body["stop"] = stop
        return {**body, **self._extra}

    def _texts(self, answer: Any, n: int) -> list[str]:
        choices = self._choices(answer)
        if len(choices) != n:
            raise UsageError(
                f"{self.url} gave {len(choices)} of {n} samples asked for at once: "
                "it does not know the field n; leave n_per_request out, or use 1"
            )
        texts = []
        for choice in choices:
            text = choice["message"].get("content") if self._chat else choice.get("text")
            if not isinstance(text, str):
                raise self._garbage("a choice without text", choice)
            texts.append(text)
        return texts

    def _choices(self, answer: Any) -> list[dict[str, Any]]:
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not choices:
            raise self._garbage("an answer without choices", answer)
        for choice in choices:
            whole = isinstance(choice, dict)
            if not whole or (self._chat and not isinstance(choice.get("message"), dict)):
                raise self._garbage("a choice of another form", choice)
        # Servers may answer in any order.
        return sorted(choices, key=lambda c: c["index"] if isinstance(c.get("index"), int) else 0)

    def _score(self, request: ScoreRequest, answer: Any) -> Score:
        choice = self._choices(answer)[0]
        told = choice.get("logprobs")
        refused = UsageError(
            f"{self._model} at {self.url} does not show the log-probabilities of a given text "
            "(echo with logprobs): sample from it, or load the checkpoint itself"
        )
        whole = request.prompt + request.continuation
        if not isinstance(told, dict) or not str(choice.get("text")).startswith(whole):
            raise refused
        tokens, values, best = (told.get(k) for k in ("tokens", "token_logprobs", "top_logprobs"))
        if not (isinstance(tokens, list) and isinstance(values, list)) or not tokens:
            raise refused
        if len(values) != len(tokens):
            raise self._garbage("as many log-probabilities as tokens were expected", told)
        usage = answer.get("usage")
        written = usage.get("completion_tokens") if isinstance(usage, dict) else None
        end = len(tokens) - (written if isinstance(written, int) else 1)
        first, text = end, ""
        while first > 0 and len(text) < len(request.continuation):
            first -= 1
            text = str(tokens[first]) + text
        if text != request.continuation:
            raise UsageError(
                f"{self.url} reads {request.continuation!r} behind {request.prompt[-40:]!r} as "
                f"{tokens[first:end]}: no token begins where the prompt ends"
            )
        logprobs = values[first:end]
        likeliest = best[first:end] if isinstance(best, list) else []
        if not all(isinstance(x, int | float) for x in logprobs) or not (
            len(likeliest) == len(logprobs) and all(isinstance(x, dict) and x for x in likeliest)
        ):
            raise self._garbage("log-probabilities that are not numbers with the likeliest", told)
        greedy = all(
            value >= max(top.values()) for top, value in zip(likeliest, logprobs, strict=True)
        )
        return Score(np.array(logprobs, dtype=float), greedy)

    def _garbage(self, problem: str, value: Any) -> DataError:
        return garbage(self.url, problem, value)


def chunk_seed(seed: int, chunk: int) -> int:
    """Seed of a chunk, below 2^53 so that servers in any language read it whole.

    Mixed, not added: the second chunk of seed 1 must not repeat the first of seed 2.
    """
    return int(np.random.SeedSequence([seed, chunk]).generate_state(1, np.uint64)[0] >> 11)
