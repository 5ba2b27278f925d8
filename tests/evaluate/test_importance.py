"""Draws from proposals: their distribution, their weights, and that nothing is lost."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import stats

from augury.errors import DataError, UsageError
from augury.evaluate import Backend, Checker, Instance, Task, pass_until
from augury.evaluate.importance import Mixture, draw_mixture, log_weights
from augury.evaluate.journal import Journal
from augury.evaluate.pareto import pareto_k
from augury.evaluate.proposals import Proposal, hinted
from augury.evaluate.weights import PassWeights
from tests.evaluate.table_model import LETTERS, TableModel
from tests.evaluate.test_passuntil import words

END = len(LETTERS) - 1


class Other(TableModel):
    """The same letters with another table, one that has seen more of some."""

    def __init__(self, seed: int = 5) -> None:
        super().__init__()
        noise = np.exp(0.8 * np.random.default_rng(seed).standard_normal(self.table.shape))
        table = self.table * noise
        self.table = table / table.sum(1, keepdims=True)


def other() -> Proposal:
    return Proposal("other", Other(), lambda instance: instance.prompt)


def probability(model: TableModel, prompt: str, tokens: tuple[int, ...]) -> float:
    """Probabilities of drawn tokens, by the table."""
    last, p = LETTERS.index(prompt[-1]), 1.0
    for token in tokens:
        p *= float(model.table[last, token])
        last = token
    return p


def paths(length: int) -> list[tuple[int, ...]]:
    """Every possible sequence of tokens of a text: to the end token, or to the full length."""
    found = [tuple(p) for p in product(range(END), repeat=length)]
    for n in range(length):
        found += [(*p, END) for p in product(range(END), repeat=n)]
    return found


def test_draws_come_from_the_mixture_and_weigh_what_they_should() -> None:
    model, n = TableModel(), 6_000
    task = Task("t", (Instance("0", "a", ("b",)),), 0.0, "exact", 2)
    mixture = Mixture(model, (other(),), 0.3)
    (drawn,) = draw_mixture(mixture, task, [(task.instances[0], n, 7)], 1.0)
    assert drawn.own.mean() == pytest.approx(0.3, abs=4 * (0.21 / n) ** 0.5)
    mixed, own = {}, {}
    for path in paths(2):
        own[path] = probability(model, "a", path)
        mixed[path] = 0.3 * own[path] + 0.7 * probability(Other(), "a", path)
    assert sum(mixed.values()) == pytest.approx(1)
    found = Counter(drawn.tokens)
    common = [path for path in mixed if n * mixed[path] >= 5]
    observed = np.array([found[p] for p in common] + [n - sum(found[p] for p in common)])
    wanted = n * np.array([mixed[p] for p in common] + [1 - sum(mixed[p] for p in common)])
    assert stats.chisquare(observed, wanted).pvalue > 1e-3
    asked = [(task.instances[0], path) for path in mixed]
    assert log_weights(mixture, asked, 1.0) == pytest.approx(
        [np.log(own[p] / mixed[p]) for p in mixed], abs=1e-9
    )
    assert max(log_weights(mixture, asked, 1.0)) <= np.log(1 / 0.3) + 1e-12


def exact_rates(task: Task, check: Any) -> np.ndarray:
    """By the sum over all texts."""
    model = TableModel()
    every = paths(task.tokens)
    texts = [model.decode(p[:-1] if p[-1] == END else p) for p in every]
    return np.array(
        [
            sum(
                probability(model, i.prompt, p)
                for p, text in zip(every, texts, strict=True)
                if check(i, text)
            )
            for i in task.instances
        ]
    )


def holds(instance: Instance, text: str) -> bool:
    """Many texts pass, with different weights."""
    return instance.answers[0][:2] in text


class Weighed(NamedTuple):
    """Runs compared with sums over all texts: rates (n, 8), their intervals, the true rates."""

    rates: np.ndarray
    held: np.ndarray
    enough: np.ndarray
    mean_held: np.ndarray
    truth: np.ndarray


def weighed(r: int, runs: int, first: int = 0) -> Weighed:
    """Passes of one instance have different weights, stopped by r passes or by the cap."""
    task = words(8, length=4)
    truth = exact_rates(task, holds)
    assert truth.min() < 0.01 < truth.max()
    check = Checker("holds", holds)
    rates, hit, enough, mean_hit = [], [], [], []
    for seed in range(first, first + runs):
        found = pass_until(
            TableModel(), task, proposal=[other()], r=r, max_samples=400, seed=seed, check=check
        )
        assert found.weights is not None
        low, high = found.intervals()
        rates.append(found.rates)
        hit.append((low <= truth) & (truth <= high))
        enough.append(found.weights.each_effective >= 3)
        a, b = found.mean_interval()
        mean_hit.append(a <= truth.mean() <= b)
    return Weighed(*map(np.array, (rates, hit, enough, mean_hit)), truth)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("r", "runs"),
    [(3, 40), pytest.param(3, 300, marks=pytest.mark.claims),
     pytest.param(20, 150, marks=pytest.mark.claims)],
)  # fmt: skip
def test_rates_are_unbiased_and_intervals_cover(r: int, runs: int) -> None:
    """Full size by `make claims`; `make test` repeats a tenth of the coverage.

    Fewer than three effective passes say too little for an interval of one instance. That of the
    mean is wide rather than narrow: it counts the largest contribution once more.
    """
    found = weighed(r, runs)
    error = found.rates.std(0) / runs**0.5
    assert (abs(found.rates.mean(0) - found.truth) < 4 * error).all()
    if runs >= 150:
        assert 0.85 <= np.mean(found.mean_held) <= 0.98
    if r == 20:
        assert 0.85 <= np.mean(found.held[found.enough]) <= 0.95


def test_a_killed_run_goes_on_to_the_same_result(tmp_path: Path) -> None:
    def run(folder: Path, **more: Any) -> Any:
        return pass_until(
            TableModel(), words(), proposal=[other()], r=5, max_samples=600, study=folder, **more
        )

    whole = run(tmp_path / "a")
    (path,) = (tmp_path / "a").rglob("journal.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) > 2
    path.write_bytes(b"".join(lines[:1]) + lines[1][:20])
    again = run(tmp_path / "a")
    assert path.read_bytes() == b"".join(lines)
    assert (again.rates == whole.rates).all()
    assert again.mean_interval() == whole.mean_interval()
    with Journal(path) as journal:
        assert all(len(row) == 6 for record in journal.records for row in record["wave"])
    run(tmp_path / "a", own_share=0.5)
    assert len(list((tmp_path / "a").rglob("journal.jsonl"))) == 2


def test_what_is_said_and_written(tmp_path: Path) -> None:
    model = TableModel()
    found = pass_until(
        model, words(), proposal=[other()], max_samples=500, check=Checker("holds", holds)
    )
    assert found.method == "importance"
    assert found.r == 20
    assert any(
        "a lower bound from the texts that the proposal finds" in note for note in found.notes
    )
    said = found.to_dict()
    assert set(said["weights"]) >= {"k_hat", "effective"}
    assert [x["instance"] for x in said["per_instance"]] == list(found.ids)
    for x in said["per_instance"]:
        assert x["interval"][0] <= min(x["value"], 1.0) <= x["interval"][1]
    table = found.table()
    assert "passes" not in table.columns or table["passes"].is_null().all()
    known = pass_until(model, words(), proposal=[other()], max_samples=500)
    assert not any("lower bound" in note for note in known.notes)
    for settings, message in (
        ({"method": "tree"}, "not 'tree'"),
        ({"own_share": 1.0}, "between 0 and 1"),
        ({"budget": 100}, "takes no proposal"),
    ):
        with pytest.raises(UsageError, match=message):
            pass_until(model, words(), proposal=[other()], **settings)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs a proposal"):
        pass_until(model, words(), method="importance")
    with pytest.raises(UsageError, match="shows no probabilities"):
        pass_until(TableModel(shows=False), words(), proposal=["hint"])


def test_a_proposal_needs_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reversed(TableModel):
        def decode(self, tokens: Any) -> str:
            return super().decode(tokens)[::-1].upper()

    def opened(spec: str) -> Backend:
        return Reversed()

    monkeypatch.setattr("augury.evaluate.run_plan.open_model", opened)
    with pytest.raises(UsageError, match="needs the same tokenizer"):
        pass_until(TableModel(), words(), proposal=["lab:somewhere"])


@pytest.mark.parametrize(
    ("prompt", "hint"),
    [
        ("Q: 1?\nA: 2\n\nQ: 3?\nA:", "Q: 1?\nA: 2\n\nQ: 3?\nA: 4\n\nQ: 3?\nA:"),
        ("1 + 1 = 2\n2 + 2 =", "1 + 1 = 2\n2 + 2 = 4\n2 + 2 ="),
        ("2 + 2 =", "2 + 2 = 4\n2 + 2 ="),
        ("def f(x):\n    '''Double.'''\n", "def f(x):\n    '''Double.'''\n 4\n\ndef f(x):\n    "
         "'''Double.'''\n"),
    ],
)  # fmt: skip
def test_a_hint_shows_the_solved_question_first(prompt: str, hint: str) -> None:
    instance = Instance("0", prompt, (" 4",))
    assert hinted(instance, 1) == hint
    assert hinted(instance).count(" 4") == prompt.count(" 4") + 3


def test_a_hint_shown_once_is_drawn_from_too_where_other_texts_may_pass() -> None:
    found = pass_until(
        TableModel(), words(2), proposal=["hint"], max_samples=40, check=Checker("holds", holds)
    )
    assert found.weights is not None
    assert found.weights.proposals == ("hint", "hint, shown once")
    known = pass_until(TableModel(), words(2), proposal=["hint"], max_samples=40)
    assert known.weights is not None
    assert known.weights.proposals == ("hint",)


def test_a_hint_may_be_given_and_needs_a_solution() -> None:
    assert hinted(Instance("0", "p", ("x",), {"hint": "look: "})) == "look: "
    shown = hinted(Instance("0", "p", (), {"canonical_solution": " s"}), 1)
    assert shown == "p s\np"
    with pytest.raises(DataError, match="'7' has no solution"):
        hinted(Instance("7", "p", ()))


@pytest.mark.parametrize("k", [-0.3, 0.2, 0.5, 0.9])
def test_k_hat_is_the_shape_of_a_pareto_tail(k: float) -> None:
    found = [
        pareto_k(1 + stats.genpareto.rvs(k, size=4000, random_state=seed)) for seed in range(60)
    ]
    # The prior towards .5 has weight 10 of 190.
    assert np.mean(found) == pytest.approx((180 * k + 5) / 190, abs=0.06)
    assert np.isnan(pareto_k([1.0, 2.0, 3.0]))
    assert pareto_k(np.full(50, 0.3)) == 0
    assert pareto_k([1.0] * 100 + [3.0] * 20 + [5.0] * 4) == 0


def test_a_heavy_tail_is_not_reliable() -> None:
    w = stats.genpareto.rvs(1.5, size=300, random_state=0)
    counts = np.array([300]), np.array([1000])
    found = PassWeights(("x",), 1e-9, True, *counts, 1e9, (np.log(w),), np.zeros((1, 2), np.int64))
    assert found.k_hat > 0.7
    assert not found.reliable
    assert "not reliable" in " ".join(found.notes(["0"]))


def test_weights_whose_largest_are_missing_are_not_reliable() -> None:
    """By simulation with a known rate; k-hat and the effective number miss it."""
    from benchmarks.importance import simulated

    rng = np.random.default_rng(0)
    near = [simulated(rng, 1.0) for _ in range(20)]
    assert all(found.reliable for found in near)
    far = [simulated(rng, 3.0) for _ in range(20)]
    assert not any(found.reliable for found in far)
    blind = [found for found in far if found.effective >= 5 and not found.k_hat > 0.7]
    assert len(blind) > 5
    names = [str(i) for i in range(16)]
    assert all("weights larger than these draws show" in " ".join(f.notes(names)) for f in blind)
    assert far[0].to_dict()["unseen_share"] == far[0].unseen_share


def test_the_unseen_share_is_what_larger_weights_carry() -> None:
    """Compared with the draws themselves: what lies above the largest of n, over many times n."""
    rng, n, spread = np.random.default_rng(1), 400, 1.5
    counts = np.array([n]), np.array([10 * n])
    logs = -12 + spread * rng.standard_normal((200, n))
    shares = [
        PassWeights(
            ("x",), 0.2, True, *counts, 1e9, (row,), np.zeros((1, 2), np.int64)
        ).unseen_share
        for row in logs
    ]
    many = np.exp(-12 + spread * rng.standard_normal(2_000_000))
    beyond = [many[many > np.exp(row.max())].sum() / many.sum() for row in logs]
    # In the median, the largest of n is a little above its quantile.
    assert np.median(beyond) < np.median(shares) < 2 * np.median(beyond)
    same = PassWeights(
        ("x",), 0.2, True, *counts, 1e9, (np.full(n, -3.0),), np.zeros((1, 2), np.int64)
    )
    assert same.unseen_share == 0
