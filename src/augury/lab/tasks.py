"""The lab's tasks: small enough to emerge on a laptop, with one correct answer each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from augury.errors import UsageError

BEGIN = "^"
END = "."
ALPHABET = BEGIN + " abcdefghijklmnopqrstuvwxyz0123456789>;.,:|=+-*/?!()'~_#"
CODE = {character: i for i, character in enumerate(ALPHABET)}
# Fills positions after a shorter prompt or answer; never reaches a model.
NOTHING = -1
Tokens = NDArray[np.int64]

_DIGITS = CODE["0"]
_LETTERS = CODE["a"]
_FACTS = 512
_FEWEST, _MOST = 3, 8


def encode(text: str) -> Tokens:
    """Convert characters to tokens.

    Raises:
        UsageError: a character is not in the lab's alphabet.
    """
    for character in text:
        if character not in CODE:
            raise UsageError(f"the lab's alphabet has no {character!r} (in {text[:40]!r})")
    return np.array([CODE[c] for c in text], dtype=np.int64)


def decode(tokens: Tokens) -> str:
    """Convert tokens to characters; `NOTHING` is left out."""
    return "".join(ALPHABET[int(t)] for t in tokens if t != NOTHING)


@dataclass(frozen=True)
class LabTask:
    """A task of the lab.

    Attributes:
        name: how a user selects it.
        chance: the pass rate of a guesser who knows only the form of an answer.
        draw: (rng, n) -> prompts (n, p) and answers (n, a), tokens, padded with `NOTHING`.
        meaning: what it asks.
        ends: whether the full stop after the answer is part of it (its length has to be right).
    """

    name: str
    chance: float
    draw: Callable[[np.random.Generator, int], tuple[Tokens, Tokens]]
    meaning: str
    ends: bool = False

    def documents(self, rng: np.random.Generator, n: int) -> Tokens:
        """Draw (n, t) instances as in training: prompt, answer, full stop, then `NOTHING`."""
        whole = np.concatenate([*self.draw(rng, n), _column(END, n)], axis=1)
        order = np.argsort(whole == NOTHING, axis=1, kind="stable")
        return np.take_along_axis(whole, order, axis=1)

    def instances(self, rng: np.random.Generator, n: int) -> list[tuple[str, str]]:
        """Draw prompts and reference answers as text."""
        prompts, answers = self.draw(rng, n)
        end = END if self.ends else ""
        return [(decode(p), decode(a) + end) for p, a in zip(prompts, answers, strict=True)]


def _column(character: str, n: int) -> Tokens:
    return np.full((n, 1), CODE[character], dtype=np.int64)


def images(digits: Tokens, rule: Tokens) -> Tokens:
    """Map (n, d) digits by each row's rule: sort up, sort down, reverse, copy, add 1."""
    up = np.sort(digits, axis=1)
    options = np.stack([up, up[:, ::-1], digits[:, ::-1], digits, (digits + 1) % 10])
    return options[rule, np.arange(len(digits))]


def _rule(rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
    rule = rng.integers(5, size=n)
    shown, asked = rng.integers(10, size=(2, n, 6))
    parts = [shown + _DIGITS, _column(">", n), images(shown, rule) + _DIGITS, _column(";", n)]
    prompt = np.concatenate([*parts, asked + _DIGITS, _column(">", n)], axis=1)
    return prompt, images(asked, rule) + _DIGITS


def _sort_letters(rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
    letters = rng.integers(26, size=(n, 8))
    prompt = np.concatenate([_column("=", n), letters + _LETTERS, _column(">", n)], axis=1)
    return prompt, np.sort(letters, axis=1) + _LETTERS


def _sort_digits(rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
    beyond = np.arange(_MOST) >= rng.integers(_FEWEST, _MOST + 1, size=(n, 1))
    digits = np.where(beyond, 99, rng.integers(10, size=(n, _MOST)))
    ordered = np.sort(digits, axis=1)
    asked, answer = (np.where(x == 99, NOTHING, x + _DIGITS) for x in (digits, ordered))
    return np.concatenate([_column("=", n), asked, _column(">", n)], axis=1), answer


def _facts(rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
    table = np.random.default_rng(57)  # the facts are the same in every world
    names = table.integers(26, size=(_FACTS, 5))
    values = table.integers(10, size=(_FACTS, 4))
    which = rng.integers(_FACTS, size=n)
    prompt = np.concatenate([_column("?", n), names[which] + _LETTERS, _column(":", n)], axis=1)
    return prompt, values[which] + _DIGITS


TASKS = {
    task.name: task
    for task in (
        LabTask("rule", 1e-6, _rule, "one example of a rule on six digits; apply it to six more"),
        LabTask("sort-letters", 26.0**-8, _sort_letters, "sort eight letters"),
        LabTask(
            "sort-digits",
            float(np.mean([10.0**-k for k in range(_FEWEST, _MOST + 1)])),
            _sort_digits,
            "sort three to eight digits, and stop",
            ends=True,
        ),
        LabTask("facts", 1e-4, _facts, "recall one of 512 four-digit facts, seen in training"),
    )
}


def lab_task(name: str) -> LabTask:
    """Return the task called `name`.

    Raises:
        UsageError: it does not exist.
    """
    if name not in TASKS:
        raise UsageError(f"the lab has no task '{name}'; it has: {', '.join(TASKS)}")
    return TASKS[name]
