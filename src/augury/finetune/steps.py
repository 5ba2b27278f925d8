"""What a sweep decides before training: method, length of runs, width for the rate search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from augury.errors import UsageError
from augury.finetune.models import Model
from augury.finetune.records import Method

# For checkpoints of transformers: a pretrained model learns from each example in a few passes, and
# a step is expensive. SmolLM2-135M on two cores: .6 s per step of 16 short examples, 3 s per
# evaluation.
PASSES, FEWEST_STEPS, EVERY = 3, 20, 20


def length_of_runs(
    real: bool, steps: int | None, passes: int | None, every: int | None
) -> tuple[int, int, int]:
    """Return steps, passes and steps between evaluations, as in `lab.Recipe`; None means default.

    Args:
        real: whether all models are checkpoints of transformers.
        steps, passes, every: as requested. Steps given alone are the maximum.
    """
    if passes is None:
        passes = (PASSES if steps is None else 0) if real else 2
    if steps is None:
        steps = FEWEST_STEPS if real else 1000
    if every is None:
        every = EVERY if real else 50
    return steps, passes, every


def check_method(method: str) -> None:
    """Refuse an unknown method.

    Raises:
        UsageError: it is none of `Method`.
    """
    if method not in get_args(Method):
        known = ", ".join(get_args(Method))
        raise UsageError(f"no method is called '{method}'; there are: {known}")


def middle_of(models: Sequence[Model]) -> Model:
    """Return the checkpoint in the middle by width, at its last step."""
    widths = sorted({model.width for model in models})
    width = widths[(len(widths) - 1) // 2]
    return max((m for m in models if m.width == width), key=lambda m: (m.step or 0, m.name))
