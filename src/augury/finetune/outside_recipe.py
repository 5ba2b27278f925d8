"""How the sweep would train a run, in another trainer's terms.

Other trainers' defaults are a different recipe: TRL's rate decays to zero, it keeps the last
weights rather than those of the lowest held-out loss, and trains at 2e-5. So each run of a plan
describes what the sweep does, as settings and as arguments of TRL's `SFTConfig` and peft's
`LoraConfig`.
"""

from __future__ import annotations

from typing import Any

from augury.finetune.hf import RANK
from augury.finetune.records import Settings, Unit

# Evaluations of the held-out loss in a run shorter than two regular ones.
LOOKS = 5


def describe_recipe(unit: Unit, settings: Settings) -> dict[str, Any]:
    """Describe in the manifest how to train a run.

    Args:
        unit: the run.
        settings: of the plan.

    Returns:
        `recipe` in plain words, `trl` as arguments of `SFTConfig`, `lora` as arguments of
        `LoraConfig` (None for another method).
    """
    recipe = settings.recipe(unit.model.width)
    steps = max(recipe.steps, -(-recipe.passes * unit.amount // recipe.batch))
    every = recipe.every if steps >= 2 * recipe.every else max(steps // LOOKS, 1)
    warmup = max(steps // 20, 1)
    return {
        "recipe": {
            "method": settings.method,
            "learning_rate": recipe.rate,
            "steps": steps,
            "batch": recipe.batch,
            "warmup_steps": warmup,
            "schedule": "a cosine to a tenth of the rate",
            "optimiser": "AdamW, betas .9 and .98, weight decay .01, gradients clipped at 1",
            "loss": "tokens of the completion and the end token after it",
            "kept": f"the weights of the lowest loss on held_out.jsonl, every {every} steps",
        },
        "trl": {
            "max_steps": steps,
            "per_device_train_batch_size": recipe.batch,
            "learning_rate": recipe.rate,
            "lr_scheduler_type": "cosine_warmup_with_min_lr",
            "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
            "warmup_steps": warmup,
            "adam_beta2": 0.98,
            "weight_decay": 0.01,
            "max_grad_norm": 1.0,
            "completion_only_loss": True,
            "eval_strategy": "steps",
            "eval_steps": every,
            "save_strategy": "steps",
            "save_steps": every,
            "save_total_limit": 2,
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_loss",
            "seed": unit.seed,
        },
        "lora": {"r": RANK, "lora_alpha": 2 * RANK, "target_modules": "all-linear",
                 "task_type": "CAUSAL_LM"} if settings.method == "lora" else None,
    }  # fmt: skip
