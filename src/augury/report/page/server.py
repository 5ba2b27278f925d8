"""The page, live: reloaded whenever its sources have changed.

It is for the person at this machine. It listens on loopback by default, accepts only requests that
use one of its own addresses (so that no web site can read it through its visitor), and serves only
the page.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from augury.errors import AuguryError, UsageError
from augury.report.page.html import asset, digest_of, html_of
from augury.report.page.measurements import measurement_story
from augury.report.page.story import Story


class PageServer(ThreadingHTTPServer):
    """A server of one page.

    Args:
        path: an .html file, or something that `tell` reads.
        port: 0 uses any free port.
        host: address to listen on.
        tell: builds the story of what is at the path; by default that of measurements.

    Attributes:
        url: address of the page.

    Raises:
        UsageError: the file or folder does not exist, or the port is taken.
    """

    daemon_threads = True

    def __init__(
        self,
        path: str | Path,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        tell: Callable[[Path], Story] = measurement_story,
    ) -> None:
        self.path, self._tell = Path(path), tell
        if not self.path.exists():
            raise UsageError(f"{path}: there is no such file or folder")
        self._lock = threading.Lock()
        self._made: tuple[str, str] | None = None
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise UsageError(f"cannot serve on {host}:{port}: {error.strerror}") from error
        self.host = host
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.server_address[1]}/"

    def version(self) -> str:
        """Return a text that changes when a source file of the page does."""
        files = [self.path] if self.path.is_file() else sorted(_sources(self.path))
        told = [f"{f}:{s.st_mtime_ns}:{s.st_size}" for f in files if (s := _stat(f))]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]

    def page(self) -> str:
        """Return the current page, with the script that checks for changes."""
        version = self.version()
        with self._lock:
            if self._made is None or self._made[0] != version:
                self._made = (version, _live(self._text(), version))
            return self._made[1]

    def _text(self) -> str:
        if self.path.is_file():
            return self.path.read_text(encoding="utf-8")
        try:
            return html_of(self._tell(self.path))
        except AuguryError as error:
            return _sorry(str(error))

    def knows(self, host: str) -> bool:
        """Return whether a request with this Host header is meant for this server."""
        name = re.sub(r":\d+$", "", host).strip("[]")
        return not _loopback(self.host) or name == "localhost" or _loopback(name)


def serve(
    path: str | Path,
    port: int = 0,
    host: str = "127.0.0.1",
    *,
    say: Callable[[str], None] | None = None,
    tell: Callable[[Path], Story] = measurement_story,
) -> None:
    """Serve a page until interrupted; `say` gets its address, `tell` builds the story.

    Raises:
        UsageError: as `PageServer`.
    """
    with PageServer(path, port, host, tell=tell) as server:
        if say is not None:
            say(server.url)
        server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        """Serve the page, its version, and nothing else."""
        if not self.server.knows(self.headers.get("Host", "")):
            self._send(403, "text/plain", "this page is only served to the machine it runs on\n")
        elif self.path.split("?")[0] == "/":
            self._send(200, "text/html", self.server.page())
        elif self.path == "/version":
            self._send(200, "text/plain", self.server.version())
        else:
            self._send(404, "text/plain", "this server has only one page\n")

    def _send(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal shows the address."""


def _live(text: str, version: str) -> str:
    """Return the page with the polling script, and a policy that allows it."""
    script = asset("live.js")
    allowed = f"connect-src 'self'; script-src '{digest_of(script)}' "
    text = text.replace(escape("script-src "), escape(allowed), 1)
    text = text.replace("<html ", f'<html data-version="{version}" ', 1)
    return text.replace("</body>", f"<script>{script}</script>\n</body>")


def _sorry(why: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape("script-src ")}">'
        "<title>No page yet</title></head><body><main><h1>No page yet</h1>"
        f'<p role="alert">{escape(why)}</p></main></body></html>\n'
    )


def _sources(folder: Path) -> list[Path]:
    patterns = (
        "*.json", "*.jsonl", "*.head", "*.toml", "*.parquet", "units/*/unit.json",
        "measurements/*/rows.parquet",
    )  # fmt: skip
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:  # the file is being replaced
        return None


def _loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
