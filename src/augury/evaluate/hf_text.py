"""Text to a transformers tokenizer's tokens and back, with the seam between prompt and answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from augury.errors import UsageError
from augury.evaluate.chat import Chat

# Put before tokens to decode: several tokenizers drop a space that begins a text.
_ANCHOR = "a"


class TokenText:
    """Prompts and continuations as one model reads and writes them.

    A prompt gets the special tokens that the tokenizer puts before a text (never those after it),
    or the begin token if it adds none and the prompt is empty.

    Args:
        tokenizer: of transformers.
        name: of the model, for messages.
        chat: use the tokenizer's chat template.

    Raises:
        UsageError: it has no chat template, or the template refuses the conversation.
    """

    def __init__(self, tokenizer: Any, name: str, chat: Chat | None = None) -> None:
        if chat is not None and not tokenizer.chat_template:
            raise UsageError(f"{name} has no chat template: leave --chat out")
        self._chat = chat
        self._tokenizer = tokenizer
        self._name = name
        plain = self._plain(_ANCHOR)
        whole = tokenizer(_ANCHOR)["input_ids"]
        at = next(
            (i for i in range(len(whole)) if whole[i : i + len(plain)] == plain),
            0,  # a tokenizer that merges them: nothing is in front
        )
        self._front: list[int] = whole[:at]
        self._anchor = plain
        self._anchored = self._text(plain)

    def prompt(self, text: str) -> list[int]:
        """Return the tokens that a model reads before it writes.

        Raises:
            UsageError: there is none, or the tokenizer cannot write the text.
        """
        tokens = self._read(text)
        if not tokens:
            begin = self._tokenizer.bos_token_id
            if begin is None:
                raise UsageError(
                    f"{self._name} has no begin token: a prompt must not be empty for it"
                )
            return [int(begin)]
        return tokens

    def seam(self, prompt: str, continuation: str) -> tuple[list[int], list[int]]:
        """Return the tokens of a prompt and of its continuation.

        Both are tokenised as one text. If a token then spans the seam, which a model that has read
        the prompt can no longer write, the continuation is tokenised separately.

        Raises:
            UsageError: no tokens give exactly this continuation.
        """
        before = self.prompt(prompt)
        joint = self._read(prompt, continuation)
        whole = joint[: len(before)] == before
        behind = joint[len(before) :] if whole else self._plain(continuation)
        unknown = self._tokenizer.unk_token_id
        written = self.texts([behind])[0]
        if written != continuation or (
            unknown in behind and self._tokenizer.unk_token not in continuation
        ):
            raise UsageError(
                f"the tokenizer of {self._name} cannot write {continuation!r} after "
                f"{prompt[-40:]!r}: the closest text is {written!r}"
            )
        return before, behind

    @property
    def about(self) -> Mapping[str, Any]:
        """Return columns that describe the prompting; none without a chat."""
        template = self._tokenizer.chat_template
        return {} if self._chat is None else self._chat.about(str(template))

    def _read(self, prompt: str, continuation: str = "") -> list[int]:
        """Return the tokens of a prompt, formatted, and of its continuation as one text."""
        if self._chat is None:
            return self._front + self._plain(prompt + continuation)
        try:
            asked = self._tokenizer.apply_chat_template(
                self._chat.messages(prompt), tokenize=False, add_generation_prompt=True
            )
        except Exception as error:  # a template raises what its author chose
            raise UsageError(
                f"the chat template of {self._name} refuses this conversation: {error}"
            ) from error
        return self._plain(asked + continuation)  # the template writes what comes before

    def texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Return texts of rows of tokens written after a prompt, without special tokens."""
        cut = len(self._anchored)
        known: dict[tuple[int, ...], str] = {}  # rows repeat
        texts = []
        for row in map(tuple, rows):
            if row not in known:
                known[row] = self._text([*self._anchor, *row])[cut:]
            texts.append(known[row])
        return texts

    def _text(self, tokens: list[int]) -> str:
        if self._tokenizer.is_fast:  # a fifth of the time of transformers' wrapper around it
            text = self._tokenizer.backend_tokenizer.decode(tokens, skip_special_tokens=True)
        else:
            text = self._tokenizer.decode(
                tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        return str(text)

    def _plain(self, text: str) -> list[int]:
        try:
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        except Exception as error:  # tokenizers (Rust) raise nothing more specific
            raise UsageError(
                f"the tokenizer of {self._name} cannot write {text[:60]!r}: {error}"
            ) from error
