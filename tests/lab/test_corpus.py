"""The tiny world's text has its documented statistics."""

from itertools import pairwise

import numpy as np
import pytest

from augury.errors import UsageError
from augury.lab import LENGTH, TASKS, decode, encode, lab_task
from augury.lab.corpus import documents, filler, lexicon, training_text, validation_text

RULES = {
    "up": lambda t: "".join(sorted(t)),
    "down": lambda t: "".join(sorted(t, reverse=True)),
    "reverse": lambda t: t[::-1],
    "copy": lambda t: t,
    "add": lambda t: "".join(str((int(c) + 1) % 10) for c in t),
}


def test_rule_answers_follow_a_rule_that_the_example_shows() -> None:
    seen = set()
    for prompt, answer in lab_task("rule").instances(np.random.default_rng(0), 300):
        example, asked = prompt.removesuffix(">").split(";")
        given, image = example.split(">")
        fitting = [n for n, f in RULES.items() if f(given) == image and f(asked) == answer]
        assert fitting, (prompt, answer)
        seen.update(fitting)
    assert seen == RULES.keys()


@pytest.mark.parametrize("name", ["sort-letters", "sort-digits"])
def test_sorted_answers_are_sorted(name: str) -> None:
    lengths = set()
    for prompt, answer in lab_task(name).instances(np.random.default_rng(0), 200):
        asked = prompt.removeprefix("=").removesuffix(">")
        assert answer.removesuffix(".") == "".join(sorted(asked))
        lengths.add(len(asked))
    assert lengths == ({8} if name == "sort-letters" else {3, 4, 5, 6, 7, 8})


def test_facts_do_not_change() -> None:
    drawn = [dict(lab_task("facts").instances(np.random.default_rng(s), 4000)) for s in (0, 1)]
    assert drawn[0].keys() & drawn[1].keys()
    assert all(drawn[0][k] == drawn[1][k] for k in drawn[0].keys() & drawn[1].keys())
    assert len(drawn[0]) == pytest.approx(512, abs=2)


def test_filler_is_words_of_the_lexicon_with_favourite_successors() -> None:
    words, lengths, successors, frequency = lexicon()
    spelled = [decode(w[: n - 1]) for w, n in zip(words, lengths, strict=True)]
    first = {}
    for i, word in enumerate(spelled):  # a duplicate word is read as its first occurrence
        first.setdefault(word, i)
    once = np.array([spelled.count(w) == 1 for w in spelled])
    favoured, expected = [], []
    for row in filler(np.random.default_rng(0), 2000):
        text = [first[w] for w in decode(row).split(" ")[:-1]]  # the last word may be cut
        for a, b in pairwise(text):
            if once[a] and once[b]:
                favoured.append(b in successors[a])
                # Words that occur once: .6 from the two favourites, .4 by frequency.
                two = np.unique(successors[a])
                favourite = 0.6 * once[successors[a]].mean() + 0.4 * frequency[two] @ once[two]
                other = 0.4 * (frequency @ once - frequency[two] @ once[two])
                expected.append(favourite / (favourite + other))
    assert np.mean(favoured) == pytest.approx(np.mean(expected), abs=0.02)
    np.testing.assert_allclose(frequency[:3] / frequency[0], [1, 1 / 2, 1 / 3])


def test_documents_hold_their_shares() -> None:
    text = documents(np.random.default_rng(3), 4000, {"rule": 0.5, "facts": 0.2})
    assert text.shape == (4000, LENGTH)
    lines = [decode(row) for row in text]
    assert np.mean([";" in t for t in lines]) == pytest.approx(0.5, abs=0.03)
    assert np.mean(["?" in t for t in lines]) == pytest.approx(0.2, abs=0.03)


def test_text_depends_on_seed_and_step_alone() -> None:
    shares = {"rule": 0.6}
    np.testing.assert_array_equal(
        training_text(1, 50, 64, shares), training_text(1, 50, 64, shares)
    )
    assert (training_text(1, 50, 64, shares) != training_text(1, 100, 64, shares)).any()
    assert (training_text(1, 50, 64, shares) != training_text(2, 50, 64, shares)).any()
    # Held-out means drawn separately: twelve random digits recur once in 1e12, filler may recur.
    seen, held_out = (
        {line for line in map(decode, text) if ";" in line}
        for text in (training_text(0, 0, 2000, shares), validation_text(shares, 2000))
    )
    assert seen
    assert held_out
    assert not seen & held_out


def test_what_the_alphabet_lacks_is_said() -> None:
    assert decode(encode("ab 12>")) == "ab 12>"
    with pytest.raises(UsageError, match=r"^the lab's alphabet has no 'B' \(in 'aBc'\)$"):
        encode("aBc")
    with pytest.raises(UsageError, match="no task 'chess'; it has: rule, sort-letters"):
        lab_task("chess")
    assert all(0 < task.chance < 1e-3 for task in TASKS.values())
