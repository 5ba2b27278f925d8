"""Train a tiny model to checkpoints: deterministic, resumable, safetensors and JSON on disk."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from augury.errors import DataError, UsageError
from augury.train.corpus import LENGTH, documents
from augury.train.model import ModelConfig, Weights, forward, init
from augury.train.tasks import CODE, Tokens, lab_task

FORMAT = 1
BATCH = 64
# Steps per compiled call, drawn from one random stream: resuming starts at a multiple of it.
BLOCK = 50
VALIDATION = 2048
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RunConfig:
    """One training run.

    Attributes:
        model: its shape.
        steps: optimiser steps of 64 documents of 32 tokens; a multiple of 50.
        seed: of weights and data.
        shares: share of documents by task; the rest is filler.
        checkpoints: steps at which to save, multiples of 50; the last is always saved.
        family: name of the series.
    """

    model: ModelConfig
    steps: int = 1000
    seed: int = 0
    shares: Mapping[str, float] = field(default_factory=lambda: {"rule": 0.6})
    checkpoints: tuple[int, ...] = ()
    family: str = "lab"

    def __post_init__(self) -> None:
        for step in (self.steps, *self.checkpoints):
            if step <= 0 or step % BLOCK or step > self.steps:
                raise UsageError(
                    f"steps and checkpoints must be multiples of {BLOCK} up to {self.steps}, "
                    f"not {step}"
                )
        for name in self.shares:
            lab_task(name)
        if sum(self.shares.values()) > 1 or min(self.shares.values(), default=0) < 0:
            raise UsageError(f"shares must be positive and sum to at most 1: {self.shares}")

    @property
    def name(self) -> str:
        return f"{self.family}-w{self.model.width}"


def tokens_at(step: int) -> float:
    """Tokens seen after a number of steps."""
    return float(step * BATCH * LENGTH)


def train(config: RunConfig, folder: str | Path, progress: Progress | None = None) -> list[Path]:
    """Train one run into `folder`; a run that is there goes on from its last checkpoint.

    AdamW (.9, .98), weight decay .01, learning rate .01 sqrt(16 / width), 5 % warm-up, cosine to
    10 %, gradients clipped at 1.

    Args:
        config: the run.
        folder: one `step-N` folder per checkpoint is written there.
        progress: called with (name, step, steps).

    Returns:
        The checkpoints' folders, earliest first.

    Raises:
        DataError: a checkpoint there is damaged, or of another run.
    """
    import jax
    import jax.numpy as jnp
    import optax

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = sorted({*config.checkpoints, config.steps})
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=0.01 * (16 / config.model.width) ** 0.5,
        warmup_steps=max(config.steps // 20, 1),
        decay_steps=config.steps,
        end_value=0.001 * (16 / config.model.width) ** 0.5,
    )
    optimiser = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(schedule, b1=0.9, b2=0.98, weight_decay=0.01)
    )
    done = [s for s in wanted if (folder / f"step-{s}" / "config.json").exists()]
    weights: Weights = {n: jnp.asarray(x) for n, x in init(config.model, config.seed).items()}
    state = optimiser.init(weights)
    first = 0
    if done:
        first = done[-1]
        weights, state = _restored(folder / f"step-{first}", config, state)

    def one(carry: Any, batch: Any) -> Any:
        weights, state = carry
        loss, gradient = jax.value_and_grad(partial(mean_loss, config.model))(weights, batch)
        updates, state = optimiser.update(gradient, state, weights)
        return (optax.apply_updates(weights, updates), state), loss

    block = jax.jit(lambda carry, batches: jax.lax.scan(one, carry, batches))
    carry = (weights, state)
    for start in range(first, config.steps, BLOCK):
        rng = np.random.default_rng([config.seed, 1, start])
        text = documents(rng, BLOCK * BATCH, config.shares).reshape(BLOCK, BATCH, LENGTH)
        carry, _ = block(carry, text.astype(np.int32))
        step = start + BLOCK
        if progress:
            jax.tree.leaves(carry)[0].block_until_ready()
            progress(config.name, step, config.steps)
        if step in wanted:
            _save(folder / f"step-{step}", config, step, *carry)
    return [folder / f"step-{s}" for s in wanted]


def mean_loss(config: ModelConfig, weights: Weights, text: Any) -> Any:
    """Mean loss per token, nats, of (b, 32) documents."""
    return -logprobs_of(config, weights, text).mean()


def logprobs_of(config: ModelConfig, weights: Weights, text: Any) -> Any:
    """(b, t) log-probability of every token given those before it."""
    import jax
    import jax.numpy as jnp

    begin = jnp.full((text.shape[0], 1), CODE["^"], text.dtype)
    logits, _ = forward(config, weights, jnp.concatenate([begin, text[:, :-1]], axis=1))
    table = jax.nn.log_softmax(logits)
    return jnp.take_along_axis(table, text[:, :, None], -1)[:, :, 0]


def validation_text(config: RunConfig) -> Tokens:
    """Held-out documents of the run's own mixture, the same for every seed."""
    return documents(np.random.default_rng([9, 9, 9]), VALIDATION, config.shares)


def _save(folder: Path, config: RunConfig, step: int, weights: Weights, state: Any) -> None:
    """Write a checkpoint whole or not at all."""
    import jax
    from safetensors.numpy import save_file

    loss = jax.jit(partial(mean_loss, config.model))(weights, validation_text(config))
    fresh = Path(tempfile.mkdtemp(prefix=".checkpoint-", dir=folder.parent))
    try:
        save_file({n: np.asarray(x) for n, x in weights.items()}, fresh / "model.safetensors")
        leaves = jax.tree.leaves(state)
        moments = {f"{i:04d}": np.atleast_1d(np.asarray(x)) for i, x in enumerate(leaves)}
        save_file(moments, fresh / "optimiser.safetensors")
        tokens = tokens_at(step)
        record = {
            "format": FORMAT,
            "name": config.name,
            "run": asdict(config),
            "step": step,
            "params": config.model.params,
            "tokens": tokens,
            "flops": 6.0 * config.model.params * tokens,
            "loss": float(loss),
        }
        (fresh / "config.json").write_text(json.dumps(record, indent=2) + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: run, step, tokens, flops, loss (nats, held out), weights."""

    config: RunConfig
    step: int
    loss: float
    weights: Weights

    @property
    def tokens(self) -> float:
        return tokens_at(self.step)

    @property
    def flops(self) -> float:
        return 6.0 * self.config.model.params * self.tokens


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        DataError: there is none, or it is damaged, of another format, or of another shape.
    """
    folder = Path(folder)
    record = _record(folder)
    run = dict(record["run"])
    run["model"] = ModelConfig(**run["model"])
    run["checkpoints"] = tuple(run["checkpoints"])
    config = RunConfig(**run)
    weights = _tensors(folder / "model.safetensors")
    expected = {n: x.shape for n, x in init(config.model, 0).items()}
    if {n: x.shape for n, x in weights.items()} != expected:
        raise DataError(
            "the weights do not have the shape that config.json says",
            source=str(folder / "model.safetensors"),
            expected=f"a model of width {config.model.width}",
        )
    return Checkpoint(config, record["step"], record["loss"], weights)


def _record(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise DataError(
            "holds no checkpoint", source=str(folder), expected="config.json and model.safetensors"
        ) from error
    except ValueError as error:
        raise DataError(f"is not JSON: {error}", source=str(path)) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else record
        raise DataError(
            "is of another format", source=str(path), value=found, expected=f"format {FORMAT}"
        )
    return record


def _tensors(path: Path) -> Weights:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise DataError("there is no such file", source=str(path), expected="weights") from error
    except (SafetensorError, OSError) as error:
        line = str(error).splitlines()[0]
        raise DataError(
            f"is damaged: {line}", source=str(path), expected="a whole safetensors file"
        ) from error


def _restored(folder: Path, config: RunConfig, state: Any) -> tuple[Weights, Any]:
    """Weights and optimiser state of a checkpoint of the same run."""
    import jax
    import jax.numpy as jnp

    saved = load_checkpoint(folder)
    if saved.config != config:
        raise DataError(
            "is a checkpoint of another run",
            source=str(folder),
            value=saved.config.name,
            expected="the same settings, or another folder",
        )
    moments = _tensors(folder / "optimiser.safetensors")
    leaves, shape = jax.tree.flatten(state)
    restored = [
        jnp.asarray(moments[f"{i:04d}"]).reshape(jnp.shape(leaf)) for i, leaf in enumerate(leaves)
    ]
    weights = {n: jnp.asarray(x) for n, x in saved.weights.items()}
    return weights, jax.tree.unflatten(shape, restored)
