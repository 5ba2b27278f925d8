"""Finetuning a lab model: what it learns, and when it stops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, special

from augury.errors import UsageError
from augury.evaluate import ScoreRequest
from augury.lab import (
    Checkpoint,
    LabBackend,
    LossCurve,
    ModelConfig,
    Recipe,
    RunConfig,
    Stopping,
    finetune,
    lab_task,
    load_checkpoint,
    train,
)
from augury.lab.finetuner import as_examples
from augury.lab.model import hidden
from augury.lab.trainer import shifted
from augury.runtime.compiling import jit

TASK = lab_task("sort-digits")
RECIPE = Recipe(0.02, batch=16, steps=60, every=10, patience=2)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    run = RunConfig(ModelConfig(4), steps=50, shares={})  # only filler
    return load_checkpoint(train(run, tmp_path_factory.mktemp("run"))[-1])


def tuned(
    saved: Checkpoint, amount: int, recipe: Recipe, seed: int = 0
) -> tuple[Checkpoint, LossCurve]:
    pairs = TASK.instances(np.random.default_rng(1), amount)
    weights, curve = finetune(
        saved.config.model, saved.weights, pairs, HELD_OUT, recipe, np.random.default_rng(seed)
    )
    return replace(saved, weights=weights), curve


HELD_OUT = TASK.instances(np.random.default_rng(2), 40)


def held_out_loss(saved: Checkpoint) -> float:
    """The same loss by another method: the backend's log-probabilities."""
    scores = LabBackend(saved).logprobs([ScoreRequest(p, a) for p, a in HELD_OUT])
    return float(-np.concatenate([s.tokens for s in scores]).mean())


@pytest.mark.slow
def test_the_best_weights_are_kept_and_the_curve_is_their_loss(saved: Checkpoint) -> None:
    after, curve = tuned(saved, 200, RECIPE)
    assert curve.losses[0] == pytest.approx(held_out_loss(saved), rel=1e-5)
    assert min(curve.losses) == pytest.approx(held_out_loss(after), rel=1e-5)
    assert min(curve.losses) < 0.8 * curve.losses[0]
    assert curve.steps == tuple(range(0, curve.steps[-1] + 1, 10))


def test_few_examples_are_not_learned_by_heart(saved: Checkpoint) -> None:
    """With five examples the held-out loss turns up: training stops there, not at the end."""
    recipe = replace(RECIPE, rate=0.1, steps=2000)
    after, curve = tuned(saved, 5, recipe)
    assert curve.steps[-1] < 1000
    assert curve.steps[-1] - curve.steps[curve.best] == 20  # patience 2, a check every 10 steps
    assert held_out_loss(after) == pytest.approx(min(curve.losses), rel=1e-5)


def test_a_rate_that_breaks_the_model_leaves_it_as_it_was(saved: Checkpoint) -> None:
    after, curve = tuned(saved, 50, replace(RECIPE, rate=1e4))
    assert curve.best == 0
    assert all((after.weights[n] == saved.weights[n]).all() for n in saved.weights)


def test_the_seed_orders_the_examples_and_nothing_else(saved: Checkpoint) -> None:
    one, again, other = (tuned(saved, 100, RECIPE, seed)[1] for seed in (0, 0, 1))
    assert one == again
    assert one.losses[0] == other.losses[0]
    assert one.losses[1] != other.losses[1]


def test_only_the_answer_counts() -> None:
    found = as_examples([("=21>", "12."), ("=7>", "7.")])
    assert found.text.shape == (2, 8)
    assert found.answer.tolist() == [[0, 0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 1, 1, 0, 0, 0]]
    with pytest.raises(UsageError, match="has 40 characters; the lab's models have 32"):
        as_examples([("a" * 39, "b")])
    with pytest.raises(UsageError, match="alphabet has no 'Ä'"):
        as_examples([("Ä", "b")])


def test_every_pass_reads_every_example_once() -> None:
    order = RECIPE.batches(32, 6, np.random.default_rng(0)).reshape(3, 32)
    assert all(sorted(row) == list(range(32)) for row in order.tolist())
    assert (order[0] != order[1]).any()


def test_steps_and_rates() -> None:
    assert RECIPE.most(10) == 60
    assert RECIPE.most(801) == 110  # two passes, 101 steps, rounded up to a check
    rates = Recipe(1.0).rates(100)
    assert rates[4] == rates.max() == pytest.approx(1.0)
    assert rates[0] == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_stopping() -> None:
    watch = Stopping(2)
    said = [(watch.look(i, x), watch.ended) for i, x in enumerate((3.0, 2.0, 2.5, 1.9, 2.0, 2.0))]
    assert said == [(True, False), (True, False), (False, False), (True, False), (False, False),
                    (False, True)]  # fmt: skip
    assert watch.curve.best == 3
    broken = Stopping(5)
    assert (broken.look(0, 3.0), broken.ended) == (True, False)
    assert (broken.look(1, float("nan")), broken.ended) == (False, True)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"rate": 0.0}, "learning rate must be positive, not 0"),
        ({"rate": float("nan")}, "learning rate must be positive, not nan"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"patience": 0}, "patience must be at least 1, not 0"),
    ],
)
def test_a_recipe_that_cannot_be(values: dict[str, float], line: str) -> None:
    with pytest.raises(UsageError, match=line):
        Recipe(**{"rate": 1.0, **values})  # type: ignore[arg-type]


def test_the_checkpoint_stays_as_it_was(saved: Checkpoint) -> None:
    before = {n: x.copy() for n, x in saved.weights.items()}
    tuned(saved, 20, RECIPE)
    assert all((before[n] == saved.weights[n]).all() for n in before)


@pytest.mark.slow
def test_the_head_alone_is_trained_and_nothing_else(saved: Checkpoint) -> None:
    """Logistic regression on the layers' outputs, compared with SciPy on the same features."""
    pairs = TASK.instances(np.random.default_rng(1), 200)
    long = Recipe(0.3, batch=200, steps=2000, passes=0, every=200, patience=9)
    weights, curve = finetune(
        saved.config.model, saved.weights, pairs, pairs, long, np.random.default_rng(0),
        only_head=True,
    )  # fmt: skip
    assert all(np.array_equal(weights[n], x) for n, x in saved.weights.items())
    assert weights["head"].shape == weights["embedding"].shape
    tuned_scores = LabBackend(replace(saved, weights=weights)).logprobs(
        [ScoreRequest(p, a) for p, a in pairs]
    )
    loss = float(-np.concatenate([s.tokens for s in tuned_scores]).mean())
    assert loss == pytest.approx(min(curve.losses), rel=1e-4)

    known = as_examples(pairs)
    read = np.asarray(
        jit(lambda weights, text: hidden(saved.config.model, weights, shifted(text)))(
            saved.weights, known.text
        )
    )
    x, y = read[known.answer > 0], known.text[known.answer > 0]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        table = x @ flat.reshape(weights["head"].shape).T
        log = table - special.logsumexp(table, 1, keepdims=True)
        off = np.exp(log)
        off[np.arange(len(y)), y] -= 1
        return -log[np.arange(len(y)), y].mean(), (off.T @ x / len(y)).ravel()

    start = np.asarray(saved.weights["embedding"], float).ravel()
    best = optimize.minimize(objective, start, jac=True, method="L-BFGS-B")
    # A little above the optimum, because weights decay by a hundredth of the rate.
    assert best.fun <= min(curve.losses) <= best.fun + 0.02
