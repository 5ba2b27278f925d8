"""Elicit what a model of a latent world knows: few-shot scores, and a head finetuned on few.

Only the letters' rows of the head are trained, on the layers' output, by the loss among the
letters. The layers stay unchanged, so that nothing is taught; the weights before the first step are
among the evaluations of the held-out loss, so that zero examples are few-shot prompting.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from augury.lab.descent import adamw
from augury.lab.finetuner import Recipe
from augury.lab.latent.text import HELD_OUT, TEST, TRAIN, LatentText
from augury.lab.latent.world import VALUES
from augury.lab.model import ModelConfig, Weights, hidden
from augury.lab.tasks import Tokens
from augury.lab.trainer import shifted
from augury.runtime.compiling import jit

Array = NDArray[np.float32]

# Prompts that are scored: eight per word that is asked about.
INSTANCES = 1024
# Prompts that decide when finetuning stops; steps between evaluations on them.
STOPPING = 256
EVERY, BATCH = 12, 32
RATE = 0.01
# Prompts read in one call.
ROWS = 1024


@dataclass(frozen=True)
class TaskPrompts:
    """All prompts of one task of one world, the same for every model of a seed.

    Attributes:
        task: the attribute that is asked about.
        first_letter: token of its first letter.
        runs: (amount, subset) of each finetuning.
        tokens: (n, t) prompts and answers: scored, then those that stop, then of every run.
        order: (runs, steps, batch) the examples that each step of a run learns.
    """

    task: int
    first_letter: int
    runs: tuple[tuple[int, int], ...]
    tokens: Tokens
    order: NDArray[np.int64]

    @property
    def answers(self) -> NDArray[np.int64]:
        """Return (n,) the correct letter."""
        return np.asarray(self.tokens[:, -1] - self.first_letter)


def task_prompts(text: LatentText, task: int, *, finetuned: bool) -> TaskPrompts:
    """Draw the prompts of a task, determined by the world, its seed and the task."""
    world = text.world
    learnt = TEST if world.taught else TRAIN

    def stream(*of: int) -> np.random.Generator:
        return np.random.default_rng([11, text.seed, task, *of])

    parts = [
        text.prompts(stream(0), INSTANCES, task, TEST),
        text.prompts(stream(1), STOPPING, task, TEST if world.taught else HELD_OUT),
    ]
    runs = [(a, s) for a in world.amounts for s in range(world.subsets)] if finetuned else []
    steps = world.finetune_steps
    order = np.zeros((len(runs), steps, BATCH), np.int64)
    for i, (amount, subset) in enumerate(runs):
        parts.append(text.prompts(stream(2, amount, subset), amount, task, learnt))
        order[i] = Recipe(RATE, BATCH).batches(amount, steps, stream(3, amount, subset))
    return TaskPrompts(task, world.letters(task), tuple(runs), np.concatenate(parts), order)


def measure_task(
    config: ModelConfig, weights: Weights, prompts: TaskPrompts
) -> list[tuple[int, int, dict[str, float]]]:
    """Return (amount, subset, scores) of a checkpoint: few-shot (0), then every finetuning."""
    read = read_prompts(config, weights, prompts.tokens)
    answers = prompts.answers
    head = np.asarray(weights["head"])
    letters = slice(prompts.first_letter, prompts.first_letter + VALUES)
    logits = read[:INSTANCES] @ head.T
    found = [(0, 0, scores(logits, letters, answers[:INSTANCES]))]
    if not prompts.runs:
        return found
    for (amount, subset), rows in zip(
        prompts.runs, _finetuned(config, head[letters], read, prompts), strict=True
    ):
        logits[:, letters] = read[:INSTANCES] @ rows.T
        found.append((amount, subset, scores(logits, letters, answers[:INSTANCES])))
    return found


def read_prompts(config: ModelConfig, weights: Weights, tokens: Tokens) -> Array:
    """Return (n, width) what the head reads at the position before the answer."""
    parts = []
    for first in range(0, len(tokens), ROWS):
        rows = np.zeros((ROWS, tokens.shape[1]), np.int32)
        own = tokens[first : first + ROWS]
        rows[: len(own)] = own
        parts.append(np.asarray(_reader(config)(weights, rows))[: len(own)])
    return np.concatenate(parts)


def scores(logits: Array, letters: slice, answers: NDArray[np.int64]) -> dict[str, float]:
    """Average over prompts.

    value: how often the correct letter is the likeliest of the four. reference_logprob: its
    log-probability among all tokens. choice_probability: its probability among the four.
    reference_rank: geometric mean of its rank among all tokens, 1 being first.
    """
    at = np.arange(len(answers))
    own = logits[:, letters]
    right = own[at, answers]
    choice = right - logsumexp(own, axis=1)
    rank = 1 + (logits > right[:, None]).sum(1)
    return {
        "value": float(np.mean(own.argmax(1) == answers)),
        "reference_logprob": float(np.mean(right - logsumexp(logits, axis=1))),
        "choice_probability": float(np.mean(np.exp(choice))),
        "reference_rank": float(np.exp(np.mean(np.log(rank)))),
    }


def _finetuned(config: ModelConfig, start: Array, read: Array, prompts: TaskPrompts) -> Array:
    """Return (runs, 4, width) the letters' rows of the head at the best evaluation of each run."""
    sizes = [amount for amount, _ in prompts.runs]
    most = max(sizes)
    rows = np.zeros((len(sizes), most, read.shape[1]), np.float32)
    answers = np.zeros((len(sizes), most), np.int64)
    at = INSTANCES + STOPPING
    for i, size in enumerate(sizes):
        rows[i, :size] = read[at : at + size]
        answers[i, :size] = prompts.answers[at : at + size]
        at += size
    stop = slice(INSTANCES, INSTANCES + STOPPING)
    rates = Recipe(RATE * (16 / config.width) ** 0.5).rates(prompts.order.shape[1])
    step = np.arange(len(sizes))[:, None, None]
    learnt, right = rows[step, prompts.order], answers[step, prompts.order]
    return np.asarray(_descend()(start, learnt, right, rates, read[stop], prompts.answers[stop]))


@lru_cache(maxsize=16)
def _reader(config: ModelConfig) -> Any:
    return jit(lambda weights, text: hidden(config, weights, shifted(text))[:, -1])


@lru_cache(maxsize=1)
def _descend() -> Any:
    """Compile all runs of a task at once, each kept at its best evaluation."""
    import jax
    import jax.numpy as jnp

    optimiser = adamw(0.0)

    def loss(head: Any, rows: Any, answers: Any) -> Any:
        table = rows @ head.T
        right = jnp.take_along_axis(table, answers[:, None], 1)[:, 0]
        return (jax.nn.logsumexp(table, -1) - right).mean()

    def one(
        start: Any, rows: Any, answers: Any, rates: Any, held_out: Any, held_answers: Any
    ) -> Any:
        def step(carry: Any, x: Any) -> Any:
            head, state = carry
            own, right, rate = x
            gradient = jax.grad(loss)(head, own, right)
            updates, state = optimiser.update(gradient, state, head)
            return (head - rate * updates, state), None

        def look(carry: Any, x: Any) -> Any:
            head, state, best, least = carry
            (head, state), _ = jax.lax.scan(step, (head, state), x)
            now = loss(head, held_out, held_answers)
            better = now < least  # never if it is not a number
            best, least = jnp.where(better, head, best), jnp.where(better, now, least)
            return (head, state, best, least), None

        looks = jax.tree.map(lambda x: x.reshape(-1, EVERY, *x.shape[1:]), (rows, answers, rates))
        first = loss(start, held_out, held_answers)
        carry = (start, optimiser.init(start), start, first)
        return jax.lax.scan(look, carry, looks)[0][2]

    return jit(jax.vmap(one, in_axes=(None, 0, 0, None, None, None)))
