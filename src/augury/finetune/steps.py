"""What a sweep decides before it trains: method, length of runs, where the rate is searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from augury.errors import UsageError
from augury.finetune.models import Model
from augury.finetune.records import Method

# Of checkpoints of transformers: a pretrained model learns from each example in a few passes, and a
# step is dear. SmolLM2-135M on two cores: .6 s a step of 16 short examples, 3 s a look.
PASSES, FEWEST_STEPS, EVERY = 3, 20, 20


def length_of_runs(
    real: bool, steps: int | None, passes: int | None, every: int | None
) -> tuple[int, int, int]:
    """Steps, passes and steps between looks, as in `lab.Recipe`; what is None by default.

    Args:
        real: whether all models are checkpoints of transformers.
        steps, passes, every: as they were asked for. Steps given alone are the most there are.
    """
    if passes is None:
        passes = (PASSES if steps is None else 0) if real else 2
    if steps is None:
        steps = FEWEST_STEPS if real else 1000
    if every is None:
        every = EVERY if real else 50
    return steps, passes, every


def check_method(method: str) -> None:
    """Refuse a method that there is none of.

    Raises:
        UsageError: it is none of `Method`.
    """
    if method not in get_args(Method):
        known = ", ".join(get_args(Method))
        raise UsageError(f"no method is called '{method}'; there are: {known}")


def middle_of(models: Sequence[Model]) -> Model:
    """The checkpoint in the middle by width, at its last step."""
    widths = sorted({model.width for model in models})
    width = widths[(len(widths) - 1) // 2]
    return max((m for m in models if m.width == width), key=lambda m: (m.step or 0, m.name))
