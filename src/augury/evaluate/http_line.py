"""Many requests to one server: side by side up to a limit, tried again, reported when garbled."""

from __future__ import annotations

import asyncio
import json
import math
import random
import threading
import weakref
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import wait
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, TypeVar

from augury.errors import DataError, UsageError

# Said by servers that are busy, restarting or behind a gateway that is.
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
# A server may ask for more than LONGEST_WAIT, but not for a day.
LONGEST_ASKED = 600.0
GLANCE = 0.2  # seconds until Ctrl-C is noticed, at most
T = TypeVar("T")


class RefusedError(UsageError):
    """The server says that the request is wrong.

    Attributes:
        status: of HTTP.
    """

    status = 0


class Line:
    """A loop of its own in a thread, so that calls work inside a notebook's loop too."""

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
        self._key = key
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._jitter = random.Random()  # noqa: S311
        self._answered = False
        self.successes = 0  # requests that were taken
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finish: Any = None

    def ask(self, bodies: Sequence[Mapping[str, Any]], retries: int | None = None) -> list[Any]:
        """Answers in the order of the requests; tried again as often as the line does, or said."""
        return self._run(self._all(bodies, self._retries if retries is None else retries))

    def close(self) -> None:
        """Close connections and loop."""
        if self._loop is not None:
            self._run(self._client.aclose())
            self._finish()
            self._loop = self._client = None

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            loop = self._loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="augury-http", daemon=True)
            thread.start()
            self._finish = weakref.finalize(self, _stop, loop, thread)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            # Ctrl-C may be noticed by another thread; this one looks up now and then.
            while not wait([future], timeout=GLANCE).done:
                pass
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C reaches this thread; the loop must stop asking
            raise

    async def _all(self, bodies: Sequence[Mapping[str, Any]], retries: int) -> list[Any]:
        if self._client is None:
            limits = self._http.Limits(
                max_connections=self._in_flight, max_keepalive_connections=self._in_flight
            )
            self._client = self._http.AsyncClient(
                headers=self._headers, timeout=self._timeout, limits=limits
            )
        answers: list[Any] = [None] * len(bodies)
        waiting = iter(enumerate(bodies))
        first: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._in_flight, len(bodies))):
                    group.create_task(self._some(waiting, answers, retries))
        except* (UsageError, DataError) as errors:
            first = errors.exceptions[0]
        if first is not None:
            raise first
        return answers

    async def _some(
        self,
        waiting: Iterable[tuple[int, Mapping[str, Any]]],
        answers: list[Any],
        retries: int,
    ) -> None:
        for i, body in waiting:
            answers[i] = await self._one(body, retries)

    async def _one(self, body: Mapping[str, Any], retries: int) -> Any:
        problem = ""
        for attempt in range(retries + 1):
            asked: float | None = None
            try:
                reply = await self._client.post(self._url, content=json.dumps(body))
            except self._http.ConnectError as error:
                if not self._answered:
                    raise UsageError(f"nothing answers at {self._url}: {error}") from error
                problem = f"cannot connect: {error}"
            except self._http.RequestError as error:
                problem = f"the connection broke: {type(error).__name__} {error}".rstrip()
            else:
                self._answered = True
                if reply.is_success:
                    self.successes += 1
                    return self._json(reply)
                problem = f"status {reply.status_code}: {self._masked(reply.text[:2000])[:300]}"
                if reply.status_code not in AGAIN:
                    refused = RefusedError(f"{self._url} refuses the request with {problem}")
                    refused.status = reply.status_code
                    raise refused
                asked = wait_asked(reply.headers.get("retry-after"))
            if attempt < retries:
                await asyncio.sleep(self._wait(attempt, asked))
        raise DataError(
            f"gave up after {retries + 1} tries",
            source=self._url,
            value=problem,
            expected="an answer; the run can be started again where it stopped",
        )

    def _masked(self, text: str) -> str:
        """A server's words without the key, which some repeat."""
        return text.replace(self._key, "***") if self._key else text

    def _wait(self, attempt: int, asked: float | None) -> float:
        """Seconds: what the server asks for, else doubling; jitter keeps requests apart."""
        longest = min(FIRST_WAIT * 2.0**attempt, LONGEST_WAIT)
        if asked is not None:
            return min(asked, LONGEST_ASKED) + self._jitter.uniform(0, FIRST_WAIT)
        return self._jitter.uniform(longest / 2, longest)

    def _json(self, reply: Any) -> Any:
        try:
            return reply.json()
        except (ValueError, RecursionError) as error:
            text = self._masked(reply.text[:2000])
            raise garbage(self._url, "the answer is not JSON", text) from error


def wait_asked(header: str | None) -> float | None:
    """Seconds of a Retry-After header, which gives seconds or a date; None if it gives neither."""
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
    except ValueError:
        return None


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=5)
    if not thread.is_alive():
        loop.close()


def garbage(url: str, problem: str, value: Any) -> DataError:
    """A server answered something else."""
    return DataError(
        problem,
        source=url,
        value=(value if isinstance(value, str) else repr(value))[:200],
        expected="the completions of OpenAI's API: choices with their text",
    )
