"""Notes: what a reader of a result has to know before believing it, as data.

`NOTES` is the one list of note codes, with what each means and what to do about it;
docs/reference/notes.md is made from it. `Outcome` is what every result answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

Severity = Literal["info", "warning", "serious"]


class NoteKind(NamedTuple):
    """One code of the list: where it is raised, what it means, what to do.

    `plain` says what it means to somebody who decides and knows no statistics, where `meaning`
    does not.
    """

    room: str
    meaning: str
    remedy: str
    plain: str = ""


@dataclass(frozen=True)
class Note:
    """Something a reader of a result has to know, as data.

    Attributes:
        code: what kind, stable between versions ("influential-points", "condition" ...); `NOTES`
            lists them.
        severity: "info", "warning" (read it before you use the result) or "serious" (do not).
        message: one sentence.
        details: the figures behind it.
    """

    code: str
    severity: Severity
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def remedy(self) -> str:
        """What to do about it; empty for a code that is not in the list."""
        return NOTES[self.code].remedy if self.code in NOTES else ""


@runtime_checkable
class Outcome(Protocol):
    """What every result answers: how it ended, what to do, whether to use it, what to know."""

    @property
    def status(self) -> str:
        """How it ended, in a few words."""
        ...

    @property
    def remedy(self) -> str:
        """What to do about the status; empty where nothing is wrong."""
        ...

    @property
    def usable(self) -> bool:
        """Whether its numbers mean something."""
        ...

    @property
    def notes(self) -> Sequence[Note]:
        """What a reader has to know."""
        ...


NOTES: Mapping[str, NoteKind] = {
    # Fitting
    "parameter-at-bound": NoteKind(
        "fitting",
        "A parameter ended at its bound, so its interval is one-sided.",
        "Use a law without that parameter, or measure more scales.",
        "The data ask for more than the law can give: the interval is open on one side.",
    ),
    "condition": NoteKind(
        "fitting",
        "The data hardly tell the parameters apart.",
        "Trust the predictions inside the data, not the single parameters; add other scales.",
        "The law is known inside the data; beyond them its parameters leave much open.",
    ),
    "starts-disagree": NoteKind(
        "fitting",
        "Only one of the starts reached the best objective.",
        "Fit again with another seed, or use a law with fewer parameters.",
        "The fit may not be the best one: another search could end elsewhere.",
    ),
    "influential-points": NoteKind(
        "fitting",
        "Some rows lie far off the law and move the answer.",
        "Check these rows; fit without them and compare.",
        "A few runs decide the answer: check them first.",
    ),
    "leave-one-out": NoteKind(
        "fitting",
        "How far the answer moves when the most influential row is left out.",
        "If it moves further than the interval, measure near that row again.",
    ),
    "chains-disagree": NoteKind(
        "fitting",
        "The chains of a posterior have not mixed.",
        "Draw more samples, or use Laplace or bootstrap intervals.",
        "The interval was not computed to the end: it may be wrong.",
    ),
    "cut-distribution": NoteKind(
        "data",
        "Some rows were sampled from a part of the model's distribution only.",
        "Measure them again with top-k, top-p and min-p switched off (docs/backends.md).",
    ),
    "not-identifiable": NoteKind(
        "fitting",
        "The runs do not determine the law: at these very runs its interval is wider than the "
        "range of all their outcomes, or directions of its parameters are not held at all.",
        "Add runs at other scales, or use a law with fewer parameters.",
    ),
    "few-training-runs": NoteKind(
        "fitting",
        "There are too few training runs to tell how far they stray from each other.",
        "Add runs (sizes or seeds); check that `model`, `seed` or `run` tell your runs apart.",
    ),
    "inputs-move-together": NoteKind(
        "fitting",
        "Two inputs keep one ratio in all runs, so that their terms cannot be told apart.",
        "Use a law of one of them, or add runs at another ratio.",
        "Size and data grew in step in all runs: what each is worth cannot be told.",
    ),
    "resamples": NoteKind(
        "fitting",
        "Many bootstrap resamples could not be fitted; the intervals are too narrow.",
        "Add runs, or use a law with fewer parameters.",
        "The interval is too narrow: much of its computation failed.",
    ),
    # Pass rates
    "far": NoteKind(
        "forecast",
        "The forecast lies far beyond the data.",
        "Measure a larger model before you rely on it.",
    ),
    "short-curve": NoteKind(
        "forecast",
        "A curve has so few points that its weights and interval rest on few cuts.",
        "Log more often, or wait for more of the run.",
    ),
    "release-from-prior": NoteKind(
        "forecast",
        "How much loss the decay of the learning rate will release comes from other runs.",
        "Decay a short branch of the run, and forecast again.",
    ),
    "noise-between-models": NoteKind(
        "forecast",
        "How far single models stray from the trend, sampling noise aside.",
        "Average several seeds per size to narrow the forecast.",
    ),
    "ceiling": NoteKind(
        "forecast",
        "The rate seems to level off below 1.",
        "Do not extend a straight line; measure the largest models more precisely.",
    ),
    "never-passed": NoteKind(
        "forecast",
        "Some instances never passed in any model.",
        "Sample longer, or report them apart.",
    ),
    "growth-class": NoteKind(
        "forecast",
        "The pass rate does not grow along a straight line.",
        "Use the curved law, and look less far ahead.",
        "Growth bends, so that a forecast far ahead is less sure than near by.",
    ),
    # Emergence
    "few-amounts": NoteKind(
        "forecast",
        "There are too few finetuning amounts to see how the point moves.",
        "Finetune on at least three amounts.",
        "Too few amounts of finetuning were tried to see which way it goes.",
    ),
    "at-chance": NoteKind(
        "forecast",
        "No finetuned score is above chance.",
        "Finetune on more data, or start from stronger checkpoints.",
    ),
    "no-elbow": NoteKind(
        "forecast",
        "No amount of finetuning is still at chance with the weaker checkpoints.",
        "Add weaker checkpoints or smaller amounts.",
        "All models were finetuned so much that none is still guessing.",
    ),
    "one-subset": NoteKind(
        "forecast",
        "Each amount was drawn once, so the spread between subsets comes from the prior.",
        "Finetune on a second subset of each amount.",
        "Luck in the choice of finetuning examples is assumed, not measured.",
    ),
    "few-checkpoints": NoteKind(
        "forecast",
        "There are few checkpoints, so an elbow is hard to see.",
        "Add checkpoints around the elbow.",
    ),
    "no-few-shot": NoteKind(
        "forecast",
        "There are no few-shot scores.",
        "Measure the checkpoints few-shot as well: scores at chance carry information.",
    ),
    "few-shot-late": NoteKind(
        "forecast",
        "Few-shot scores are lower than finetuned models imply; the prompt's format may be hard.",
        "Expect few-shot emergence later than forecast.",
    ),
    "shared-leap": NoteKind(
        "forecast",
        "Several tasks leave chance between the same two checkpoints.",
        "Look for a shared cause, such as the format of the prompt, before you trust one task.",
    ),
    "few-shot-misfit": NoteKind(
        "forecast",
        "Few-shot scores contradict the law.",
        "Do not use the forecast.",
    ),
    "few-draws": NoteKind(
        "forecast",
        "The importance draws of a law are worth few independent ones.",
        'Use uncertainty="nuts".',
        "The interval rests on few computed cases: its ends are rough.",
    ),
    "relu-misfit": NoteKind(
        "forecast",
        "One straight slope past the elbow does not fit.",
        "Read the average over laws, or ask for a stated distance above chance.",
        "Scores do not rise in a straight line once they leave chance: where it emerges "
        "depends on the law.",
    ),
    "low-data": NoteKind(
        "forecast",
        "How many examples stand for no finetuning matters for the answer.",
        "Finetune on smaller amounts.",
        "The answer depends on how little finetuning counts as none.",
    ),
    "by-size": NoteKind(
        "forecast",
        "The shape, or the score at equal loss, differs with model size.",
        "Read each size apart.",
    ),
    "ahead": NoteKind(
        "forecast",
        "How far the point lies beyond the best checkpoint.",
        "Train a checkpoint closer to it.",
    ),
    "vague": NoteKind(
        "forecast",
        "The data leave the point almost unknown.",
        "Add checkpoints and amounts near the elbow.",
    ),
    "straight-rise": NoteKind(
        "forecast",
        "A straight rise past the elbow cannot say where scores stand so far above chance.",
        "Ask for the elbow, or fit the moved curve.",
    ),
    "premise-unclear": NoteKind(
        "forecast",
        "The checkpoints cannot say whether scores depend on the loss or on the size.",
        "Add checkpoints along training, so that sizes differ at equal loss.",
        "It is not shown that loss alone decides this ability; size may matter too.",
    ),
    "families-late": NoteKind(
        "forecast",
        "Intervals from models of several families on FLOPs that do not hold are late.",
        "Do not take the lower end for a bound; compare models of one family.",
        "Where such forecasts from models of several makers failed, the ability came earlier.",
    ),
    "shift-from-prior": NoteKind(
        "forecast",
        "How far finetuning moves the curve is mostly assumed, not seen.",
        "Add smaller amounts, or tasks of the same ladder whose few-shot scores have risen.",
        "How much finetuning brings the ability forward is mostly assumed.",
    ),
    "shift-taught": NoteKind(
        "forecast",
        "How far finetuning moves the curve is taken from other tasks under the same recipe.",
        "Check that those tasks were finetuned in the same way.",
    ),
    # Trends
    "turn-at-edge": NoteKind(
        "forecast",
        "The turning point reaches the edge of the data and may lie beyond.",
        "Train further before you call it a turn.",
    ),
    "few-runs": NoteKind(
        "forecast",
        "The p value rests on few runs.",
        "Add seeds or sizes.",
    ),
    "restless": NoteKind(
        "forecast",
        "Checkpoints scatter more than sampling explains.",
        "Average neighbouring checkpoints.",
    ),
    "unsure-direction": NoteKind(
        "forecast",
        "Whether the score rises or falls is not settled.",
        "Add checkpoints or instances.",
    ),
    "chance-unknown": NoteKind(
        "forecast",
        "The table does not give the score of a guesser.",
        "Fill the column `chance`.",
    ),
    "level-before": NoteKind(
        "forecast",
        "Where the score stood before the leap, beside chance.",
        "Nothing; it says what the leap starts from.",
    ),
    "against-the-rest": NoteKind(
        "forecast",
        "The task moves against the mean of the others.",
        "Look at this task first.",
    ),
    # Questions
    "no-optimum": NoteKind(
        "forecast",
        "Some draws of the fit, or resamples of the runs, have no optimum.",
        "Add runs on both sides of the optimum.",
    ),
    "parabola-bias": NoteKind(
        "forecast",
        "Parabolas through runs of equal compute are biased where sizes lie unevenly.",
        "Fit a law of params and tokens to the same runs and ask it.",
    ),
    "no-match": NoteKind(
        "forecast",
        "One series never reaches what the other does, by its law.",
        "Compare at a smaller scale, or measure the worse series at a larger one.",
    ),
    "untried-mixture": NoteKind(
        "forecast",
        "The best mixture lies away from those that were tried.",
        "Train it small before you train it large.",
    ),
    "one-size": NoteKind(
        "forecast",
        "All runs have one size, so that nothing says how the order carries over to a larger one.",
        "Train some of the mixtures at a second size.",
    ),
    "never-repeated": NoteKind(
        "forecast",
        "No run repeated its data as often as the answer asks for.",
        "Train a small model for that many epochs.",
    ),
    "undefined-size": NoteKind(
        "forecast",
        "No size of the reference family has the score of a task.",
        "Take a family whose larger models score higher.",
    ),
    "yardstick": NoteKind(
        "forecast",
        "The effective size depends on the reference family.",
        "Quote the size with its reference, and the spread over references.",
    ),
    "no-effect": NoteKind(
        "forecast",
        "No law forecasts better than the mean of the runs.",
        "Add runs whose mixtures differ more.",
    ),
    # Page
    "dependent": NoteKind(
        "report",
        "Backtest forecasts of one model from several cuts are not independent.",
        "Read the coverage as a rough figure.",
    ),
    "few": NoteKind(
        "report",
        "A handful of forecasts says little about how often intervals hold.",
        "Backtest on more scales.",
    ),
    "not-better-than-constant": NoteKind(
        "forecast",
        "No law forecast the table's larger runs better than their mean did, beyond chance.",
        "Add runs at more scales, or name the law that theory gives: fit --law.",
    ),
    "too-few-rows": NoteKind(
        "forecast",
        "Some laws have too many parameters for a part of the table, and were left out.",
        "Add runs, or name the law.",
    ),
    "unfinished": NoteKind(
        "report",
        "The study is not finished; the page will change.",
        "Run the study to its end.",
    ),
    "status": NoteKind("report", "How an analysis ended.", "See the status."),
    "how": NoteKind("report", "How a forecast was made.", "Nothing."),
    "note": NoteKind("report", "A remark on a figure.", "Nothing."),
}
"""Every code that a result may carry. `tests/test_notes.py` keeps it complete."""
