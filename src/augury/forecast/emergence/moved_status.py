"""How a fit of the moved curve ended, and what to do about it."""

from __future__ import annotations

from enum import StrEnum


class MovedStatus(StrEnum):
    """How a fit of the moved curve ended."""

    ANSWERED = "answered"
    PREMISE = "scores depend on size or amount, not on loss"
    UNCLEAR = "the checkpoints cannot say whether scores depend on the loss"
    UNTAUGHT = "the shift by finetuning rests on its prior"
    VAGUE = "the data cannot say"
    TOO_FEW_AMOUNTS = "fewer than three finetuning amounts"
    AT_CHANCE = "everything is at chance"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _REMEDIES[self]


_REMEDIES = {
    MovedStatus.ANSWERED: "",
    MovedStatus.PREMISE: (
        "Finetuning teaches the task here instead of showing what pretraining has left: do not "
        "use the forecast. Forecast from the few-shot scores alone, measured finely (PassUntil)."
    ),
    MovedStatus.UNCLEAR: (
        "The loss explains too little of the scores. Add checkpoints along training to separate "
        "size from loss, or add instances or subsets."
    ),
    MovedStatus.UNTAUGHT: (
        "The amounts say little about how far finetuning moves the curve. Add smaller amounts, or "
        "tasks of the same ladder whose few-shot scores have risen."
    ),
    MovedStatus.VAGUE: (
        "The interval is wider than the range of the checkpoints: add smaller amounts or better "
        "checkpoints."
    ),
    MovedStatus.TOO_FEW_AMOUNTS: (
        "Too few amounts show how the curve moves with data: finetune on at least three."
    ),
    MovedStatus.AT_CHANCE: (
        "No score is above chance: finetune on more examples, use better checkpoints, or measure "
        "more finely (PassUntil, log-probabilities)."
    ),
}
