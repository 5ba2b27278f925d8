"""Any server that speaks OpenAI's completions: vLLM, SGLang, llama.cpp, transformers, hosted ones.

Requests are sent in parallel up to a limit, each is retried if the server is busy or the connection
breaks, and an invalid answer is reported with its content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from augury.errors import DataError, UsageError
from augury.evaluate.backend import (
    SampleRequest,
    Score,
    ScoreRequest,
    TokenUsage,
)
from augury.evaluate.chat import Chat, without_reasoning
from augury.evaluate.draw_check import DrawCheck
from augury.evaluate.http_answers import (
    is_finite_logprob,
    is_logprob,
    shown_draws,
    token_count,
)
from augury.evaluate.http_line import Line, RefusedError, garbage
from augury.evaluate.stops import cut_text, sendable_stops
from augury.evaluate.texts_only import TextsOnly, about_name

KEY = "AUGURY_API_KEY"
# With 16, vLLM's CPU build draws 1,200 samples/s of 8 tokens, against 240-440 one at a time.
N_PER_REQUEST = 16
# OpenAI's servers refuse more; further stops are applied here.
MOST_STOPS = 4
# Where servers put reasoning; an answer cut off inside it has no other content.
THOUGHTS = ("reasoning_content", "reasoning")
# Number of likeliest tokens to show with each drawn one: the most that vLLM gives by default, else
# the most that OpenAI's completions give.
SHOWN = (20, 5)
# Statuses of a server that does not know a field; if it refuses anything else, fewer fields do not
# help.
UNREADABLE = frozenset({400, 422})
_CORE: dict[str, Any] = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
# Fields that switch off what servers do to a distribution, in the names of each: llama.cpp takes
# repeat_penalty and typical_p, vLLM and SGLang repetition_penalty; -1 switches top-k off in SGLang
# and in vLLM before 0.9.
OFF: dict[str, dict[str, Any]] = {
    "all": {
        **_CORE,
        "typical_p": 1.0,
        "repeat_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    },
    "core": _CORE,
    "minus one": {**_CORE, "top_k": -1},
    "top-k": {"top_k": 0},
    # transformers serve refuses them all, and takes a complete configuration as text instead.
    # Without it, it decodes greedily; what is not named here comes from the checkpoint, including
    # its end tokens.
    "configuration": {
        "generation_config": json.dumps(
            {"do_sample": True, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0,
             "repetition_penalty": 1.0}
        )
    },
}  # fmt: skip
# From the last to be tried to the first.
EVERYTHING = ("configuration", "top-k", "minus one", "core", "all")


class HTTPBackend(TextsOnly):
    """A model behind a server, as a `Backend` that samples, and scores if the server can.

    Sample i of a request comes with chunk i // n_per_request, whose seed is made from the request's
    and the chunk's number. Servers that respect seeds give the same samples again (vLLM does up to
    rounding between batches; some ignore them).

    Fields that switch off top-k, top-p, min-p and penalties are sent with every request, in the
    names of the known servers. A server that refuses a field is asked with fewer, and `refused`
    lists those left out. Fields in `extra` take precedence.

    Attributes:
        usage: tokens so far, if the server reports them.
        refused: fields that this server did not accept.
        watch: compares draws with the probabilities shown with them, if set.

    Args:
        url: of the server, such as "http://localhost:8000"; "/v1" is added if missing.
        model: its name on the server.
        in_flight: number of simultaneous requests.
        n_per_request: samples per request; by default 16, or 1 if a first small request shows that
            the server gives no more.
        retries: how often a request is retried before the run stops.
        timeout: seconds that a server may take to answer.
        chat: use /chat/completions, with the prompt as the user's message, or as in a `Chat`; such
            a model has no scores, and its samples come without their reasoning.
        extra: further fields of every request, for this server.
        api_key: sent as bearer token; by default the environment's AUGURY_API_KEY, if any.

    Raises:
        UsageError: an option is out of range, or the extra `http` is missing.
    """

    instead = "sample from it, or load the checkpoint itself"

    def __init__(
        self,
        url: str,
        model: str,
        *,
        in_flight: int = 64,
        n_per_request: int | None = None,
        retries: int = 8,
        timeout: float = 600.0,
        chat: bool | Chat = False,
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
        asked = Chat() if chat is True else chat or None
        self._model, self._chat, self._n = model, asked, n_per_request
        self._extra = dict(extra or {})
        self.usage = TokenUsage()
        key = api_key if api_key is not None else os.environ.get(KEY)
        self.watch: DrawCheck | None = None
        self.refused: tuple[str, ...] = ()
        self._fields = len(EVERYTHING)
        self._shows: int | None = None
        self._line = Line(self.url, in_flight, retries, timeout, key)
        self._shown = self._line.shown
        self.known_as = f"{model} at {self._shown}"

    def __enter__(self) -> HTTPBackend:
        """Return the backend, which is closed at the end of the block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the backend."""
        self.close()

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        self._line.close()

    @property
    def about(self) -> Mapping[str, Any]:
        """Model, family and step as far as its name tells them; fields of `extra`."""
        chat = self._chat.about("server") if self._chat else {}
        return about_name(self._model, self._model, chat, self._extra)

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        """Draw continuations; every chunk of a request is one call to the server.

        Raises:
            UsageError: the server refuses the request, or there is none.
            DataError: it answered something other than completions, or could not be reached.
        """
        if not requests:
            return []
        try:
            together = self._n = self._n or self._together(requests[0])
        except RefusedError as error:
            raise self._advised(error) from None
        if self.watch is not None and self._shows is None:
            self._shows = self._shows_draws(requests[0])
        while True:
            taken = self._line.successes
            try:
                return self._sample(requests, together)
            except RefusedError as error:
                # If others are accepted with the same fields, this request is wrong. The refusal
                # may arrive before the first success of those sent with it: one is retried.
                known = (
                    error.status not in UNREADABLE
                    or self._line.successes > taken
                    or self._answers_one(requests[0])
                )
                if known or not self._level_down():
                    raise self._advised(error) from None

    def _sample(self, requests: Sequence[SampleRequest], together: int) -> list[list[str]]:
        bodies, owner = [], []
        for i, request in enumerate(requests):
            for chunk, first in enumerate(range(0, request.samples, together)):
                n = min(together, request.samples - first)
                bodies.append(self._body(request, n, chunk_seed(request.seed, chunk)))
                owner.append(i)
        chunks: list[list[list[str]]] = [[] for _ in requests]
        for i, body, answer in zip(owner, bodies, self._line.ask(bodies), strict=True):
            stop = requests[i].stop
            texts = self._texts(answer, body.get("n", 1))
            chunks[i].append([cut_text(text, stop) for text in texts])
            self._count(answer)
            if self.watch is not None and requests[i].temperature == 1:
                self._watch(self.watch, answer)
        if self.watch is not None:
            self.watch.chunks += chunks
        return [[text for chunk in own for text in chunk] for own in chunks]

    def _advised(self, error: RefusedError) -> RefusedError:
        """Return the refusal, with a hint if the server wants chat requests."""
        if self._chat is not None or "chat" not in str(error).lower():
            return error
        advised = RefusedError(f"{error}; use --chat for a chat model (in Python: chat=True)")
        advised.status = error.status
        return advised

    def ask_singly(self) -> bool:
        """Request one sample at a time from now on; return whether that is a change."""
        before, self._n = self._n, 1
        return before != 1

    def _level_down(self) -> bool:
        """Send fewer of the fields that switch truncation off; return whether any were left."""
        if not self._fields:
            return False
        self._fields -= 1
        sent = OFF[EVERYTHING[self._fields - 1]] if self._fields else {}
        whole = "generation_config" in sent  # includes everything that the others would have said
        self.refused = () if whole else tuple(n for n in OFF[EVERYTHING[-1]] if n not in sent)
        return True

    def _shows_draws(self, request: SampleRequest) -> int:
        """Find how many likely tokens it shows with a drawn one, from one or two small requests."""
        body = {**self._body(request, 1, request.seed), "max_tokens": 1}
        for shown in SHOWN:
            try:
                (answer,) = self._line.ask([{**body, **self._asks_draws(shown)}], retries=0)
            except (UsageError, DataError):
                continue
            watched = DrawCheck()
            self._watch(watched, answer)
            return shown if watched.places else 0
        return 0

    def _asks_draws(self, shown: int) -> dict[str, Any]:
        return {"logprobs": True, "top_logprobs": shown} if self._chat else {"logprobs": shown}

    def _watch(self, watch: DrawCheck, answer: Any) -> None:
        """Compare drawn tokens with the probabilities that came with them."""
        for choice in self._choices(answer):
            for drawn, shown in shown_draws(choice):
                watch.add_draw(drawn, shown)

    def _count(self, answer: Any) -> None:
        """Count the tokens of an answer, if it reports them."""
        told = answer.get("usage")
        told = told if isinstance(told, dict) else {}
        drawn, read = (token_count(told.get(k)) for k in ("completion_tokens", "prompt_tokens"))
        paid = None if drawn is None or read is None else drawn + read
        self.usage.add(drawn, read, paid)

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Return log-probabilities, from a server that echoes prompts with theirs (vLLM, SGLang).

        Raises:
            UsageError: this one does not, or a continuation does not begin at a token boundary.
            DataError: it answered something other than completions, or could not be reached.
        """
        if self._chat:
            raise UsageError(
                f"{self._shown} is used as a chat: it does not score texts; use chat=False"
            )
        bodies = [
            {
                "model": self._model,
                "prompt": r.prompt + r.continuation,
                "max_tokens": 1,  # some servers fail at 0; extra tokens are cut off below
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
        """Find how many samples to request at once, by requesting two."""
        while True:
            body = {**self._body(request, 2, request.seed), "max_tokens": 1}
            try:
                (answer,) = self._line.ask([body])
            except RefusedError as error:
                if error.status not in UNREADABLE or self._answers_one(request):
                    return 1
                if not self._level_down():
                    return 1
            else:
                return N_PER_REQUEST if len(self._choices(answer)) == 2 else 1

    def _answers_one(self, request: SampleRequest) -> bool:
        """Return whether one sample is accepted with the same fields: then n was the problem."""
        try:
            self._line.ask([{**self._body(request, 1, request.seed), "max_tokens": 1}])
        except RefusedError:
            return False
        return True

    def _body(self, request: SampleRequest, n: int, seed: int) -> dict[str, Any]:
        chat = self._chat
        body: dict[str, Any] = {
            "model": self._model,
            **({"messages": chat.messages(request.prompt)} if chat else {"prompt": request.prompt}),
            "max_tokens": request.length,
            "temperature": request.temperature,
            "top_p": 1.0,
            "seed": seed,
        }
        if n > 1:  # some servers refuse the field
            body["n"] = n
        if stop := sendable_stops(request.stop, MOST_STOPS):
            body["stop"] = stop
        if self._fields:
            body |= OFF[EVERYTHING[self._fields - 1]]
        if self.watch is not None and self._shows:
            body |= self._asks_draws(self._shows)
        return {**body, **self._extra}

    def _texts(self, answer: Any, n: int) -> list[str]:
        choices = self._choices(answer)
        if len(choices) != n:
            raise UsageError(
                f"{self._shown} gave {len(choices)} of {n} samples asked for at once: "
                "it ignores the field n; leave n_per_request out, or use 1"
            )
        texts = []
        for choice in choices:
            text = choice["message"].get("content") if self._chat else choice.get("text")
            if self._chat:
                thought = any(choice["message"].get(k) for k in THOUGHTS)
                text = "" if text is None and thought else text
                text = without_reasoning(text) if isinstance(text, str) else text
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
        # Servers may answer in any order; if the indexes are not a permutation, their order is
        # used.
        numbered = sorted(c["index"] for c in choices if isinstance(c.get("index"), int))
        if numbered != list(range(len(choices))):
            return choices
        return sorted(choices, key=lambda c: int(c["index"]))

    def _score(self, request: ScoreRequest, answer: Any) -> Score:
        choice = self._choices(answer)[0]
        told = choice.get("logprobs")
        refused = UsageError(
            f"{self._model} at {self._shown} does not show the log-probabilities of a given text "
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
        written = token_count(usage.get("completion_tokens")) if isinstance(usage, dict) else None
        end = len(tokens) - (1 if written is None else written)
        first, text = end, ""
        while first > 0 and len(text) < len(request.continuation):
            first -= 1
            text = str(tokens[first]) + text
        if text != request.continuation:
            raise UsageError(
                f"{self._shown} reads {request.continuation!r} behind {request.prompt[-40:]!r} as "
                f"{tokens[first:end]}: no token begins where the prompt ends"
            )
        logprobs = values[first:end]
        likeliest = best[first:end] if isinstance(best, list) else []
        if not all(map(is_finite_logprob, logprobs)) or not (
            len(likeliest) == len(logprobs)
            and all(isinstance(x, dict) and x for x in likeliest)
            and all(is_logprob(p) for x in likeliest for p in x.values())
        ):
            raise self._garbage("log-probabilities that are not numbers with the likeliest", told)
        greedy = all(
            value >= max(top.values()) for top, value in zip(likeliest, logprobs, strict=True)
        )
        return Score(np.array(logprobs, dtype=float), greedy)

    def _garbage(self, problem: str, value: Any) -> DataError:
        return garbage(
            self._shown,
            problem,
            self._line.masked(value if isinstance(value, str) else repr(value)),
        )


def chunk_seed(seed: int, chunk: int) -> int:
    """Return the seed of a chunk, below 2^53 so that servers in any language read it exactly.

    Mixed, not added: the second chunk of seed 1 must not repeat the first of seed 2.
    """
    return int(np.random.SeedSequence([seed, chunk]).generate_state(1, np.uint64)[0] >> 11)
