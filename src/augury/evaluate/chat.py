"""How a chat model is prompted: a system prompt, the question as the user's message, its answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from augury.errors import UsageError
from augury.evaluate.tasks import Instance, Task

# Prompt for a chat model if unit tests judge the function that it writes.
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
        ask: the user's message; the prompt replaces "{prompt}" in it.
        turns: solved examples of each prompt that has some: turns that precede it.

    Raises:
        UsageError: `ask` has no place for the prompt.
    """

    system: str | None = None
    ask: str = PLACE
    turns: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if PLACE not in self.ask:
            raise UsageError(f"the message of a chat needs {PLACE} in place of the prompt")

    def messages(self, prompt: str) -> list[dict[str, str]]:
        """Return the conversation up to the model's answer."""
        told = [] if self.system is None else [{"role": "system", "content": self.system}]
        before = [{k: turn[k] for k in ("role", "content")} for turn in self.turns.get(prompt, ())]
        return [*told, *before, {"role": "user", "content": self.ask.replace(PLACE, prompt)}]

    def about(self, template: str) -> Mapping[str, Any]:
        """Return columns that distinguish its rows: checksums, as lm-eval writes them."""
        whole = f"{template}\0{self.ask}" if self.ask != PLACE else template
        made = {"chat_template": hashlib.sha256(whole.encode()).hexdigest()}
        if self.system is not None:
            made["system_prompt"] = hashlib.sha256(self.system.encode()).hexdigest()
        return made


def chat_for(chat: bool, system: str | None, ask: str | None, task: Task) -> Chat | None:
    """Return the requested conversation, if any; unit tests need a message asking for a function.

    Raises:
        UsageError: a system prompt, a message or the task's turns are given without a chat, or two
            instances put different turns before the same prompt.
    """
    turns = _turns_of(task)
    if not chat:
        if system is not None or ask is not None:
            raise UsageError("a system prompt and a chat prompt are for chat (--chat)")
        if turns:
            raise UsageError(f"task '{task.name}' has messages: they are for chat (--chat)")
        return None
    for_code = task.checker.startswith("unit-tests")
    return Chat(system, ask or (ASK_FOR_CODE if for_code else PLACE), turns)


def _turns_of(task: Task) -> dict[str, Sequence[Mapping[str, str]]]:
    """Return the turns before each prompt that has some."""
    found: dict[str, Instance] = {}
    for instance in task.instances:
        first = found.setdefault(instance.prompt, instance)
        if first.data.get("messages") != instance.data.get("messages"):
            raise UsageError(
                f"task '{task.name}': instances '{first.id}' and '{instance.id}' have the same "
                "prompt, but different messages before it"
            )
    return {prompt: i.data["messages"] for prompt, i in found.items() if i.data.get("messages")}


def without_reasoning(text: str) -> str:
    """Return an answer without its reasoning: what follows the last </think>.

    Reasoning that was cut off before its end leaves nothing.
    """
    if "</think>" in text:
        return _REASONING.sub("", text)
    return "" if text.lstrip().startswith("<think>") else text
