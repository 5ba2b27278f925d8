"""Servers that truncate the distribution are detected, honest ones are not accused."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augury.evaluate import Instance, Task, pass_until
from augury.evaluate.draw_check import DrawCheck, find_repeats, judge_places
from augury.evaluate.http import OFF, HTTPBackend
from tests.evaluate.servers import Misbehaving, says

VOCABULARY = 300


def next_tokens(rng: np.random.Generator) -> Any:
    """Probabilities of a next token, steep or flat as in a language model."""
    logits = -rng.uniform(0.6, 2.5) * np.log(np.arange(1, VOCABULARY + 1))
    weights = np.exp(logits + rng.normal(0, 0.7, VOCABULARY))
    return weights / weights.sum()


def cut(p: Any, how: str) -> Any:
    """The probabilities as a server changes them."""
    order = np.argsort(-p)
    if how == "greedy":
        kept = p == p.max()
    elif how == "top-k 40":
        kept = np.isin(np.arange(len(p)), order[:40])
    elif how.startswith("top-p"):
        mass = float(how.removeprefix("top-p "))
        kept = np.isin(np.arange(len(p)), order[: int((np.cumsum(p[order]) < mass).sum()) + 1])
    elif how == "min-p .05":
        kept = p >= 0.05 * p.max()
    elif how == "temperature .8":
        sharper = p ** (1 / 0.8)
        return sharper / sharper.sum()
    else:
        return p
    return np.where(kept, p, 0) / p[kept].sum()


@cache
def places(how: str, shown: int) -> list[tuple[Any, Any, dict[str, float]]]:
    """Forty places: log-probabilities, cumulative mass that is sampled, likeliest tokens."""
    rng, found = np.random.default_rng(9), []
    for _ in range(40):
        p = next_tokens(rng)
        top = {str(i): float(np.log(p[i])) for i in np.argsort(-p)[:shown]}
        found.append((np.log(p), np.cumsum(cut(p, how)), top))
    return found


def check_of(draws: int, how: str, seed: int, shown: int = 20) -> DrawCheck:
    """The check after this many tokens at random places."""
    rng, check = np.random.default_rng(seed), DrawCheck(seed)
    known = places(how, shown)
    for which, aim in zip(rng.integers(len(known), size=draws), rng.random(draws), strict=True):
        logs, below, top = known[which]
        drawn = min(int(np.searchsorted(below, aim * below[-1], side="right")), VOCABULARY - 1)
        check.add_draw(float(logs[drawn]), top)
    return check


def test_honest_servers_are_not_accused() -> None:
    """None of 80 runs of 800 tokens is called truncated; small p-values are as rare as claimed."""
    shown = (5, 20)
    found = [judge_places(check_of(800, "own", s, shown[s % 2]).places) for s in range(80)]
    assert {verdict for verdict, _ in found} == {"own"}
    assert sum(value < 0.1 for _, value in found) <= 19  # 10 % at most; 19 is four sigmas above


@pytest.mark.parametrize(
    ("how", "draws"),
    [
        ("greedy", 200),
        ("min-p .05", 500),
        ("top-p .95", 2000),
        ("temperature .8", 600),
        ("top-k 40", 1000),
    ],
)
def test_a_cut_is_found(how: str, draws: int) -> None:
    """In nine of ten runs with this many tokens; a first wave has thousands."""
    found = [judge_places(check_of(draws, how, seed).places)[0] for seed in range(10)]
    assert found.count("cut") >= 9, found


def test_few_tokens_say_nothing() -> None:
    assert judge_places(check_of(150, "greedy", 0).places)[0] == "unknown"


def test_a_token_ruled_out_is_a_cut() -> None:
    check = DrawCheck()
    check.add_draw(-0.1, {"a": -0.1, "b": -np.inf})
    assert check.verdict()[0] == "cut"


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (None, lambda rng: [[str(rng.integers(4)) for _ in range(8)] for _ in range(4)]),
        ("copies", lambda rng: [[str(rng.integers(4))] * 8 for _ in range(4)]),
        ("seeds", lambda rng: [[str(rng.integers(4)) for _ in range(8)]] * 4),
        ("greedy", lambda rng: [["same"] * 8] * 4),
    ],
)
def test_repeats(kind: str | None, make: Callable[[Any], list[list[str]]]) -> None:
    """Detected in each of four runs of twelve requests; an honest server is not accused in 25."""
    for seed in range(4 if kind else 25):
        rng = np.random.default_rng(seed)
        assert find_repeats([make(rng) for _ in range(12)]) == kind


class Sampling:
    """A server with one distribution of single letters, which obeys requests or not."""

    def __init__(self, *, obeys: bool, copies: bool = False, knows: tuple[str, ...] = ()) -> None:
        self.obeys, self.copies, self.knows = obeys, copies, knows
        self.p = next_tokens(np.random.default_rng(3))
        self.lock = threading.Lock()

    def __call__(self, handler: Any, body: dict[str, Any]) -> None:
        if body.get("echo"):
            says(400, "no echo")(handler, body)
            return
        strange = set(body) & {k for fields in OFF.values() for k in fields} - set(self.knows)
        if self.knows and strange:
            says(400, f"unknown field {sorted(strange)[0]}")(handler, body)
            return
        whole = json.loads(body.get("generation_config", "{}"))
        off = self.obeys and {**whole, **body}.get("top_k") == 0
        rng = np.random.default_rng(body["seed"])
        q = self.p if off else cut(self.p, "min-p .05")
        drawn = rng.choice(VOCABULARY, body.get("n", 1), p=q)
        if self.copies:
            drawn[:] = drawn[0]
        top = {chr(300 + i): float(np.log(self.p[i])) for i in np.argsort(-self.p)[:5]}
        choices = []
        for i, token in enumerate(drawn.tolist()):
            told = {"token_logprobs": [float(np.log(self.p[token]))], "top_logprobs": [top]}
            choices.append({"index": i, "text": chr(300 + token)})
            if body.get("logprobs"):
                choices[-1]["logprobs"] = told
        says(200, {"choices": choices})(handler, body)


def measured(server: Sampling, folder: Path) -> Any:
    likeliest = chr(300 + int(server.p.argmax()))
    task = Task("t", tuple(Instance(str(i), f"p{i}", (likeliest,)) for i in range(8)), 0.0,
                "exact", 4)  # fmt: skip
    with Misbehaving(server) as running, HTTPBackend(running.url, "m") as backend:
        found = pass_until(backend, task, r=1000, max_samples=96, study=folder)
        again = pass_until(backend, task, r=1000, max_samples=96, study=folder)
        bodies = list(running.bodies)
    assert (again.distribution, again.notes) == (found.distribution, found.notes)
    return found, bodies


def test_the_first_wave_is_the_proof(tmp_path: Path) -> None:
    found, bodies = measured(Sampling(obeys=True), tmp_path / "own")
    assert (found.distribution, found.to_dict()["distribution"]) == ("own", "own")
    drawn = [body for body in bodies if "echo" not in body]
    assert all(body["top_k"] == 0 and body["top_p"] == 1 for body in drawn)
    assert "distribution" not in found.table().columns
    found, _ = measured(Sampling(obeys=False), tmp_path / "cut")
    assert found.distribution == "cut"
    assert any("cuts the distribution" in note for note in found.notes)
    assert set(found.table()["distribution"]) == {"cut"}


def test_fields_that_a_server_refuses_are_left_out_and_named(tmp_path: Path) -> None:
    found, bodies = measured(Sampling(obeys=True, knows=("top_k", "min_p", "repetition_penalty")),
                             tmp_path)  # fmt: skip
    assert found.distribution == "own"
    (note,) = [n for n in found.notes if "refused" in n]
    assert "typical_p" in note
    assert "top_k" not in note
    assert sum("typical_p" in body for body in bodies) <= 2


def test_a_server_that_takes_a_whole_configuration_is_given_one(tmp_path: Path) -> None:
    """Like transformers serve: it refuses single fields, and would decode greedily."""
    found, bodies = measured(Sampling(obeys=True, knows=("generation_config",)), tmp_path)
    assert found.distribution == "own"
    assert [n for n in found.notes if "refused" in n] == []
    told = json.loads([b for b in bodies if "echo" not in b][-1]["generation_config"])
    assert (told["do_sample"], told["top_k"], told["top_p"]) == (True, 0, 1.0)


@pytest.mark.slow
def test_copies_are_drawn_again_one_at_a_time(tmp_path: Path) -> None:
    found, bodies = measured(Sampling(obeys=True, copies=True), tmp_path)
    assert found.distribution == "own"
    assert any("now requested one at a time" in note for note in found.notes)
    assert "n" not in bodies[-1]


def test_a_key_that_is_repeated_is_masked() -> None:
    from augury.errors import UsageError
    from augury.evaluate import SampleRequest

    answer = says(401, "no such key: Bearer sk-secret")
    with (
        Misbehaving(answer) as server,
        HTTPBackend(server.url, "m", n_per_request=1, api_key="sk-secret") as backend,
        pytest.raises(UsageError, match=r"Bearer \*\*\*"),
    ):
        backend.sample([SampleRequest("p", 1, 1, 0)])
