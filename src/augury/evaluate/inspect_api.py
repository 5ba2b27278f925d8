"""Models of Inspect's providers (OpenAI, Anthropic, Google, Bedrock, Ollama ...) as a backend.

Written to the documented interface of `inspect_ai.model`: `get_model`, `Model.generate`,
`GenerateConfig`. Tested with Inspect's own `mockllm`; no provider was reachable.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from augury.errors import DataError, UsageError
from augury.evaluate.backend import (
    SampleRequest,
    Score,
    ScoreRequest,
    TokenUsage,
)
from augury.evaluate.chat import Chat, without_reasoning
from augury.evaluate.http import MOST_STOPS, chunk_seed
from augury.evaluate.side_by_side import OwnLoop, ask_all
from augury.evaluate.stops import cut_text, sendable_stops
from augury.evaluate.texts_only import TextsOnly, about_name

# Some providers take a signed 32-bit seed.
SEEDS = 1 << 31
_STYLE = re.compile(r"\[/?[a-z ]+\]")  # Inspect's messages have markup for its terminal


class InspectBackend(TextsOnly):
    """A model of one of Inspect's providers, as a `Backend` that samples.

    Every sample is a separate request, with a seed made from the request's and its number. Inspect
    sends it to OpenAI, Google, Mistral, Groq, vLLM and Hugging Face; others take none. Keys and
    addresses are those that the provider reads from the environment (OPENAI_API_KEY ...). Nothing
    switches off what a provider does to its distribution.

    Attributes:
        usage: tokens so far, if the provider reports them.

    Args:
        model: its name in Inspect: "openai/gpt-4o", "ollama/llama3.2", "bedrock/...".
        in_flight: number of simultaneous requests.
        retries: how often Inspect retries a request.
        timeout: seconds that a request may take, including its retries.
        chat: how prompts become conversations; by default a prompt is the user's message.
        extra: further fields of Inspect's `GenerateConfig`, such as {"reasoning_effort": "low"}.
        model_args: of the provider, such as {"base_url": "http://localhost:8000/v1"}.

    Raises:
        UsageError: the extra `inspect` is missing, or Inspect has no such model or field.
    """

    def __init__(
        self,
        model: str,
        *,
        in_flight: int = 64,
        retries: int = 8,
        timeout: int = 600,
        chat: Chat | None = None,
        extra: Mapping[str, Any] | None = None,
        model_args: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            from inspect_ai import model as api
        except ModuleNotFoundError as error:
            raise UsageError(
                'this needs inspect-ai, which is not installed: pip install "augury[inspect]"'
            ) from error
        if in_flight < 1:
            raise UsageError(f"in_flight must be positive, not {in_flight}")
        self._api: Any = api
        self._name, self._chat, self._in_flight = model, chat or Chat(), in_flight
        self._extra = dict(extra or {})
        if unknown := self._extra.keys() - api.GenerateConfig.model_fields.keys():
            raise UsageError(
                f"Inspect's GenerateConfig has no field '{min(unknown)}'; it has "
                f"{', '.join(sorted(api.GenerateConfig.model_fields))}"
            )
        config = api.GenerateConfig(max_retries=retries, timeout=timeout, max_connections=in_flight)
        try:
            self._model = api.get_model(
                model, config=config, memoize=False, **(dict(model_args or {}))
            )
        except Exception as error:
            raise UsageError(f"Inspect cannot open {model}: {_plain(error)}") from error
        self.known_as, self.usage = model, TokenUsage()
        self._loop = OwnLoop("augury-inspect")

    def close(self) -> None:
        """End the thread that waits for answers; a later request starts another."""
        self._loop.close()

    @property
    def about(self) -> Mapping[str, Any]:
        """Model, family and step as far as its name tells them; fields of `extra`."""
        name = self._name.rpartition("/")[2]
        return about_name(self._name, name, self._chat.about("inspect"), self._extra)

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Refuse the request.

        Raises:
            UsageError: always; Inspect's models are chats.
        """
        raise UsageError(f"{self._name} is used as a chat and does not score texts; sample from it")

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        """Draw answers, each by a separate request.

        Raises:
            UsageError: the provider refuses a request.
            DataError: it gave something other than an answer, or none in time.
        """
        asked = [(r, i) for r in requests for i in range(r.samples)]
        texts = iter(self._loop.run(ask_all(self._one, asked, self._in_flight)))
        return [[next(texts) for _ in range(r.samples)] for r in requests]

    async def _one(self, asked: tuple[SampleRequest, int]) -> str:
        request, number = asked
        config = self._api.GenerateConfig(
            seed=chunk_seed(request.seed, number) % SEEDS,
            temperature=request.temperature,
            max_tokens=request.length,
            stop_seqs=list(sendable_stops(request.stop, MOST_STOPS)) or None,
            **self._extra,
        )
        kinds = {
            "system": self._api.ChatMessageSystem,
            "user": self._api.ChatMessageUser,
            "assistant": self._api.ChatMessageAssistant,
        }
        turns = [
            kinds[m["role"]](content=m["content"]) for m in self._chat.messages(request.prompt)
        ]
        try:
            # A separate task: what Inspect notes about a request is dropped with the task.
            output = await asyncio.create_task(self._model.generate(turns, config=config))
        except TimeoutError as error:
            raise self._garbled("no answer in time", error) from error
        except Exception as error:
            raise self._trouble(error) from error
        if output.error or not output.choices:
            raise self._garbled("an answer without a text", output.error or output)
        usage = output.usage
        if usage is None:
            self.usage.add(None, None, None)
        else:
            read = usage.input_tokens + (usage.input_tokens_cache_read or 0)
            read += usage.input_tokens_cache_write or 0
            self.usage.add(usage.output_tokens, read, read + usage.output_tokens)
        text = without_reasoning(output.choices[0].message.text)
        return cut_text(text, request.stop)

    def _trouble(self, error: Exception) -> UsageError | DataError:
        """Convert an error of Inspect's: it gave up, or the request was refused."""
        if type(error).__name__ == "RetryError":  # from tenacity, with which Inspect retries
            last = error.__cause__ or error
            return self._garbled("gave up after its retries", last)
        if isinstance(error, OSError) or "Connect" in type(error).__name__:
            return self._garbled("no connection", error)
        return UsageError(f"{self._name} refuses the request: {_plain(error)}")

    def _garbled(self, problem: str, value: object) -> DataError:
        shown = _plain(value) if isinstance(value, BaseException) else str(value)[:300]
        return DataError(
            problem,
            source=self._name,
            value=shown,
            expected="an answer; the run can be started again where it stopped",
        )


def _plain(error: BaseException) -> str:
    """Format an error in one line, without markup for Inspect's terminal."""
    text = " ".join(_STYLE.sub("", str(error)).split())
    return f"{type(error).__name__}: {text}"[:300]
