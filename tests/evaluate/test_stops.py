"""A stop ends a sample where cutting the full text would, and saves the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augury.evaluate import Checker, Instance, SampleRequest, Task, checker, pass_until
from augury.evaluate.hf import TransformersBackend
from augury.evaluate.http import HTTPBackend
from augury.evaluate.stops import cut_text, is_settled, sendable_stops, unescape
from augury.lab import LabBackend, ModelConfig, RunConfig, train
from tests.evaluate.exported import bpe_model
from tests.evaluate.servers import Misbehaving, says
from tests.evaluate.table_model import TableModel


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (r"\n", "\n"),
        (r"\n\n", "\n\n"),
        (r"\ndef ", "\ndef "),
        (r"\t\r", "\t\r"),
        (r"\\n", r"\n"),
        (r"\x0aA\u0042", "\nAB"),
        (r"\d \q", r"\d \q"),
        ("already\n", "already\n"),
    ],
)
def test_escapes_mean_what_the_documentation_shows(typed: str, meant: str) -> None:
    assert unescape(typed) == meant


def test_a_text_is_settled_only_where_nothing_can_move_its_cut() -> None:
    """Over random texts and stops: once decided, a cut does not change."""
    rng = np.random.default_rng(0)
    settled = 0
    for _ in range(4000):
        stops = ["".join(rng.choice(list("ab\n"), rng.integers(1, 4))) for _ in range(3)]
        text = "".join(rng.choice(list("ab\n"), 12))
        for end in range(len(text) + 1):
            if is_settled(text[:end], stops):
                settled += 1
                assert cut_text(text[:end], stops) == cut_text(text, stops)
    assert settled > 1000


def test_a_stop_inside_another_is_not_sent() -> None:
    assert sendable_stops(("\n", "\ndef"), 4) == ["\n", "\ndef"]
    assert sendable_stops(("b", "abc"), 4) == ["abc"]
    assert sendable_stops(tuple("abcdef"), 4) == list("abcd")


@pytest.fixture(scope="module", params=["lab", "transformers"])
def model(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("model")
    if request.param == "lab":
        return LabBackend(train(RunConfig(ModelConfig(6), steps=50), folder / "run")[-1])
    return TransformersBackend(bpe_model(folder / "tiny"), batch_tokens=512)


@pytest.mark.slow
def test_samples_are_the_same_with_and_without(model: Any) -> None:
    """For every seed and any stops: cut samples are parts of the texts it writes without stops."""
    rng = np.random.default_rng(1)
    prompt, saved = "=421>" if isinstance(model, LabBackend) else "the cat", 0
    for seed in range(6):
        whole = SampleRequest(prompt, 12, 16, seed)
        (texts,) = model.sample([whole])
        stops = set()
        for _ in range(3):
            text = texts[rng.integers(len(texts))] or "x"
            at = int(rng.integers(len(text)))
            stops.add(text[at : at + int(rng.integers(1, 4))])
        stop = tuple(sorted(stops))
        before = model.usage.drawn
        (cut,) = model.sample([SampleRequest(prompt, 12, 16, seed, stop=stop)])
        assert cut == [cut_text(text, stop) for text in texts], stop
        saved += 12 * 16 - (model.usage.drawn - before)
    assert saved > 100


def test_counts_and_journals_are_the_same_with_and_without(model: Any, tmp_path: Path) -> None:
    class Deaf:
        """The same model, which gets no stops."""

        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def sample(self, requests: Any) -> Any:
            return model.sample([
                SampleRequest(r.prompt, r.samples, r.length, r.seed, r.temperature)
                for r in requests
            ])  # fmt: skip

    prompt = "=421>" if isinstance(model, LabBackend) else "the cat"
    (texts,) = model.sample([SampleRequest(prompt, 40, 12, 3)])
    stop = next(t[2] for t in texts if len(t) > 2)
    answers = tuple({cut_text(t, (stop,)) for t in texts})
    task = Task("t", (Instance("i", prompt, answers),), 0.0, "any-of", 12, (stop,))
    drawn = []
    for backend, folder in ((model, "told"), (Deaf(), "deaf")):
        found = pass_until(
            backend, task, r=9, max_samples=96, method="independent", study=tmp_path / folder
        )
        drawn.append(found)
    assert drawn[0].passes.tolist() == drawn[1].passes.tolist()
    assert drawn[0].samples.tolist() == drawn[1].samples.tolist()
    journals = [next((tmp_path / f).rglob("journal.jsonl")).read_bytes() for f in ("told", "deaf")]
    assert journals[0] == journals[1]
    assert drawn[0].to_dict()["tokens_drawn"] < drawn[1].to_dict()["tokens_drawn"]
    again = pass_until(
        model, task, r=9, max_samples=96, method="independent", study=tmp_path / "told"
    )
    assert again.tokens == drawn[0].tokens, "nothing was drawn again, and what was is known"


def test_counts_are_the_same_where_samples_end_as_soon_as_they_fail(
    model: Any, tmp_path: Path
) -> None:
    """For every seed, with and without a stop; a transformers model draws less."""
    prompt = "=421>" if isinstance(model, LabBackend) else "the cat"
    (texts,) = model.sample([SampleRequest(prompt, 40, 12, 3)])
    knows = checker("any-of")
    blind = Checker("any-of", knows.check)
    for seed in range(4):
        stop = () if seed % 2 else (texts[0][2:4],)
        answers = tuple({cut_text(t, stop) for t in texts[:10]})
        task = Task("t", (Instance("i", prompt, answers),), 0.0, "any-of", 12, stop)
        found = [
            pass_until(
                model, task, r=4, max_samples=96, method="independent", seed=seed, check=judge,
                study=tmp_path / f"{seed}-{n}", keep=2,
            )
            for n, judge in enumerate((knows, blind))
        ]  # fmt: skip
        journals = [
            next((tmp_path / f"{seed}-{n}").rglob("journal.jsonl")).read_bytes() for n in (0, 1)
        ]
        assert journals[0] == journals[1]
        full = [k for k in found[1].kept if not k.passed]
        read = [k for k in found[0].kept if not k.passed]
        assert read == full[: len(read)], "failed samples are kept as they were written"
        spent = [f.tokens.drawn or 0 for f in found]
        assert spent[0] == spent[1] if isinstance(model, LabBackend) else spent[0] < spent[1]


def test_a_server_is_told_the_first_four() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    answer = {"choices": [{"index": i, "text": "one;two"} for i in range(2)], "usage": usage}
    with (
        Misbehaving(says(200, answer)) as server,
        HTTPBackend(server.url, "m", n_per_request=2) as backend,
    ):
        request = SampleRequest("p", 2, 9, 1, stop=("a", "b", "c", "d", ";"))
        assert backend.sample([request]) == [["one", "one"]]
        assert server.bodies[0]["stop"] == ["a", "b", "c", "d"]
        assert vars(backend.usage) == {"drawn": 5, "read": 7, "paid": 12}


def test_what_is_not_told_is_unknown() -> None:
    task = Task("t", (Instance("i", "a", ("bc",)),), 0.0, "exact", 4)
    found = pass_until(TableModel(shows=False), task, max_samples=32)
    assert found.to_dict()["tokens_drawn"] is None
    assert pass_until(TableModel(), task, max_samples=32, method="tree").tokens.drawn


def test_samples_are_kept_with_their_verdicts(tmp_path: Path) -> None:
    task = Task("t", tuple(Instance(c, c, ("b",)) for c in "abc"), 0.0, "exact", 4)
    for method in ("independent", "tree"):
        found = pass_until(
            TableModel(), task, r=5, max_samples=200, method=method, study=tmp_path / method, keep=2
        )  # type: ignore[arg-type]
        path = next((tmp_path / method).rglob("samples.jsonl"))
        kept = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(kept) == len(found.kept)
        for name in "abc":
            for passed in (True, False):
                some = [k for k in kept if (k["instance"], k["passed"]) == (name, passed)]
                assert len(some) <= 2
                assert all((k["text"].strip() == "b") == passed for k in some)
                assert all(bool(k["reason"]) != passed for k in some)
        assert {k["instance"] for k in kept if k["passed"]} == set(found.examples)
    pass_until(TableModel(), task, max_samples=50, study=tmp_path / "none", keep=0)
    assert not list((tmp_path / "none").rglob("samples.jsonl"))
