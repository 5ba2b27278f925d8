"""What all models behind a server or a provider have in common: they return texts, no tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from augury.data.model_names import family_of, step_of
from augury.errors import UsageError
from augury.evaluate.backend import Floats, NextRequest


class TextsOnly:
    """The part of a `Backend` that follows from that.

    Attributes:
        known_as: the model, and where it is, for messages.
        instead: what to do instead of asking for all next tokens.
    """

    known_as: str
    instead = "sample from it"

    @property
    def ends(self) -> frozenset[int]:
        """Empty: the server ends texts itself."""
        return frozenset()

    @property
    def unique_tokens(self) -> bool:
        """False: most texts can be written with several sequences of tokens."""
        return False

    def decode(self, tokens: Sequence[int]) -> str:
        """Refuse the request.

        Raises:
            UsageError: always; a server does not show its tokens.
        """
        raise UsageError(f"{self.known_as} does not show its tokens")

    def next_token_logprobs(self, requests: Sequence[NextRequest]) -> Floats:
        """Refuse the request.

        Raises:
            UsageError: always; servers show a handful of likely tokens, not all.
        """
        raise UsageError(
            f"{self.known_as} does not show the probabilities of all next tokens; {self.instead}"
        )


def about_name(
    model: str, name: str, chat: Mapping[str, Any], extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Return columns of a model known only by name: its family and step as far as that tells.

    Args:
        model: as requested.
        name: the model's own part of it.
        chat: columns that describe the prompting.
        extra: further fields that are sent.
    """
    told = {
        "model": model,
        "family": family_of(name),
        "step": step_of(name),
        **chat,
        "extra": json.dumps(extra, sort_keys=True) if extra else None,
    }
    return {column: value for column, value in told.items() if value is not None}
