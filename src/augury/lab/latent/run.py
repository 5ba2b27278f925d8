"""Train a model of a latent world, and measure its checkpoints on the way."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import polars as pl

from augury.data import observations
from augury.data.compute import training_flops
from augury.errors import UsageError
from augury.lab.config import BLOCK
from augury.lab.descent import Loss, adamw, descent_block
from augury.lab.latent.elicit import INSTANCES, measure_task, task_prompts
from augury.lab.latent.text import LatentText
from augury.lab.latent.world import BATCH, LENGTH, VALUES, LatentWorld
from augury.lab.model import ModelConfig, Weights, fresh_weights
from augury.lab.trainer import mean_loss
from augury.runtime.compiling import jit

# Peak learning rate at width 16, reached after the warm-up and then kept.
RATE, WARM_UP = 0.005, 100
VALIDATION = 1024
Progress = Callable[[str, int, int], None]


def latent_run(
    world: LatentWorld,
    width: int,
    seed: int,
    *,
    later: bool = False,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Train one model and measure its checkpoints on every task of the world.

    Args:
        world: its configuration.
        width: of the model.
        seed: of the world's tables, the text and the weights.
        later: a model that shows the truth: only few-shot scores, at the world's later steps.
        progress: called with (model, step, steps).

    Returns:
        Observation table: one row per checkpoint, task, amount and subset; `finetune_examples` 0 is
        few-shot. `value` is the accuracy among the four letters; further columns are
        `reference_logprob` (of the correct letter), `reference_rank` and `choice_probability`.

    Raises:
        UsageError: a later width that the world does not have.
    """
    if later and width not in world.later:
        raise UsageError(f"world '{world.name}' has no later width {width}: {list(world.later)}")
    text = LatentText(world, seed)
    steps = world.later[width] if later else world.steps
    saves = range(world.since, steps, world.every) if later else world.checkpoints
    config = world.model(width)
    prompts = [task_prompts(text, task, finetuned=not later) for task in world.tasks]
    validation = text.corpus(np.random.default_rng([99, seed]), VALIDATION, 16).astype("int32")
    block, muted = descent_block(_loss_function(config)), world.muted.get(width, 0.0)
    weights = _start(world, width, seed)
    carry: Any = (weights, adamw().init(weights))
    rng = np.random.default_rng([21, seed])
    peak = RATE * (16 / width) ** 0.5
    rows: list[dict[str, Any]] = []
    for start in range(0, steps, BLOCK):
        documents = text.corpus(rng, BLOCK * BATCH, width, muted=muted)
        at = start + 1 + np.arange(BLOCK)
        rates = (peak * np.minimum(1.0, at / WARM_UP)).astype("float32")
        carry = block(carry, documents.reshape(BLOCK, BATCH, LENGTH).astype("int32"), rates)
        step = start + BLOCK
        if step in saves or step == steps:
            tokens, params = float(step * BATCH * LENGTH), float(world.params(width))
            about = {
                "model": f"{world.name}-w{width}",
                "family": world.name,
                "run": f"{world.name}-w{width}-seed-{seed}",
                "step": step,
                "seed": seed,
                "params": params,
                "params_kind": "all",
                "tokens": tokens,
                "flops": training_flops(params, tokens),
                "loss": float(_validation(config)(carry[0], validation)),
                "shots": world.shots,
            }
            rows += _measured(config, carry[0], prompts, about)
        if progress:
            progress(f"{world.name}-w{width}", step, steps)
    return observations(rows)


def _measured(
    config: ModelConfig, weights: Weights, prompts: list[Any], about: dict[str, Any]
) -> list[dict[str, Any]]:
    return [
        {
            **about,
            "task": f"attribute-{of.task}",
            "metric": "accuracy",
            "finetune_examples": amount,
            "finetune_task": f"attribute-{of.task}" if amount else None,
            "subset": str(subset) if amount else None,
            **scores,
            "n": float(INSTANCES),
            "chance": 1 / VALUES,
        }
        for of in prompts
        for amount, subset, scores in measure_task(config, weights, of)
    ]


def _start(world: LatentWorld, width: int, seed: int) -> Weights:
    """Return fresh weights, with a separate head."""
    rng = np.random.default_rng([seed, 7, width])
    weights = fresh_weights(world.model(width), world.vocabulary, LENGTH, rng)
    head = rng.standard_normal((world.vocabulary, width)) * width**-0.5
    return weights | {"head": head.astype(np.float32)}


@lru_cache(maxsize=16)
def _loss_function(config: ModelConfig) -> Loss:
    """Sum the loss of (b, 24) documents, and count the tokens."""

    def loss(weights: Any, documents: Any) -> tuple[Any, float]:
        return mean_loss(config, weights, documents) * documents.size, documents.size

    return loss


@lru_cache(maxsize=16)
def _validation(config: ModelConfig) -> Any:
    return jit(partial(mean_loss, config))
