"""The lab's tasks: small enough to emerge on a laptop, with one right answer each.

Every task writes instances of one fixed shape, prompt and answer, so that documents, batches and
references are plain arrays of characters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from augury.errors import UsageError

BEGIN = "^"
ALPHABET = BEGIN + " abcdefghijklmnopqrstuvwxyz0123456789>;.,:|=+-*/?!()'~_#"
CODE = {character: i for i, character in enumerate(ALPHABET)}
Tokens = NDArray[np.int64]

_DIGITS = CODE["0"]
_LETTERS = CODE["a"]


def encode(text: str) -> Tokens:
    """Characters to tokens.

    Raises:
        UsageError: a character is not in the lab's alphabet.
    """
    for character in text:
        if character not in CODE:
            raise UsageError(f"the lab's alphabet has no {character!r} (in {text[:40]!r})")
    return np.array([CODE[c] for c in text], dtype=np.int64)


def decode(tokens: Tokens) -> str:
    """Tokens to characters."""
    return "".join(ALPHABET[int(t)] for t in tokens)


@dataclass(frozen=True)
class LabTask:
    """A task of the lab.

    Attributes:
        name: how a user asks for it.
        chance: the rate at which a guesser passes who knows only the form of an answer.
        draw: (rng, n) -> prompts (n, p) and answers (n, a), tokens.
        meaning: what it asks.
    """

    name: str
    chance: float
    draw: Callable[[np.random.Generator, int], tuple[Tokens, Tokens]]
    meaning: str


def _column(character: str, n: int) -> Tokens:
    return np.full((n, 1), CODE[character], dtype=np.int64)


def _images(x: Tokens, rule: Tokens) -> Tokens:
    """The five rules: sort up, sort down, reverse, copy, add 1 to every digit."""
    up = np.sort(x, axis=1)
    options = np.stack([up, up[:, ::-1], x[:, ::-1], x, (x + 1) % 10])
    return options[rule, np.arange(len(x))]


def _rule(rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
    rule = rng.integers(5, size=n)
    shown, asked = rng.integers(10, size=(2, n, 6))
    parts = [shown + _DIGITS, _column(">", n), _images(shown, rule) + _DIGITS, _column(";", n)]
    prompt = np.concatenate([*parts, asked + _DIGITS, _column(">", n)], axis=1)
    return prompt, _images(asked, rule) + _DIGITS


def _sort_letters(rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
    letters = rng.integers(26, size=(n, 8))
    prompt = np.concatenate([_column("=", n), letters + _LETTERS, _column(">", n)], axis=1)
    return prompt, np.sort(letters, axis=1) + _LETTERS


def _facts(rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
    table = np.random.default_rng(57)  # the facts are the same in every world
    names = table.integers(26, size=(512, 5))
    values = table.integers(10, size=(512, 4))
    which = rng.integers(512, size=n)
    prompt = np.concatenate([_column("?", n), names[which] + _LETTERS, _column(":", n)], axis=1)
    return prompt, values[which] + _DIGITS


TASKS = {
    task.name: task
    for task in (
        LabTask("rule", 1e-6, _rule, "one example of a rule on six digits; apply it to six more"),
        LabTask("sort-letters", 26.0**-8, _sort_letters, "sort eight letters"),
        LabTask("facts", 1e-4, _facts, "recall one of 512 four-digit facts"),
    )
}


def lab_task(name: str) -> LabTask:
    """The task called `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in TASKS:
        raise UsageError(f"the lab has no task '{name}'; it has: {', '.join(TASKS)}")
    return TASKS[name]
