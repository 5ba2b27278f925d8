"""Train a tiny model to checkpoints: deterministic, and resumable to the same weights bit for bit.

The same seed, machine and version of JAX give the same weights, however often a run was killed on
its way. Another processor or version of JAX may round differently.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from augury.lab.checkpoint import (
    RESTART,
    Checkpoint,
    checkpoint_folder,
    is_saved,
    load_restart,
    save_checkpoint,
    save_restart,
)
from augury.lab.config import BATCH, BLOCK, RunConfig
from augury.lab.corpus import LENGTH, training_text, validation_text
from augury.lab.model import ModelConfig, Weights, init, logits
from augury.lab.tasks import BEGIN, CODE
from augury.runtime.compiling import jit

# Steps of work that a kill may cost. Writing takes milliseconds, a block of 50 steps .15 to 3 s.
RESTART_SECONDS = 5.0
# Called with the run, the current step, and the number of steps.
Progress = Callable[[str, int, int], None]


def train(config: RunConfig, folder: str | Path, progress: Progress | None = None) -> list[Path]:
    """Train one run into `folder`; resume a stopped one, keep a complete one.

    AdamW (.9, .98), weight decay .01, learning rate .01 sqrt(16 / width), 5 % warm-up, cosine to
    10 %, gradients clipped at 1, batches of 64 documents.

    Args:
        config: the run.
        folder: one `step-N` folder per checkpoint is written there.
        progress: called with (run, step, steps) after every 50 steps.

    Returns:
        The checkpoints' folders, earliest first.

    Raises:
        DataError: what is there is damaged, or of another run.
    """
    folder = Path(folder)
    if is_complete(config, folder):
        if progress:
            progress(config.run, config.steps, config.steps)
        return [checkpoint_folder(folder, step) for step in config.saves]

    import jax
    import jax.numpy as jnp

    folder.mkdir(parents=True, exist_ok=True)
    course = course_of(config.steps)
    optimiser = _optimiser(config.model, course)
    weights: Weights = {n: jnp.asarray(x) for n, x in init(config.model, config.seed).items()}
    carry: Any = (weights, optimiser.init(weights))
    leaves, shape = jax.tree.flatten(carry)
    first = 0
    if (restart := load_restart(folder, config)) is not None:
        first, arrays = restart
        leaves = [jnp.asarray(arrays[f"{i:04d}"]) for i in range(len(leaves))]
        carry = jax.tree.unflatten(shape, leaves)
    missing = [s for s in config.saves if not is_saved(folder, config, s)]
    if missing and missing[0] < first:  # a checkpoint was requested, or deleted, after the fact
        carry, first = (weights, optimiser.init(weights)), 0

    block = _block(config.model)
    written = time.monotonic()
    for start in range(first, config.steps, BLOCK):
        text = training_text(config.seed, start, BLOCK * BATCH, config.shares)
        carry = block(carry, text.reshape(BLOCK, BATCH, LENGTH).astype("int32"), course)
        jax.tree.leaves(carry)[0].block_until_ready()
        step = start + BLOCK
        if step in missing:
            loss = validation_loss(config, carry[0])
            saved = Checkpoint(config, step, loss, carry[0])
            save_checkpoint(checkpoint_folder(folder, step), saved)
        if step < config.steps and time.monotonic() - written >= RESTART_SECONDS:
            arrays = {f"{i:04d}": x for i, x in enumerate(jax.tree.leaves(carry))}
            save_restart(folder, config, step, arrays)
            written = time.monotonic()
        if progress:
            progress(config.run, step, config.steps)
    (folder / RESTART).unlink(missing_ok=True)
    return [checkpoint_folder(folder, step) for step in config.saves]


def is_complete(config: RunConfig, folder: str | Path) -> bool:
    """Return whether every checkpoint of this run exists.

    Raises:
        DataError: one is damaged, or of another run.
    """
    return all(is_saved(Path(folder), config, step) for step in config.saves)


def mean_loss(config: ModelConfig, weights: Weights, text: Any) -> Any:
    """Return the mean loss per token, nats, of (b, 32) documents."""
    import jax
    import jax.numpy as jnp

    table = logits(config, weights, shifted(text))
    right = jnp.take_along_axis(table, text[:, :, None], -1)[:, :, 0]
    return (jax.nn.logsumexp(table, -1) - right).mean()


def validation_loss(config: RunConfig, weights: Weights) -> float:
    """Return nats per token on held-out documents of the run's mixture, the same for every seed."""
    text = validation_text(config.shares).astype("int32")
    return float(_loss(config.model)(weights, text))


def shifted(text: Any) -> Any:
    """Return what the model reads to predict (b, t) `text`: a begin token, and all but the last."""
    import jax.numpy as jnp

    begin = jnp.full((text.shape[0], 1), CODE[BEGIN], text.dtype)
    return jnp.concatenate([begin, text[:, :-1]], axis=1)


@lru_cache(maxsize=16)
def _loss(model: ModelConfig) -> Any:
    """Compile `mean_loss`."""
    return jit(partial(mean_loss, model))


@lru_cache(maxsize=16)
def _block(model: ModelConfig) -> Any:
    """Compile (weights, optimiser state) after the steps of a block, on (BLOCK, b, 32) text.

    Cached, since compiling takes as long as training a width of 6 for 500 steps: other seeds,
    mixtures and lengths of training of the same model use it again.
    """
    import jax
    import optax

    def block(carry: Any, batches: Any, course: Course) -> Any:
        optimiser = _optimiser(model, course)

        def one(carry: Any, batch: Any) -> Any:
            weights, state = carry
            gradient = jax.grad(partial(mean_loss, model))(weights, batch)
            updates, state = optimiser.update(gradient, state, weights)
            return (optax.apply_updates(weights, updates), state), None

        return jax.lax.scan(one, carry, batches)[0]

    return jit(block)


class Course(NamedTuple):
    """What the learning rate needs from the number of steps; an argument of the compiled program.

    Attributes:
        warm: steps of warm-up.
        rise: 1 over them.
        falling: steps of the decay.
        turn: pi over these.
    """

    warm: Any
    rise: Any
    falling: Any
    turn: Any


def course_of(steps: int) -> Course:
    """Return the course for this many steps: 5 % warm-up, and the rest.

    Factors instead of divisors, in single precision: as XLA has it if the steps are constants, so
    that the weights are the same bit for bit.
    """
    warm = max(steps // 20, 1)
    one, falling = np.float32(1), np.float32(steps - warm)
    turn = np.float32(np.pi) * (one / falling)
    return Course(np.int32(warm), one / np.float32(warm), falling, turn)


def learning_rate(course: Course, peak: float, step: Any) -> Any:
    """Rise linearly to the peak, then fall to a tenth of it by a cosine."""
    import jax.numpy as jnp

    rising = peak - peak * (1 - jnp.clip(step, 0, course.warm) * course.rise)
    turned = jnp.minimum(step - course.warm, course.falling) * course.turn
    falling = peak * (0.9 * (0.5 * (1 + jnp.cos(turned))) + 0.1)
    return jnp.where(step < course.warm, rising, falling)


def _optimiser(model: ModelConfig, course: Course) -> Any:
    import optax

    rate = partial(learning_rate, course, 0.01 * (16 / model.width) ** 0.5)
    # Flattened: one update of one long vector compiles a second faster than forty small ones.
    return optax.flatten(
        optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.adamw(rate, b1=0.9, b2=0.98, weight_decay=0.01),
        )
    )
