"""How a chat model is asked: a system prompt, the question as the user's message, its answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from augury.errors import UsageError

# What is asked of a chat model where unit tests judge the function that it writes.
ASK_FOR_CODE = (
    "Write this Python function. Answer with the whole function in a code block.\n"
    "```python\n{prompt}\n```"
)
PLACE = "{prompt}"
_REASONING = re.compile(r"\A.*</think>\s*", re.DOTALL)


@dataclass(frozen=True)
class Chat:
    """How prompts become conversations.

    Attributes:
        system: system prompt, if any.
        ask: the user's message; the prompt takes the place of "{prompt}" in it.

    Raises:
        UsageError: `ask` has no place for the prompt.
    """

    system: str | None = None
    ask: str = PLACE

    def __post_init__(self) -> None:
        if PLACE not in self.ask:
            raise UsageError(f"the message of a chat needs {PLACE} where the prompt stands")

    def messages(self, prompt: str) -> list[dict[str, str]]:
        """The conversation up to the model's answer."""
        told = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*told, {"role": "user", "content": self.ask.replace(PLACE, prompt)}]

    def about(self, template: str) -> Mapping[str, Any]:
        """Columns that tell its rows from others: checksums, as lm-eval writes them."""
        whole = f"{template}\0{self.ask}" if self.ask != PLACE else template
        made = {"chat_template": hashlib.sha256(whole.encode()).hexdigest()}
        if self.system is not None:
            made["system_prompt"] = hashlib.sha256(self.system.encode()).hexdigest()
        return made


def chat_for(chat: bool, system: str | None, ask: str | None, checker: str) -> Chat | None:
    """The conversation that was asked for, if any; unit tests need to be sent a whole function.

    Raises:
        UsageError: a system prompt or a message is given without a chat.
    """
    if not chat:
        if system is not None or ask is not None:
            raise UsageError("a system prompt and a chat prompt are for chat (--chat)")
        return None
    return Chat(system, ask or (ASK_FOR_CODE if checker.startswith("unit-tests") else PLACE))


def without_reasoning(text: str) -> str:
    """An answer without its reasoning: what stands behind the last </think>.

    Reasoning that has begun and was cut off before it ended leaves nothing.
    """
    if "</think>" in text:
        return _REASONING.sub("", text)
    return "" if text.lstrip().startswith("<think>") else text
