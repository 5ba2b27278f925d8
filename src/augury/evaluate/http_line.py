"""Many requests to one server: in parallel up to a limit, retried, reported if garbled."""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from augury.errors import DataError, UsageError
from augury.evaluate.side_by_side import OwnLoop, ask_all

# Sent by servers that are busy, restarting or behind such a gateway.
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
# A server may ask for more than LONGEST_WAIT, but not for a day.
LONGEST_ASKED = 600.0
# Maximum bytes of an answer: 16 samples of 1,024 tokens, each with 20 likely ones and their
# log-probabilities, are about 20 MB. For a refusal the beginning is enough.
LARGEST_ANSWER, LARGEST_REFUSAL = 64 << 20, 1 << 16
# What a key looks like in headers that a server repeats.
_BEARER = re.compile(r"(?i)(\bbearer\s+)[\w.~+/=-]{6,}")


class RefusedError(UsageError):
    """The server reports that the request is wrong.

    Attributes:
        status: HTTP status.
    """

    status = 0


class Line:
    """The connections to a server.

    Attributes:
        shown: the address, for messages.
        successes: number of accepted requests.
    """

    def __init__(
        self, url: str, in_flight: int, retries: int, timeout: float, key: str | None
    ) -> None:
        try:
            import httpx2
        except ModuleNotFoundError as error:
            raise UsageError(
                'this needs httpx2, which is not installed: pip install "augury[http]"'
            ) from error
        try:
            address = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise UsageError(f"{url!r} is not an address: {error}") from error
        if not address.host or (address.port or 0) >= 2**16:
            raise UsageError(f"{url!r} is not an address; expected http://HOST:PORT")
        self._http: Any = httpx2
        self._url, self._in_flight, self._retries, self._timeout = url, in_flight, retries, timeout
        self._headers = {"Content-Type": "application/json"}
        # Names and passwords in an address are not shown.
        self.shown = str(address.copy_with(userinfo=b"")) if address.userinfo else url
        self._key = key
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._jitter = random.Random()  # noqa: S311
        self._answered = False
        self.successes = 0  # number of accepted requests
        self._client: Any = None
        self._loop = OwnLoop("augury-http")

    def ask(self, bodies: Sequence[Mapping[str, Any]], retries: int | None = None) -> list[Any]:
        """Return answers in the order of the requests, retrying as given or as the line does."""
        tries = self._retries if retries is None else retries
        return self._loop.run(self._all(bodies, tries))

    def close(self) -> None:
        """Close connections and loop."""
        if self._loop.running:
            self._loop.run(self._client.aclose())
            self._loop.close()
            self._client = None

    async def _all(self, bodies: Sequence[Mapping[str, Any]], retries: int) -> list[Any]:
        if self._client is None:
            limits = self._http.Limits(
                max_connections=self._in_flight, max_keepalive_connections=self._in_flight
            )
            self._client = self._http.AsyncClient(
                headers=self._headers, timeout=self._timeout, limits=limits
            )
        return await ask_all(lambda body: self._one(body, retries), bodies, self._in_flight)

    async def _one(self, body: Mapping[str, Any], retries: int) -> Any:
        problem = ""
        for attempt in range(retries + 1):
            asked: float | None = None
            try:
                status, headers, text = await self._answer(json.dumps(body))
            except self._http.ConnectError as error:
                if not self._answered:
                    raise UsageError(f"nothing answers at {self.shown}: {error}") from error
                problem = f"cannot connect: {error}"
            except self._http.RequestError as error:
                problem = f"the connection broke: {type(error).__name__} {error}".rstrip()
            else:
                self._answered = True
                if 200 <= status < 300:
                    answer = self._json(text)
                    inside = error_inside(answer)
                    if inside is None:
                        self.successes += 1
                        return answer
                    status, told = inside
                    problem = f"an error inside an answer: {self.masked(told)[:300]}"
                else:
                    told = text[:2000].decode("utf-8", "replace")
                    problem = f"status {status}: {self.masked(told)[:300]}"
                if status not in AGAIN:
                    refused = RefusedError(f"{self.shown} refuses the request with {problem}")
                    refused.status = status
                    raise refused
                asked = wait_asked(headers.get("retry-after"))
            if attempt < retries:
                await asyncio.sleep(self._wait(attempt, asked))
        raise DataError(
            f"gave up after {retries + 1} tries",
            source=self.shown,
            value=problem,
            expected="an answer; the run can be started again where it stopped",
        )

    async def _answer(self, body: str) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and content of one answer, read up to a maximum."""
        async with self._client.stream("POST", self._url, content=body) as reply:
            most = LARGEST_ANSWER if reply.is_success else LARGEST_REFUSAL
            parts, size = [], 0
            async for part in reply.aiter_bytes():
                parts.append(part)
                size += len(part)
                if size > most:
                    break
            if size > most and reply.is_success:
                raise garbage(
                    self.shown,
                    f"the answer is longer than {most >> 20} MiB",
                    self.masked(b"".join(parts)[:2000].decode("utf-8", "replace")),
                )
            return reply.status_code, reply.headers, b"".join(parts)

    def masked(self, text: str) -> str:
        """Remove the key from a server's words, which some repeat."""
        text = _BEARER.sub(r"\1***", text)
        return text.replace(self._key, "***") if self._key else text

    def _wait(self, attempt: int, asked: float | None) -> float:
        """Return the seconds to wait: the server's wish, else doubling; with jitter."""
        longest = min(FIRST_WAIT * 2.0**attempt, LONGEST_WAIT)
        if asked is not None:
            return min(asked, LONGEST_ASKED) + self._jitter.uniform(0, FIRST_WAIT)
        return self._jitter.uniform(longest / 2, longest)

    def _json(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            text = self.masked(content[:2000].decode("utf-8", "replace"))
            raise garbage(self.shown, "the answer is not JSON", text) from error


def error_inside(answer: Any) -> tuple[int, str] | None:
    """Return status and text of an error reported as a success, for the whole or one sample.

    Gateways answer so when the server behind them fails, or with an empty list of choices. An error
    without an HTTP status counts as temporary (503).
    """
    if not isinstance(answer, dict):
        return None
    choices = answer.get("choices")
    if choices == [] and not answer.get("error"):
        return 503, "no choices"
    listed = [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
    found = [answer] if not listed else []
    for part in (*found, *listed):
        error = part.get("error")
        if error or part.get("finish_reason") == "error":
            named = error if isinstance(error, dict) else {}
            codes = [status_of(named.get(key)) for key in ("code", "status")]
            return max(codes) or 503, json.dumps(error or part)[:2000]
    return None


def status_of(code: Any) -> int:
    """Return an HTTP status that means an error, or 0."""
    digits = "" if isinstance(code, bool) else str(code)
    return int(digits) if re.fullmatch(r"[45]\d\d", digits, re.ASCII) else 0


def wait_asked(header: str | None) -> float | None:
    """Parse a Retry-After header in seconds or as a date; None if it is neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds):
        return max(seconds, 0.0)
    try:
        return max(parsedate_to_datetime(header).timestamp() - time(), 0.0)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def garbage(url: str, problem: str, value: Any) -> DataError:
    """Build the error for a server's invalid answer."""
    return DataError(
        problem,
        source=url,
        value=(value if isinstance(value, str) else repr(value))[:200],
        expected="the completions of OpenAI's API: choices with their text",
    )
