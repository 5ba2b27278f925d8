"""Servers for the HTTP backend: a third-party one, and one that misbehaves on purpose."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@contextmanager
def transformers_serve(checkpoint: Path, log: Path) -> Iterator[str]:
    """`transformers serve` with one checkpoint, on a free loopback port; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(checkpoint)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env=offline)
        try:
            until = time.monotonic() + 120  # it imports torch: 6 s on an idle machine
            while not answers(f"{url}/health"):
                if server.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"transformers serve did not start: {log.read_text()}")
                time.sleep(0.2)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


class Misbehaving:
    """A server that answers its k-th request with the k-th of `acts`, and later ones with the last.

    Attributes:
        url: address of the server.
        bodies: requests, in order of arrival.
        most: largest number of simultaneous requests.
    """

    def __init__(self, *acts: Callable[[Any, dict[str, Any]], None]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.most = self._now = 0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    act = acts[min(len(outer.bodies), len(acts) - 1)]
                    outer.bodies.append(body)
                    outer.headers.append(self.headers)
                    outer._now += 1
                    outer.most = max(outer.most, outer._now)
                try:
                    act(self, body)
                except ConnectionError:  # the client is gone
                    self.close_connection = True
                finally:
                    with lock:
                        outer._now -= 1

            def log_message(self, *parts: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Misbehaving:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def says(status: int, content: Any, **headers: str) -> Callable[[Any, dict[str, Any]], None]:
    """Answer with a status and a text, or with anything else as JSON."""

    def act(handler: Any, body: dict[str, Any]) -> None:
        text = (content if isinstance(content, str) else json.dumps(content)).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    return act


def echoes(wait: float = 0.0) -> Callable[[Any, dict[str, Any]], None]:
    """Answer the requested number of choices, each the prompt with the choice's number."""

    def act(handler: Any, body: dict[str, Any]) -> None:
        time.sleep(wait)
        n = body.get("n", 1)
        choices = [{"index": i, "text": f"{body['prompt']}{i}"} for i in range(n)]
        says(200, {"choices": choices})(handler, body)

    return act


def drops(handler: Any, body: dict[str, Any]) -> None:
    """Break the connection without an answer."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def breaks_off(handler: Any, body: dict[str, Any]) -> None:
    """Promise more than is sent."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.wfile.flush()
    drops(handler, body)
