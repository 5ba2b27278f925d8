"""The lab backend: scores, samples and exact pass probabilities agree with each other."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from augury.errors import DataError, UsageError
from augury.evaluate import (
    Backend,
    Instance,
    NextRequest,
    SampleRequest,
    ScoreRequest,
    Task,
    exact_scores,
    greedy_texts,
    measure,
)
from augury.lab import ALPHABET, LabBackend, ModelConfig, RunConfig, encode, lab_instances, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Only digits, so that a few hundred steps make some answers likely.
    run = RunConfig(ModelConfig(8), steps=300, shares={"sort-digits": 1.0})
    return train(run, tmp_path_factory.mktemp("run"))[-1]


@pytest.fixture(scope="module")
def backend(folder: Path) -> LabBackend:
    return LabBackend(folder)


@pytest.mark.slow
def test_it_is_a_backend(backend: LabBackend) -> None:
    assert isinstance(backend, Backend)
    assert backend.about["params"] == 2408
    assert backend.about["loss_set"] == "lab: sort-digits 1"


def test_next_token_probabilities_sum_to_one_and_score_a_continuation(backend: LabBackend) -> None:
    prompt, continuation = "=31425>", "123"
    total, ranks = 0.0, []
    for i, character in enumerate(continuation):
        table = backend.next_token_logprobs(
            [NextRequest(prompt, tuple(encode(continuation[:i]).tolist()))]
        )
        assert np.exp(table).sum() == pytest.approx(1, abs=1e-5)
        own = table[0, ALPHABET.index(character)]
        ranks.append(1 + int((table[0] > own).sum()))
        total += own
    (score,) = backend.logprobs([ScoreRequest(prompt, continuation)])
    assert score.total == pytest.approx(total, abs=1e-5)
    assert len(score.tokens) == 3
    assert score.ranks is not None
    assert score.ranks.tolist() == ranks
    assert score.greedy == (ranks == [1, 1, 1])
    task = Task("one", (Instance("a", prompt, (continuation, "9")),), 0.0)
    columns = exact_scores(backend, task).reference_columns()
    assert columns["reference_logprob"] == pytest.approx(total, abs=1e-4)
    assert columns["reference_rank"] == pytest.approx(float(np.prod(ranks)) ** (1 / 3))


def test_exact_probability_is_that_of_brute_force(backend: LabBackend) -> None:
    """All 57^2 texts of two characters: probabilities sum to 1, accepted ones to P(pass)."""
    prompt = "=421>"
    pairs = ["".join(p) for p in itertools.product(ALPHABET, repeat=2)]
    each = np.exp([s.total for s in backend.logprobs([ScoreRequest(prompt, p) for p in pairs])])
    assert each.sum() == pytest.approx(1, abs=1e-4)
    accepted = ("12", "24", "1.")
    task = Task("three ways", (Instance("a", prompt, accepted),), 0.0)
    expected = sum(each[pairs.index(a)] for a in accepted)
    assert exact_scores(backend, task).passing[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_come_at_their_exact_rates(backend: LabBackend, temperature: float) -> None:
    prompt, n = "=421>", 20_000
    (texts,) = backend.sample([SampleRequest(prompt, n, 2, seed=5, temperature=temperature)])
    found = {t: texts.count(t) for t in set(texts)}
    first = backend.next_token_logprobs([NextRequest(prompt)])[0] / temperature
    first -= np.logaddexp.reduce(first)
    for text, count in sorted(found.items(), key=lambda item: -item[1])[:5]:
        second = backend.next_token_logprobs([NextRequest(prompt + text[0])])[0] / temperature
        second -= np.logaddexp.reduce(second)
        p = np.exp(first[ALPHABET.index(text[0])] + second[ALPHABET.index(text[1])])
        assert abs(count - n * p) < 4 * np.sqrt(n * p * (1 - p)), text


@pytest.mark.slow
def test_a_sample_depends_on_its_own_request_alone(backend: LabBackend) -> None:
    wanted = SampleRequest("=987>", 5, 4, seed=7)
    (alone,) = backend.sample([wanted])
    others = [SampleRequest("=12345678>", 40, 8, seed=1), SampleRequest("=1>", 70, 2, seed=2)]
    among = backend.sample([others[0], wanted, others[1]])
    assert among[1] == alone
    (longer,) = backend.sample([SampleRequest("=987>", 9, 4, seed=7)])
    assert longer[:5] == alone
    assert backend.sample([]) == []


@pytest.mark.slow
def test_greedy_marks_what_greedy_decoding_writes(backend: LabBackend) -> None:
    task = lab_instances("sort-digits", 200)
    scores = exact_scores(backend, task)
    written = greedy_texts(backend, [i.prompt for i in task.instances], 9)
    passed = [w.startswith(i.answers[0]) for w, i in zip(written, task.instances, strict=True)]
    assert scores.greedy.tolist() == passed
    assert 0 < sum(passed) < 200  # both kinds occur


def test_measured_rows_are_those_of_the_instances(folder: Path) -> None:
    table = measure([folder], "sort-digits", instances=64, each=True)
    summary = table.filter(table["instance"].is_null()) if "instance" in table.columns else table
    each = table.filter(table["instance"].is_not_null())
    assert summary["metric"].to_list() == ["pass", "logprob", "greedy"]
    assert len(each) == 64
    assert summary["value"][0] == pytest.approx(each["value"].mean())
    assert summary["value"][1] == pytest.approx(each["logprob"].mean())
    assert summary["stderr"][0] == pytest.approx(each["value"].std() / 8)
    assert summary["chance"][0] == pytest.approx(1.85e-4, rel=0.01)


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ((), r"a: accepts \(\); expected at least one answer, none empty"),
        (("",), r"a: accepts \(''\,\); expected at least one answer, none empty"),
        (("12", "123"), "a: accepted answer '123' begins with another one, '12'"),
    ],
)
def test_answers_that_overlap_are_refused(
    backend: LabBackend, answers: tuple[str, ...], line: str
) -> None:
    with pytest.raises(UsageError, match=line):
        exact_scores(backend, Task("t", (Instance("a", "=1>", answers),), 0.0))


def test_bad_requests_are_named(backend: LabBackend, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs 40 characters .* the lab's models have 32"):
        backend.logprobs([ScoreRequest("a" * 30, "b" * 10)])
    with pytest.raises(UsageError, match="the lab's alphabet has no 'Z'"):
        backend.next_token_logprobs([NextRequest("Z")])
    with pytest.raises(UsageError, match="temperature must be positive, not 0"):
        SampleRequest("a", 1, 1, 0, temperature=0)
    with pytest.raises(UsageError, match="samples and length must be positive, not 0 and 1"):
        SampleRequest("a", 0, 1, 0)
    with pytest.raises(UsageError, match="needs at least one instance"):
        Task("t", (), 0.0)
    with pytest.raises(UsageError, match="no model to measure"):
        measure([], "rule")
    with pytest.raises(DataError, match="holds no checkpoint"):
        measure([tmp_path], "rule")
