"""A terminal shows progress and the time left; nothing else gets them."""

from __future__ import annotations

import io
import time
from pathlib import Path

import jax
import pytest

from augury.cli import printing, waiting
from augury.cli.startup import keep_compiled
from augury.cli.waiting import Wait, show_wait
from augury.runtime.steps import count_steps, watch_steps


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_expected_end_is_that_of_the_steps_so_far() -> None:
    now = [100.0]
    wait = Wait("choosing a law", clock=lambda: now[0])
    assert str(wait) == "choosing a law, 0 s"
    now[0] += 4  # before the first step: not counted
    wait.see("laws", 0, 10)
    assert str(wait) == "choosing a law, 0 of 10 laws, 4 s"
    now[0] += 6
    wait.see("laws", 2, 10)
    assert str(wait) == "choosing a law, 2 of 10 laws, 10 s, about 24 s left"
    now[0] += 4  # during the third
    assert str(wait) == "choosing a law, 2 of 10 laws, 14 s, about 20 s left"
    wait.see("laws", 10, 10)
    assert str(wait) == "choosing a law, 10 of 10 laws, 14 s"
    wait.see("folds", 1, 5)  # other steps have their own speed
    assert str(wait) == "choosing a law, 1 of 5 folds, 14 s, about 0 s left"


def test_steps_are_told_to_who_watches() -> None:
    seen: list[tuple[str, int, int]] = []
    assert list(count_steps("ab", "letters")) == ["a", "b"]
    with watch_steps(lambda *told: seen.append(told)):
        assert list(count_steps("ab", "letters")) == ["a", "b"]
    assert list(count_steps("ab", "letters")) == ["a", "b"]
    assert seen == [("letters", 0, 2), ("letters", 1, 2), ("letters", 2, 2)]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATIENCE", "REFRESH", "LINE_EVERY"):
        monkeypatch.setattr(waiting, name, 0.01)


def wait_for(stream: io.StringIO, text: str) -> None:
    """Wait until the stream contains it, for at most a minute."""
    end = time.monotonic() + 60
    while text not in stream.getvalue() and time.monotonic() < end:
        time.sleep(0.005)


@pytest.mark.usefixtures("impatient")
def test_a_terminal_has_one_line_that_goes_away() -> None:
    stream = Terminal()
    with show_wait("fitting", stream):
        for _ in count_steps(range(2), "laws"):
            wait_for(stream, "fitting, 0 of 2 laws")
    assert "\r\x1b[2Kfitting, 0 of 2 laws, 0 s" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[2K")
    assert "\n" not in stream.getvalue()


@pytest.mark.usefixtures("impatient")
def test_a_log_has_whole_lines() -> None:
    stream = io.StringIO()
    with show_wait("fitting", stream):
        wait_for(stream, "\n")
    assert stream.getvalue().startswith("augury: fitting, 0 s\n")


def test_what_is_fast_says_nothing() -> None:
    stream = Terminal()
    with show_wait("fitting", stream):
        pass
    assert stream.getvalue() == ""


@pytest.mark.usefixtures("impatient")
def test_quiet_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "_talk", printing.QUIET)
    stream = Terminal()
    with show_wait("fitting", stream):
        time.sleep(0.05)
    assert stream.getvalue() == ""


def test_what_is_compiled_is_kept_where_jax_is_told_to_or_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: dict[str, object] = {}
    monkeypatch.setattr(jax.config, "update", told.__setitem__)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "own"))
    keep_compiled()
    assert told == {}
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    keep_compiled()
    assert told["jax_compilation_cache_dir"] == str(tmp_path / "augury" / "jax")
