"""What a server's answer says beside its texts, as far as it is what it should be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

# A log-probability above 0 by rounding is one; beyond this it is something else.
ROUNDING = 1e-3
MOST_TOKENS = 2**53  # more is no count


def is_logprob(value: Any) -> bool:
    """Whether it is a log-probability; -inf is one."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and not math.isnan(value) and value <= ROUNDING


def is_finite_logprob(value: Any) -> bool:
    """Whether it is one of a token that can come."""
    return is_logprob(value) and value > -math.inf


def token_count(value: Any) -> int | None:
    """A count of tokens; None where it is none."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= MOST_TOKENS else None


def shown_draws(choice: Mapping[str, Any]) -> Iterator[tuple[float, dict[str, float]]]:
    """Each token drawn, with the log-probabilities of the likeliest ones at its place.

    A place at which something else stands is passed over: the texts are what was asked for.
    """
    told = choice.get("logprobs")
    if not isinstance(told, dict):
        return
    if isinstance(told.get("content"), list):  # as chats say it
        for token in told["content"]:
            if not isinstance(token, dict) or not isinstance(token.get("top_logprobs"), list):
                continue
            listed = [t.get("logprob") if isinstance(t, dict) else None
                      for t in token["top_logprobs"]]  # fmt: skip
            yield from _draw(token.get("logprob"), {str(i): x for i, x in enumerate(listed)})
        return
    values, best = told.get("token_logprobs"), told.get("top_logprobs")
    if isinstance(values, list) and isinstance(best, list):
        for value, shown in zip(values, best, strict=False):
            yield from _draw(value, shown)


def _draw(drawn: Any, shown: Any) -> Iterator[tuple[float, dict[str, float]]]:
    if isinstance(shown, dict) and shown and all(map(is_logprob, (drawn, *shown.values()))):
        yield float(drawn), {name: float(x) for name, x in shown.items()}
