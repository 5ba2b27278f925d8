"""Finetune a tiny model on examples of a task, and stop before it memorises them.

Only the answer's tokens count in the loss: the prompt is given. AdamW (.9, .98), weight decay .01,
gradients clipped at 1, 5 % warm-up, cosine to 10 %. Every few steps the loss on held-out examples
is evaluated, the best weights are kept, and training ends when it no longer falls. The weights
before the first step count as well: on those examples, finetuning never ends worse than it began.

One compiled program serves every amount of data, learning rate and number of steps of a width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augury.errors import UsageError
from augury.lab.corpus import LENGTH
from augury.lab.descent import Loss, adamw, descent_block
from augury.lab.model import ModelConfig, Weights, hidden, logits
from augury.lab.subspace import Subspace, flat_weights, shaped_weights
from augury.lab.tasks import encode
from augury.lab.trainer import shifted
from augury.runtime.compiling import jit

# A prompt and the answer to learn.
Pair = tuple[str, str]
# Texts are padded to a multiple of this: tasks of about the same length share a program.
ROOM = 4
# Rows per call for the held-out loss.
ROWS = 256


@dataclass(frozen=True)
class Recipe:
    """How to finetune; the same for models of the lab and of transformers.

    Attributes:
        rate: peak learning rate.
        batch: examples per step.
        steps: maximum, unless the passes need more.
        passes: minimum number of passes over the examples allowed; 0 for no more than `steps`.
        every: steps between evaluations of the held-out loss.
        patience: evaluations without improvement after which it ends.

    Raises:
        UsageError: a number is out of range.
    """

    rate: float
    # Width 24 on the lab's rule: one pass over 16,000 examples in batches of 64, 32 or 16 gives
    # pass probabilities of .0009, .0010 and .0050; two in batches of 16, .028. With only one pass,
    # 16,000 examples teach no more than 1,000 do in as many steps.
    batch: int = 16
    steps: int = 1000
    passes: int = 2
    every: int = 50
    patience: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.rate < math.inf:
            raise UsageError(f"the learning rate must be positive, not {self.rate}")
        if self.passes < 0:
            raise UsageError(f"passes must not be negative, but is {self.passes}")
        for name in ("batch", "steps", "every", "patience"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")

    def most(self, amount: int) -> int:
        """Return the maximum steps for this many examples, a multiple of `every`."""
        wanted = max(self.steps, -(-self.passes * amount // self.batch))
        return -(-wanted // self.every) * self.every

    def rates(self, steps: int) -> NDArray[np.float32]:
        """Return (steps,) learning rates: 5 % warm-up, then a cosine to 10 % of the peak."""
        warm = max(steps // 20, 1)
        at = np.arange(steps)
        falling = 0.1 + 0.45 * (1 + np.cos(np.pi * (at - warm) / max(steps - warm, 1)))
        shape = np.where(at < warm, (at + 1) / warm, falling)
        return np.asarray(self.rate * shape, np.float32)

    def batches(self, amount: int, steps: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return (steps, batch) example indices: all of them in a fresh order, again and again."""
        passes = -(-steps * self.batch // amount)
        order = np.concatenate([rng.permutation(amount) for _ in range(passes)])
        return order[: steps * self.batch].reshape(steps, self.batch)


@dataclass(frozen=True)
class LossCurve:
    """The held-out loss during finetuning.

    Attributes:
        steps: (k,) steps done at each evaluation, the first 0.
        losses: (k,) nats per token of the answers.
    """

    steps: tuple[int, ...]
    losses: tuple[float, ...]

    @property
    def best(self) -> int:
        """Index of the best evaluation."""
        return int(np.argmin(self.losses))


class Stopping:
    """Watches the held-out loss: whether it is the best so far, and whether to continue."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._steps: list[int] = []
        self._losses: list[float] = []

    def look(self, step: int, loss: float) -> bool:
        """Return whether this is the best loss so far. NaN is the worst."""
        self._steps.append(step)
        self._losses.append(loss if math.isfinite(loss) else math.inf)
        return self.curve.best == len(self._losses) - 1

    @property
    def ended(self) -> bool:
        """Whether the patience is exhausted, or the loss is no longer a number."""
        since = len(self._losses) - 1 - self.curve.best
        return since >= self._patience or math.isinf(self._losses[-1])

    @property
    def curve(self) -> LossCurve:
        """Return the losses so far."""
        return LossCurve(tuple(self._steps), tuple(self._losses))


@dataclass(frozen=True)
class Examples:
    """Tokens of examples as the lab's models read them.

    Attributes:
        text: (n, t) tokens, prompt and answer.
        answer: (n, t) 1 where a token belongs to the answer.
    """

    text: NDArray[np.int32]
    answer: NDArray[np.float32]


def as_examples(pairs: Sequence[Pair], places: int | None = None) -> Examples:
    """Convert pairs of prompt and answer to tokens.

    Args:
        pairs: at least one.
        places: t; by default the longest, rounded up to a multiple of 4.

    Raises:
        UsageError: a text has more than 32 characters, or one that the lab's alphabet lacks.
    """
    longest = max(len(p) + len(a) for p, a in pairs)
    if longest > LENGTH:
        worst = max((p + a for p, a in pairs), key=len)
        raise UsageError(f"{worst!r} has {longest} characters; the lab's models have {LENGTH}")
    t = places or min(-(-longest // ROOM) * ROOM, LENGTH)
    text = np.zeros((len(pairs), t), np.int32)
    answer = np.zeros((len(pairs), t), np.float32)
    sizes = np.array([(len(p), len(p) + len(a)) for p, a in pairs])
    at = np.arange(t)[None]
    text[at < sizes[:, 1:]] = encode("".join(p + a for p, a in pairs))
    answer[(at >= sizes[:, :1]) & (at < sizes[:, 1:])] = 1.0
    return Examples(text, answer)


def finetune(
    config: ModelConfig,
    weights: Weights,
    pairs: Sequence[Pair],
    held_out: Sequence[Pair],
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    only_head: bool = False,
    subspace: Subspace | None = None,
) -> tuple[Weights, LossCurve]:
    """Finetune a model of the lab.

    Args:
        config, weights: the model.
        pairs: examples to learn.
        held_out: examples that decide when to stop; at least one.
        recipe: hyperparameters.
        rng: draws the order of the examples.
        only_head: leave the layers unchanged, and train a separate head on their output (weight
            "head"): it cannot teach what the model does not know yet.
        subspace: train only its coordinates, from 0, which move all weights. The rate is then that
            of the coordinates.

    Returns:
        The weights at the best evaluation, and the curve.

    Raises:
        UsageError: an example does not fit the lab's models.
    """
    known = as_examples([*held_out, *pairs])  # together: one width for both
    if only_head:
        inner = {n: x for n, x in weights.items() if n != "head"}
        read = _hidden_rows(config, weights, known.text)
        start = {"head": weights["head"] if "head" in weights else weights["embedding"]}
        rows = (read, known.text, known.answer)
        best, curve = _descend(start, rows, len(held_out), _head_loss, recipe, rng)
        return inner | best, curve
    whole = (known.text, known.answer)
    if subspace is not None:
        base = flat_weights(weights)
        fixed = (base, subspace.group, subspace.entry)
        # As long as all weights, whatever the dimensions: one program serves them all.
        origin = {"coordinates": np.zeros_like(base)}
        loss = _subspace_loss(config, _shapes(weights))
        best, curve = _descend(origin, whole, len(held_out), loss, recipe, rng, fixed)
        moved = base + subspace.lift(best["coordinates"])
        return shaped_weights(moved, dict(_shapes(weights))), curve
    return _descend(weights, whole, len(held_out), _whole_loss(config), recipe, rng)


def _descend(
    start: Weights,
    parts: tuple[Any, ...],
    held_out: int,
    loss: Loss,
    recipe: Recipe,
    rng: np.random.Generator,
    fixed: tuple[Any, ...] = (),
) -> tuple[Weights, LossCurve]:
    """Return the weights at the best evaluation of a descent from `start`.

    Args:
        start: what is trained.
        parts: arrays (held_out + n, ...) of examples, starting with those that decide when to stop.
        held_out: the number of these.
        loss: (weights, *fixed, *rows of the parts) -> summed loss and tokens.
        recipe: hyperparameters.
        rng: draws the order of the examples.
        fixed: further arguments of the loss, which are not trained.
    """
    import jax.numpy as jnp

    best: Weights = {n: jnp.asarray(x) for n, x in start.items()}
    looked = _looks(loss, [x[:held_out] for x in parts], fixed)
    own = [x[held_out:] for x in parts]
    carry: Any = (best, adamw().init(best))
    watch = Stopping(recipe.patience)
    watch.look(0, looked(best))
    steps = recipe.most(len(own[0]))
    rates = recipe.rates(steps)
    order = recipe.batches(len(own[0]), steps, rng)
    block = descent_block(loss)
    for first in range(0, steps, recipe.every):
        span = slice(first, first + recipe.every)
        carry = block(carry, *(x[order[span]] for x in own), rates[span], fixed=fixed)
        if watch.look(first + recipe.every, looked(carry[0])):
            best = carry[0]
        if watch.ended:
            break
    return {n: np.asarray(x) for n, x in best.items()}, watch.curve


def answer_loss(config: ModelConfig, weights: Weights, text: Any, answer: Any) -> Any:
    """Sum -log probability over answer tokens, nats, and count the tokens."""
    return _cross_entropy(logits(config, weights, shifted(text)), text, answer)


def _cross_entropy(table: Any, text: Any, answer: Any) -> Any:
    import jax
    import jax.numpy as jnp

    right = jnp.take_along_axis(table, text[:, :, None], -1)[:, :, 0]
    return ((jax.nn.logsumexp(table, -1) - right) * answer).sum(), answer.sum()


@lru_cache(maxsize=16)
def _whole_loss(config: ModelConfig) -> Loss:
    """Return `answer_loss` for a shape: one function, so that its programs are compiled once."""
    return lambda weights, text, answer: answer_loss(config, weights, text, answer)


def _head_loss(weights: Weights, rows: Any, text: Any, answer: Any) -> Any:
    """Compute `answer_loss` of a head on the layers' output."""
    return _cross_entropy(rows @ weights["head"].T, text, answer)


def _hidden_rows(config: ModelConfig, weights: Weights, text: Any) -> NDArray[np.float32]:
    """Return (n, t, width) what the head reads for every text, computed once."""
    import jax.numpy as jnp

    own = {n: jnp.asarray(x) for n, x in weights.items()}
    read = _hidden(config)
    chunks = _filled_rows([text])
    return np.concatenate([np.asarray(read(own, rows)) for (rows,) in chunks])[: len(text)]


@lru_cache(maxsize=16)
def _hidden(config: ModelConfig) -> Any:
    return jit(lambda weights, text: hidden(config, weights, shifted(text)))


def _shapes(weights: Weights) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple(sorted((name, x.shape) for name, x in weights.items()))


@lru_cache(maxsize=16)
def _subspace_loss(config: ModelConfig, shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> Loss:
    """Return `answer_loss` at a base moved by a subspace's coordinates."""

    def loss(weights: Weights, base: Any, group: Any, entry: Any, text: Any, answer: Any) -> Any:
        moved = base + entry * weights["coordinates"][group]
        return answer_loss(config, shaped_weights(moved, dict(shapes)), text, answer)

    return loss


def _looks(loss: Loss, parts: Sequence[Any], fixed: tuple[Any, ...] = ()) -> Any:
    """Return a function of weights: nats per answer token of held-out examples."""
    chunks = list(_filled_rows(parts))
    one = _compiled(loss)

    def look(weights: Weights) -> float:
        sums = [one(weights, *fixed, *rows) for rows in chunks]
        return float(sum(float(a) for a, _ in sums) / sum(float(b) for _, b in sums))

    return look


def _filled_rows(parts: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield the parts, `ROWS` at a time, the last ones padded with rows that do not count."""
    for first in range(0, len(parts[0]), ROWS):
        chunk = []
        for part in parts:
            own = part[first : first + ROWS]
            rows = np.zeros((ROWS, *part.shape[1:]), part.dtype)
            rows[: len(own)] = own
            chunk.append(rows)
        yield chunk


@lru_cache(maxsize=32)
def _compiled(loss: Loss) -> Any:
    return jit(loss)
