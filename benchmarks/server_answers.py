"""Randomly changed server answers: they are read without traceback, hang or false text.

In an answer of a completion server (plain, chat, with log-probabilities), one to three values, keys
or bytes are replaced. The backend reads it, and in every tenth case a whole measurement does, with
journal and rows. The result is compared with an independent reading.

    python -m benchmarks.server_answers [FIRST LAST]
"""

from __future__ import annotations

import copy
import json
import math
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from augury.errors import AuguryError
from augury.evaluate import SampleRequest, ScoreRequest, pass_until
from augury.evaluate.draw_check import DrawCheck
from augury.evaluate.http import HTTPBackend
from augury.evaluate.tasks import Instance, Task

PROMPT, TEXT = "2+3=", "5"
SLOW = 5.0  # a case that takes this many seconds hangs: nothing waits here
HUGE = 10**30
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, HUGE, 0.5, -0.5, math.nan, math.inf, -math.inf, "", "5", "0", "x",
    "\ud800", "\x00", "<think>", "</think>", "a" * 10_000, [], {}, [[]], [None], {"": None},
    {"error": "busy"}, {"error": {"code": 503}}, {"error": {"code": 400}}, {"text": "5"},
    {"a": {"b": [1, 2]}}, [0.0], ["5"],
)  # fmt: skip


def answer(kind: str, n: int) -> dict[str, Any]:
    """A valid answer with the fields that servers send."""
    usage = {"prompt_tokens": 4, "completion_tokens": n, "total_tokens": 4 + n}
    choices: list[dict[str, Any]] = []
    for i in range(n):
        choice: dict[str, Any] = {"index": i, "finish_reason": "stop"}
        told: dict[str, Any]
        if kind == "chat":
            shown = [{"token": "5", "logprob": -0.1}, {"token": "6", "logprob": -2.5}]
            told = {"content": [{"token": "5", "logprob": -0.1, "top_logprobs": shown}]}
            choice |= {"message": {"role": "assistant", "content": TEXT}, "logprobs": told}
        elif kind == "score":
            tokens = [*PROMPT, TEXT, "."]
            choice |= {"text": PROMPT + TEXT + ".", "logprobs": {
                "tokens": tokens, "token_logprobs": [None] + [-0.1] * (len(tokens) - 1),
                "top_logprobs": [None] + [{t: -0.1} for t in tokens[1:]]}}  # fmt: skip
        else:
            told = {"tokens": ["5"], "token_logprobs": [-0.1], "top_logprobs": [{"5": -0.1}]}
            choice |= {"text": TEXT, "logprobs": told}
        choices.append(choice)
    if kind == "score":
        usage["completion_tokens"] = 1
    return {"id": "x", "object": "text_completion", "model": "m", "choices": choices,
            "usage": usage}  # fmt: skip


def changed(value: Any, rng: random.Random) -> bytes:
    """The answer as bytes, with a part replaced."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        owner, key = rng.choice(places)
        what = rng.random()
        if what < 0.7:
            owner[key] = copy.deepcopy(rng.choice(ODD))
        elif what < 0.85:
            del owner[key]
        elif isinstance(owner, list):
            owner.insert(key, copy.deepcopy(owner[key]))
        else:
            owner[rng.choice(("text", "index", "error", "content", "logprobs"))] = rng.choice(ODD)
    data = json.dumps(value).encode()
    if rng.random() < 0.1:
        at = rng.randrange(len(data))
        data = rng.choice((data[:at], data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
                           b"\xef\xbb\xbf" + data, data + data, b"[" * 100_000))  # fmt: skip
    return data


def _places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inside in list(items):
        yield value, key
        if isinstance(inside, dict | list):
            yield from _places(inside)


def texts_in(data: bytes, kind: str) -> list[str] | None:
    """The texts of an answer, read independently; None if some are not texts."""
    try:
        choices = json.loads(data)["choices"]
        read = []
        for choice in choices:
            if kind == "chat":
                text = choice["message"].get("content")
                thought = [choice["message"].get(k) for k in ("reasoning_content", "reasoning")]
                text = "" if text is None and any(thought) else text
                text = text.rpartition("</think>")[2] if "<think>" not in text else text
            else:
                text = choice["text"]
            read.append(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return read if all(isinstance(t, str) for t in read) else None


class Told(HTTPBackend):
    """A backend whose server returns a given answer."""

    def __init__(self, data: bytes, status: int = 200, *, chat: bool = False) -> None:
        super().__init__("http://localhost:1", "m", n_per_request=2, retries=1, chat=chat)

        async def said(body: str) -> tuple[int, dict[str, str], bytes]:
            return status, {}, data

        self._line._answer = said  # type: ignore[method-assign]
        self._line._wait = lambda attempt, asked: 0.0  # type: ignore[method-assign]


def one(seed: int, folder: Path) -> str:
    """The outcome of a case.

    Raises:
        AssertionError: a text or number differs from the answer.
    """
    rng = random.Random(seed)
    kind = rng.choice(("plain", "chat", "score"))
    data = changed(answer(kind, 1 if kind == "score" else 2), rng)
    status = rng.choice((200,) * 9 + (400, 429, 503, 201))
    backend = Told(data, status, chat=kind == "chat")
    try:
        if kind == "score":
            (score,) = backend.logprobs([ScoreRequest(PROMPT, TEXT)])
            given = json.loads(data)["choices"][0]["logprobs"]["token_logprobs"]
            assert all(math.isfinite(x) and x <= 0 for x in score.tokens), score
            assert all(float(x) in given for x in score.tokens), f"{score} of {given}"
            return "scored"
        if seed % 10 == 0:
            task = Task("t", (Instance("a", PROMPT, (TEXT,)),), 0.0, "exact", 4, ())
            found = pass_until(backend, task, r=1, max_samples=2, study=folder / str(seed),
                               method="independent")  # fmt: skip
            assert found.table().height >= 1
            return "measured"
        backend.watch = DrawCheck() if rng.random() < 0.5 else None
        (texts,) = backend.sample([SampleRequest(PROMPT, 2, 4, seed=1)])
        wanted = texts_in(data, kind)
        assert wanted is not None, f"read {texts!r:.80}"
        if not any("think>" in t for t in wanted):
            assert sorted(texts) == sorted(wanted), f"{texts!r:.80} is not {wanted!r:.80}"
        return "sampled"
    except AuguryError as error:
        return "refused in one line" if "\n" not in str(error) else "refused in several lines"
    finally:
        backend.close()


def main(first: int = 0, last: int = 10_000) -> None:
    """Print every case that breaks a rule, then the number of each outcome."""
    began = time.perf_counter()
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        for seed in range(first, last):
            start = time.perf_counter()
            try:
                outcomes[one(seed, Path(name))] += 1
            except Exception as error:  # every exception is a finding
                outcomes["broken"] += 1
                print(f"{seed}: {type(error).__name__}: {str(error)[:200]}", flush=True)
            if time.perf_counter() - start > SLOW:
                outcomes["slow"] += 1
    spent = time.perf_counter() - began
    print(f"{last - first:,} answers in {spent:.0f} s: {dict(outcomes)}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
