"""Worlds of latent attributes: what the text shows, what it never shows, what is scored."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from augury.errors import UsageError
from augury.lab.latent import WORLDS, LatentText, latent_ladder, latent_run, latent_world
from augury.lab.latent.elicit import scores
from augury.lab.latent.text import HELD_OUT, TEST, TRAIN, orthogonal_attributes

H2 = latent_world("h2")


@pytest.fixture(scope="module")
def text() -> LatentText:
    return LatentText(H2, 0)


def test_any_three_attributes_of_a_block_take_all_values_together() -> None:
    attributes = orthogonal_attributes(np.random.default_rng(3))
    for block in np.split(attributes, 6):
        for three in itertools.combinations(range(6), 3):
            assert len(np.unique(block[:, three], axis=0)) == 64


def test_an_answer_from_two_other_attributes_is_right_by_chance(text: LatentText) -> None:
    """Every rule from two attributes scores exactly a quarter on the requested words."""
    rng = np.random.default_rng(0)
    asked = text.attributes[TEST]
    for _ in range(20):
        rule = rng.integers(4, size=(4, 4))
        assert np.mean(rule[asked[:, 0], asked[:, 1]] == asked[:, 3]) == 0.25


def test_words_asked_for_are_labelled_nowhere(text: LatentText) -> None:
    loud = LatentText(replace(H2, rare=1.0), 0)
    lists = loud.lists(np.random.default_rng(1), 4000, 16)
    for task in H2.tasks:
        first = H2.letters(task)
        own = lists[(lists[:, 1] >= first) & (lists[:, 1] < first + 4)]
        assert len(own) > 300
        words = own[:, 0::2] - 1
        assert words.max() < TRAIN.stop
        assert (own[:, 1::2] - first == text.attributes[words, task]).all()
    prompts = text.prompts(np.random.default_rng(2), 256, 3, HELD_OUT)
    assert (prompts[:, 0:-2:2] - 1 < TRAIN.stop).all()
    counts = np.bincount(prompts[:, -2] - 1, minlength=384)
    assert set(counts[HELD_OUT]) == {4}
    assert counts.sum() == counts[HELD_OUT].sum()


def test_running_text_follows_the_chain(text: LatentText) -> None:
    """Frequencies of successors, compared with probabilities from the definition."""
    words = text.running(np.random.default_rng(4), 20_000) - 1
    before, after = words[:, :-1].ravel(), words[:, 1:].ravel()
    values = text.attributes[:, 0]
    counts = np.zeros((4, 4))
    np.add.at(counts, (values[before], values[after]), 1)
    p = counts / counts.sum(1, keepdims=True)
    # One value follows each; the others share the rest, and no two values are followed by the same.
    likely = p.argmax(1)
    assert sorted(likely) == [0, 1, 2, 3]
    odds = p.max(1) / ((1 - p.max(1)) / 3)
    assert odds == pytest.approx(np.full(4, np.exp(1.6)), rel=0.25)
    muted = LatentText(replace(H2, strengths=(0.0,) * 6), 0)
    own = muted.running(np.random.default_rng(4), 2000) - 1
    flat = np.bincount(values[own[:, 1:].ravel()], minlength=4) / own[:, 1:].size
    assert flat == pytest.approx(np.full(4, 0.25), abs=0.06)


def test_the_floor_is_the_cross_entropy_of_the_corpus_with_itself(text: LatentText) -> None:
    """Monte Carlo: minus the log-probability of documents under the chain that made them."""
    chain = text._successors(False)
    words = text.running(np.random.default_rng(5), 4000) - 1
    first = text._frequency
    rows = -np.log(chain[words[:, :-1], words[:, 1:]]).sum(1) - np.log(first[words[:, 0]])
    listed = 12 * -(first * np.log(first)).sum()
    assert text.floor() == pytest.approx((0.9 * rows.mean() + 0.1 * listed) / 24, abs=0.01)


def test_larger_models_see_rare_lists_in_fewer_documents() -> None:
    assert H2.rate_of_rare(32) == 2 * H2.rate_of_rare(16) == 2 * H2.rare


def test_scores_of_a_table_of_logits() -> None:
    logits = np.log(np.array([[0.1, 0.2, 0.3, 0.1, 0.3], [0.5, 0.1, 0.2, 0.1, 0.1]], np.float32))
    found = scores(logits, slice(1, 5), np.array([1, 0]))
    assert found["value"] == 0.5
    assert found["reference_logprob"] == pytest.approx(np.mean(np.log([0.3, 0.1])), abs=1e-6)
    assert found["choice_probability"] == pytest.approx(np.mean([0.3 / 0.9, 0.1 / 0.5]), abs=1e-6)
    assert found["reference_rank"] == pytest.approx(np.sqrt(1 * 3), abs=1e-6)


def test_worlds_are_data() -> None:
    for name, world in WORLDS.items():
        assert world.name == name
        fresh = type(world)(**world.to_json())
        assert fresh == world
    with pytest.raises(UsageError, match="no latent world is called 'h9'"):
        latent_world("h9")
    with pytest.raises(UsageError, match="tasks ask for attributes 1 to 5"):
        replace(H2, tasks=(6,))
    with pytest.raises(UsageError, match="at most 24 tokens"):
        replace(H2, opening=20)
    with pytest.raises(UsageError, match="no later width 12"):
        latent_run(H2, 12, 0, later=True)


@pytest.mark.slow
def test_a_run_is_measured_on_every_task_and_amount(tmp_path: Path) -> None:
    small = replace(
        H2, tasks=(3,), widths=(8,), steps=100, checkpoints=(50,), amounts=(8, 32), subsets=2
    )
    table = latent_ladder(small, 0, tmp_path)
    assert table.height == 2 * (1 + 2 * 2)
    assert table["loss"].to_list() == sorted(table["loss"].to_list(), reverse=True)
    again = latent_run(small, 8, 0)
    # Another process sums in another order: equal up to rounding here.
    assert again["loss"].to_list() == pytest.approx(table["loss"].to_list(), abs=1e-3)
    assert again.select("task", "finetune_examples").equals(
        table.select("task", "finetune_examples")
    )
    few = table.filter(finetune_examples=0)
    assert few["subset"].null_count() == few.height
    assert ((table["value"] * 1024) % 1 == 0).all()
