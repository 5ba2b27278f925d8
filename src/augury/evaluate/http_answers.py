"""What a server's answer contains in addition to its texts, if valid."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

# A log-probability above 0 by rounding is accepted; beyond this it is something else.
ROUNDING = 1e-3
MOST_TOKENS = 2**53  # more is not a count


def is_logprob(value: Any) -> bool:
    """Return whether it is a log-probability; -inf is one."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and not math.isnan(value) and value <= ROUNDING


def is_finite_logprob(value: Any) -> bool:
    """Return whether it is the log-probability of a possible token."""
    return is_logprob(value) and value > -math.inf


def token_count(value: Any) -> int | None:
    """Parse a count of tokens; None if it is not one."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= MOST_TOKENS else None


def shown_draws(choice: Mapping[str, Any]) -> Iterator[tuple[float, dict[str, float]]]:
    """Yield each drawn token, with the log-probabilities of the likeliest ones at its position.

    A position with anything else is skipped: the texts are what was requested.
    """
    told = choice.get("logprobs")
    if not isinstance(told, dict):
        return
    if isinstance(told.get("content"), list):  # the format of chats
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
