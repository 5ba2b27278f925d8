"""The HTTP backend: with `transformers serve`, and with a server that misbehaves."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from augury.errors import DataError, UsageError
from augury.evaluate import Backend, NextRequest, SampleRequest, ScoreRequest, http_line
from augury.evaluate.http import OFF, HTTPBackend, chunk_seed
from augury.lab import ALPHABET, LabBackend
from tests.evaluate.exported import exported
from tests.evaluate.servers import (
    Misbehaving,
    breaks_off,
    drops,
    echoes,
    says,
    transformers_serve,
)
from tests.shared import HEED_CTRL_C

ASK = SampleRequest("p", 5, 3, seed=1)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_line, "FIRST_WAIT", 0.01)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    folder = tmp_path_factory.mktemp("served")
    checkpoint, export = exported(folder)
    with transformers_serve(export, folder / "log") as url:
        yield url, checkpoint, export


@pytest.mark.slow
@pytest.mark.parametrize("chat", [False, True])
def test_a_real_server_samples_at_the_models_rates(
    served: tuple[str, Path, Path], chat: bool
) -> None:
    url, checkpoint, export = served
    prompt, n = "=421>", 400
    with HTTPBackend(url, str(export), n_per_request=1, chat=chat) as backend:
        assert isinstance(backend, Backend)
        (texts,) = backend.sample([SampleRequest(prompt, n, 1, seed=2)])
    rates = np.exp(LabBackend(checkpoint).next_token_logprobs([NextRequest(prompt)])[0])
    counts = Counter(texts)
    assert set(counts) <= set(ALPHABET)
    common = [i for i in range(len(rates)) if n * rates[i] >= 5]
    observed = np.array([counts[ALPHABET[i]] for i in common])
    observed = np.append(observed, n - observed.sum())
    wanted = n * np.append(rates[common], 1 - rates[common].sum())
    assert len(common) >= 8
    assert stats.chisquare(observed, wanted).pvalue > 1e-3


@pytest.mark.slow
def test_a_real_server_keeps_to_seeds(served: tuple[str, Path, Path]) -> None:
    # One at a time, because this server seeds one generator for all requests.
    url, _, export = served
    with HTTPBackend(url, str(export), n_per_request=1, in_flight=1) as backend:
        requests = [SampleRequest("=12>", 6, 8, seed=3), SampleRequest("=987>", 2, 4, seed=4)]
        first, again = backend.sample(requests), backend.sample(requests[:1])
        assert [len(texts) for texts in first] == [6, 2]
        assert again[0] == first[0]
        assert len(set(first[0])) > 3
        assert {len(text) for text in first[0]} == {8}


@pytest.mark.slow
def test_what_a_real_server_cannot_do_is_said(served: tuple[str, Path, Path]) -> None:
    url, _, export = served
    with HTTPBackend(url, str(export)) as backend:
        assert len(backend.sample([SampleRequest("=12>", 5, 3, seed=1)])[0]) == 5  # one at a time
        with pytest.raises(UsageError, match="does not show the log-probabilities of a given text"):
            backend.logprobs([ScoreRequest("=1>", "1")])
    with (
        HTTPBackend(url, str(export), n_per_request=5) as backend,
        pytest.raises(UsageError, match=r"gave 1 of 5 samples .* leave n_per_request out"),
    ):
        backend.sample([ASK])
    with (
        HTTPBackend(url, "no-such-model", n_per_request=1) as backend,
        pytest.raises(UsageError, match=r"refuses the request with status 4\d\d: .*no-such-model"),
    ):
        backend.sample([ASK])


def test_chunks_come_together_in_order() -> None:
    with Misbehaving(echoes()) as server, HTTPBackend(server.url, "m", n_per_request=2) as backend:
        got = backend.sample([SampleRequest("a", 5, 3, seed=1), SampleRequest("b", 1, 9, seed=2)])
    assert got == [["a0", "a1", "a0", "a1", "a0"], ["b0"]]
    body = next(b for b in server.bodies if b["prompt"] == "b")
    assert body == {
        "model": "m",
        "prompt": "b",
        "max_tokens": 9,
        "temperature": 1.0,
        "top_p": 1.0,
        "seed": chunk_seed(2, 0),
        **OFF["all"],
    }
    seeds = [b["seed"] for b in server.bodies if b["prompt"] == "a"]
    assert sorted(seeds) == sorted(chunk_seed(1, k) for k in range(3))
    assert len({chunk_seed(s, k) for s in range(50) for k in range(50)}) == 2500


def test_the_server_shows_how_many_samples_it_gives_at_once() -> None:
    one = says(200, {"choices": [{"text": "t"}]})
    for first, after in ((one, one), (says(400, "only one completion choice"), one)):
        with Misbehaving(first, after) as server, HTTPBackend(server.url, "m") as backend:
            assert backend.sample([ASK]) == [["t"] * 5]
            assert backend.sample([ASK]) == [["t"] * 5]
        # If two are refused, a request for one shows whether n was the cause.
        probes = [2] if first is one else [2, None]
        assert [b.get("n") for b in server.bodies] == [*probes, *[None] * 10]
    with Misbehaving(echoes()) as server, HTTPBackend(server.url, "m") as backend:
        assert backend.sample([]) == []
        assert len(backend.sample([SampleRequest("p", 20, 3, seed=1)])[0]) == 20
    assert sorted(b["n"] for b in server.bodies) == [2, 4, 16]


@pytest.mark.parametrize(
    "trouble",
    [
        says(429, "slow down"),
        says(503, "starting", Retry_After="0"),
        says(500, "?"),
        drops,
        breaks_off,
    ],
)
def test_trouble_that_passes_is_waited_out(trouble: Any) -> None:
    acts = [echoes(), trouble, trouble, trouble, echoes()]
    with Misbehaving(*acts) as server, HTTPBackend(server.url, "m", n_per_request=5) as backend:
        assert len(backend.sample([ASK])[0]) == 5
        assert len(backend.sample([ASK])[0]) == 5
    assert len(server.bodies) == 5


def test_a_server_that_names_a_time_is_given_it() -> None:
    acts = [says(429, "later", Retry_After="1"), echoes()]
    with Misbehaving(*acts) as server, HTTPBackend(server.url, "m", n_per_request=5) as backend:
        began = time.monotonic()
        backend.sample([ASK])
        assert time.monotonic() - began >= 1
    date = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert http_line.wait_asked(date) == pytest.approx(90, abs=2)
    assert http_line.wait_asked("nan") is None
    assert http_line.wait_asked("soon") is None
    assert http_line.wait_asked("-3") == 0
    assert http_line.wait_asked(None) is None


def test_trouble_that_stays_stops_the_run() -> None:
    with (
        Misbehaving(says(429, "slow down")) as server,
        HTTPBackend(server.url, "m", n_per_request=5, retries=2) as backend,
        pytest.raises(DataError, match=r"gave up after 3 tries \(got 'status 429: slow down'\)"),
    ):
        backend.sample([ASK])
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("<html>hello</html>", "the answer is not JSON .got '<html>hello</html>'"),
        ([1, 2], r"an answer without choices .got '\[1, 2\]'"),
        ({"choices": None}, "an answer without choices"),
        ({"choices": ["text"]}, "a choice of another form .got .*text"),
        ({"choices": [{"text": None}] * 5}, "a choice without text"),
    ],
)
def test_garbage_is_told_with_its_source(content: Any, line: str) -> None:
    with (
        Misbehaving(says(200, content)) as server,
        HTTPBackend(server.url, "m", n_per_request=5) as backend,
        pytest.raises(DataError, match=line) as error,
    ):
        backend.sample([ASK])
    assert str(error.value).startswith(f"{server.url}/v1/completions: ")
    assert str(error.value).endswith("choices with their text")
    assert len(server.bodies) == 1


def test_a_refusal_is_not_tried_again() -> None:
    with (
        Misbehaving(says(401, "no key")) as server,
        HTTPBackend(server.url, "m", n_per_request=5, api_key="secret") as backend,
        pytest.raises(UsageError, match="refuses the request with status 401: no key") as error,
    ):
        backend.sample([ASK])
    assert len(server.bodies) == 1
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("status", [200, 400, 401, 429])
@pytest.mark.parametrize(
    "words",
    ["you sent Authorization: Bearer {key}", '{{"error": {{"code": 400, "message": "{key}"}}}}'],
)
def test_a_key_that_a_server_repeats_is_shown_nowhere(status: int, words: str) -> None:
    key = "sk-secret-0123456789"
    act = says(status, words.format(key=key))
    with (
        Misbehaving(act) as server,
        HTTPBackend(server.url, "m", n_per_request=5, retries=0, api_key=key) as backend,
        pytest.raises((UsageError, DataError)) as error,
    ):
        backend.sample([ASK])
    assert "***" in str(error.value)
    assert "secret" not in "".join(traceback.format_exception(error.value))


def test_a_key_inside_an_answer_and_a_password_in_an_address_are_not_shown() -> None:
    key = "sk-secret-0123456789"
    with Misbehaving(says(200, {"choices": [{"text": None, "why": key}] * 5})) as server:
        address = server.url.replace("//", "//me:password@")
        with (
            HTTPBackend(address, "m", n_per_request=5, retries=0, api_key=key) as backend,
            pytest.raises(DataError, match=r"a choice without text .*\*\*\*") as error,
        ):
            backend.sample([ASK])
    assert not {word for word in ("secret", "password") if word in str(error.value)}


def test_an_answer_is_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_line, "LARGEST_ANSWER", 1 << 20)
    sent = 0

    def endless(handler: Any, body: dict[str, Any]) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 30))
        handler.end_headers()
        while sent < 1 << 28:
            handler.wfile.write(b"x" * (1 << 16))
            sent += 1 << 16

    with (
        Misbehaving(endless) as server,
        HTTPBackend(server.url, "m", n_per_request=5) as backend,
        pytest.raises(DataError, match=r"the answer is longer than 1 MiB \(got 'xxx"),
    ):
        backend.sample([ASK])
    assert sent < 1 << 26
    assert len(server.bodies) == 1  # and not requested again


@pytest.mark.parametrize("indexes", [[0, 0, 0], [1, 2, 3], [2, 2, 0], [None, None, None]])
def test_choices_with_wrong_indexes_keep_their_order(indexes: list[Any]) -> None:
    choices = [{"index": i, "text": t} for i, t in zip(indexes, "abc", strict=True)]
    ask = SampleRequest("p", 3, 3, seed=1)
    with (
        Misbehaving(says(200, {"choices": choices})) as server,
        HTTPBackend(server.url, "m", n_per_request=3) as backend,
    ):
        assert backend.sample([ask]) == [["a", "b", "c"]]
    right = [{"index": i, "text": t} for i, t in ((2, "c"), (0, "a"), (1, "b"))]
    with (
        Misbehaving(says(200, {"choices": right})) as server,
        HTTPBackend(server.url, "m", n_per_request=3) as backend,
    ):
        assert backend.sample([ask]) == [["a", "b", "c"]]


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "overloaded", "code": 503}},
        {"error": {"message": "slow down", "status": "429"}},
        {"error": "the upstream failed"},
        {"error": {"message": "?", "code": "server_error"}, "choices": None},
        {"choices": [{"text": "t", "finish_reason": "error"}]},
        {"choices": [{"text": "", "error": {"code": 502}}] * 5},
        {"choices": []},
    ],
)
def test_an_error_inside_a_success_is_tried_again(error: Any) -> None:
    acts = [says(200, error), says(200, error), echoes()]
    with Misbehaving(*acts) as server, HTTPBackend(server.url, "m", n_per_request=5) as backend:
        assert len(backend.sample([ASK])[0]) == 5
    assert len(server.bodies) == 3


def test_an_error_inside_a_success_that_will_not_pass_is_not_tried_again() -> None:
    error = {"error": {"message": "no such model", "code": 404}}
    with (
        Misbehaving(says(200, error)) as server,
        HTTPBackend(server.url, "m", n_per_request=5) as backend,
        pytest.raises(UsageError, match="refuses the request with an error inside an answer"),
    ):
        backend.sample([ASK])
    assert len(server.bodies) == 1
    fine = {"choices": [{"text": "t", "error": None}] * 5, "error": None}
    with (
        Misbehaving(says(200, fine)) as server,
        HTTPBackend(server.url, "m", n_per_request=5) as backend,
    ):
        assert backend.sample([ASK]) == [["t"] * 5]


def test_a_server_that_only_chats_says_how_to_ask_it() -> None:
    words = {"error": {"message": "This is a chat model and not supported here"}}
    for n in (5, None):
        with (
            Misbehaving(says(404, words)) as server,
            HTTPBackend(server.url, "m", n_per_request=n) as backend,
            pytest.raises(UsageError, match=r"status 404.*use --chat for a chat model"),
        ):
            backend.sample([ASK])


@pytest.mark.parametrize(
    "junk", ["soon", "", "1e999", "-inf", "Mon, 99 Foo", "\x00", "0x10", "9" * 400]
)
def test_junk_for_a_time_to_wait_is_no_time(junk: str) -> None:
    assert http_line.wait_asked(junk) is None


def test_one_request_that_fails_stops_the_others() -> None:
    acts = [echoes(), says(400, "no"), echoes(0.05)]
    with (
        Misbehaving(*acts) as server,
        HTTPBackend(server.url, "m", n_per_request=5, in_flight=2) as backend,
    ):
        with pytest.raises(UsageError, match="status 400: no"):
            backend.sample([SampleRequest("p", 1, 1, seed=i) for i in range(200)])
        assert len(server.bodies) < 20
        assert backend.sample([ASK])[0]  # and the connection still works


def test_no_more_requests_are_under_way_than_allowed() -> None:
    with (
        Misbehaving(echoes(0.02)) as server,
        HTTPBackend(server.url, "m", n_per_request=5, in_flight=4) as backend,
    ):
        backend.sample([SampleRequest("p", 1, 1, seed=i) for i in range(40)])
    assert server.most == 4


def test_it_works_inside_a_running_loop() -> None:
    async def notebook(backend: HTTPBackend) -> list[list[str]]:
        return backend.sample([ASK])

    with Misbehaving(echoes()) as server, HTTPBackend(server.url, "m", n_per_request=5) as backend:
        assert len(asyncio.run(notebook(backend))[0]) == 5


@pytest.mark.slow
def test_ctrl_c_stops_it_at_once() -> None:
    """The server never answers: nothing but Ctrl-C can end the requests under way."""
    program = (
        f"{HEED_CTRL_C}\n"
        "import sys\n"
        "from augury.evaluate import SampleRequest\n"
        "from augury.evaluate.http import HTTPBackend\n"
        "backend = HTTPBackend(sys.argv[1], 'm', n_per_request=1, in_flight=4)\n"
        "backend.sample([SampleRequest('p', 400, 1, seed=1)])\n"
    )
    ended = threading.Event()

    def never(handler: Any, body: dict[str, Any]) -> None:
        ended.wait()
        handler.close_connection = True

    with Misbehaving(never) as server:
        run = subprocess.Popen([sys.executable, "-c", program, server.url], stderr=subprocess.PIPE)
        while len(server.bodies) < 4:
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=300)[
            1
        ]  # a request waits longer, and the machine may be busy
        ended.set()
    assert said.decode().rstrip().endswith("KeyboardInterrupt")
    assert len(server.bodies) == 4


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (None, "does not show the log-probabilities"),
        (
            {"tokens": ["p", "q", "!"], "token_logprobs": [None]},
            "as many log-probabilities as tokens",
        ),
        (
            {"tokens": ["pq", "!"], "token_logprobs": [-1.0, -1.0]},
            "no token begins where the prompt ends",
        ),
        ({"tokens": ["p", "q", "!"], "token_logprobs": [None, "x", -1.0]}, "that are not numbers"),
    ],
)
def test_scores_that_cannot_be_read_are_refused(told: Any, line: str) -> None:
    answer = {"choices": [{"text": "pq", "logprobs": told}]}
    with (
        Misbehaving(says(200, answer)) as server,
        HTTPBackend(server.url, "m", n_per_request=5) as backend,
        pytest.raises((UsageError, DataError), match=line),
    ):
        backend.logprobs([ScoreRequest("p", "q")])


def test_what_a_server_cannot_show_is_refused() -> None:
    backend = HTTPBackend("http://localhost:1/v1/", "org/pythia-70m-step512")
    assert backend.url == "http://localhost:1/v1/completions"
    assert backend.about["step"] == 512
    assert not backend.unique_tokens
    assert backend.ends == frozenset()
    with pytest.raises(UsageError, match="probabilities of all next tokens; sample from it"):
        backend.next_token_logprobs([NextRequest("p")])
    with pytest.raises(UsageError, match="does not show its tokens"):
        backend.decode([1])
    with pytest.raises(UsageError, match=r"nothing answers at http://localhost:1/v1/completions"):
        backend.sample([ASK])
    backend.close()
    with pytest.raises(UsageError, match="is used as a chat: it does not score texts"):
        HTTPBackend("http://localhost:1", "m", chat=True).logprobs([ScoreRequest("p", "q")])


def test_bad_options_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="url must begin with http:// or https://, not 'host'"):
        HTTPBackend("host", "m")
    for url in ("http://h:99999999", "http://h:abc", "http://"):
        with pytest.raises(UsageError, match="is not an address"):
            HTTPBackend(url, "m")
    with pytest.raises(UsageError, match="in_flight must be positive, not 0"):
        HTTPBackend("http://h", "m", in_flight=0)
    with pytest.raises(UsageError, match="retries must be at least 0, not -1"):
        HTTPBackend("http://h", "m", retries=-1)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(UsageError, match=r'pip install "augury\[http\]"'):
        HTTPBackend("http://h", "m")
