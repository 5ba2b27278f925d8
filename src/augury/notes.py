"""Notes: what to know before trusting a result, as data.

`NOTES` is the one list of note codes, with the meaning and remedy of each; docs/reference/notes.md
is built from it. `Outcome` is what every result provides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

Severity = Literal["info", "warning", "serious"]


class NoteKind(NamedTuple):
    """One code of the list: where it is raised, what it means, what to do.

    `plain` states the meaning for decision makers without statistics, if `meaning` does not.
    """

    room: str
    meaning: str
    remedy: str
    plain: str = ""


@dataclass(frozen=True)
class Note:
    """Something to know about a result, as data.

    Attributes:
        code: the kind, stable between versions ("influential-points", "condition" ...); `NOTES`
            lists them.
        severity: "info", "warning" (read it before you use the result) or "serious" (do not).
        message: one sentence.
        details: the numbers behind it.
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
    """What every result provides: how it ended, what to do, whether to use it, what to know."""

    @property
    def status(self) -> str:
        """How it ended, in a few words."""
        ...

    @property
    def remedy(self) -> str:
        """What to do about the status; empty if nothing is wrong."""
        ...

    @property
    def usable(self) -> bool:
        """Whether its numbers are meaningful."""
        ...

    @property
    def notes(self) -> Sequence[Note]:
        """Warnings and remarks for the reader."""
        ...


NOTES: Mapping[str, NoteKind] = {
    # Fitting
    "parameter-at-bound": NoteKind(
        "fitting",
        "A parameter ended at its bound, so its interval is one-sided.",
        "Use a law without that parameter, or measure more scales.",
        "The best value of a parameter lies beyond its bound: the interval is open on one side.",
    ),
    "condition": NoteKind(
        "fitting",
        "The data can hardly tell the parameters apart.",
        "Trust the predictions inside the data, not single parameters; add other scales.",
        "The law is known inside the data; beyond them its parameters are uncertain.",
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
        "The computation of the interval did not converge: it may be wrong.",
    ),
    "cut-distribution": NoteKind(
        "data",
        "Some rows were sampled from only a part of the model's distribution.",
        "Measure them again with top-k, top-p and min-p switched off (docs/backends.md).",
    ),
    "not-identifiable": NoteKind(
        "fitting",
        "The runs do not determine the law: at these very runs its interval is wider than the "
        "range of all their outcomes, or some directions of its parameters are not constrained "
        "at all.",
        "Add runs at other scales, or use a law with fewer parameters.",
    ),
    "few-training-runs": NoteKind(
        "fitting",
        "There are too few training runs to tell how much they differ from each other.",
        "Add runs (sizes or seeds); check that `model`, `seed` or `run` distinguish your runs.",
    ),
    "inputs-move-together": NoteKind(
        "fitting",
        "Two inputs have a fixed ratio in all runs, so their terms cannot be told apart.",
        "Use a law of one of them, or add runs at another ratio.",
        "Size and data grew in step in all runs: their effects cannot be separated.",
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
    "scores-at-chance": NoteKind(
        "forecast",
        "No score of a task is clearly above guessing: such scores cannot show an ability coming, "
        "and the interval does not allow for one.",
        "Measure pass rates (`augury passuntil`), or finetune (`augury emergence`).",
    ),
    "short-curve": NoteKind(
        "forecast",
        "A curve has so few points that its weights and interval come from few cuts.",
        "Log more often, or wait for more of the run.",
    ),
    "release-from-prior": NoteKind(
        "forecast",
        "The loss that the decay of the learning rate will release is estimated from other runs.",
        "Decay a short branch of the run, and forecast again.",
    ),
    "not-blended": NoteKind(
        "forecast",
        "The fit to other runs gives no interval, so a run's forecast comes from the run alone.",
        "Fit a law with fewer parameters to the other runs, or add runs.",
    ),
    "noise-between-models": NoteKind(
        "forecast",
        "How far single models lie from the trend, apart from sampling noise.",
        "Average several seeds per size to narrow the forecast.",
    ),
    "one-wording": NoteKind(
        "forecast",
        "The benchmark was asked in one wording: the interval does not include the spread between "
        "wordings.",
        "Ask some models in other wordings too, and name them in the column `prompt`.",
    ),
    "wordings-left-out": NoteKind(
        "forecast",
        "Some wordings were not asked of every model: the forecast is made without them.",
        "Ask every model in them, or leave out the models that lack them with --where.",
    ),
    "wordings-apart": NoteKind(
        "forecast",
        "No model was asked in more than one wording: the spread of wordings counts as spread "
        "between models.",
        "Ask the same models in several wordings.",
    ),
    "ceiling": NoteKind(
        "forecast",
        "The rate seems to level off below 1.",
        "Do not extend a straight line; measure the largest models more precisely.",
    ),
    "never-passed": NoteKind(
        "forecast",
        "Some instances never passed in any model.",
        "Sample longer, or report them separately.",
    ),
    "growth-class": NoteKind(
        "forecast",
        "The pass rate does not grow along a straight line.",
        "Use the curved law, and forecast less far ahead.",
        "Growth bends, so a forecast far ahead is less certain than one nearby.",
    ),
    # Emergence
    "few-amounts": NoteKind(
        "forecast",
        "There are too few finetuning amounts to see how the point moves.",
        "Finetune on at least three amounts.",
        "Too few amounts of finetuning were tried to see the trend.",
    ),
    "at-chance": NoteKind(
        "forecast",
        "No finetuned score is above chance.",
        "Finetune on more data, or start from stronger checkpoints.",
    ),
    "no-elbow": NoteKind(
        "forecast",
        "No amount of finetuning leaves the weaker checkpoints at chance.",
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
        "The importance draws of a law are worth few independent draws.",
        'Use uncertainty="nuts".',
        "The interval was computed from few cases: its ends are rough.",
    ),
    "relu-misfit": NoteKind(
        "forecast",
        "One straight slope past the elbow does not fit.",
        "Use the average over laws, or ask for a stated distance above chance.",
        "Scores do not rise in a straight line once they leave chance: the point of emergence "
        "depends on the law.",
    ),
    "low-data": NoteKind(
        "forecast",
        "The answer depends on how many examples count as no finetuning.",
        "Finetune on smaller amounts.",
        "The answer depends on how little finetuning counts as none.",
    ),
    "by-size": NoteKind(
        "forecast",
        "The shape, or the score at equal loss, differs with model size.",
        "Look at each size separately.",
    ),
    "ahead": NoteKind(
        "forecast",
        "How far the point lies beyond the best checkpoint.",
        "Train a checkpoint closer to it.",
    ),
    "vague": NoteKind(
        "forecast",
        "The data hardly determine the point.",
        "Add checkpoints and amounts near the elbow.",
    ),
    "straight-rise": NoteKind(
        "forecast",
        "A straight rise past the elbow cannot tell where scores are this far above chance.",
        "Ask for the elbow, or fit the moved curve.",
    ),
    "premise-unclear": NoteKind(
        "forecast",
        "The checkpoints cannot show whether scores depend on the loss or on the size.",
        "Add checkpoints along training, so that sizes differ at equal loss.",
        "It is not shown that this ability depends on loss alone; size may matter too.",
    ),
    "families-late": NoteKind(
        "forecast",
        "Intervals from models of several families on FLOPs, if they fail, are too late.",
        "Do not treat the lower end as a bound; compare models of one family.",
        "Where such forecasts from models of several makers failed, the ability appeared earlier.",
    ),
    "shift-from-prior": NoteKind(
        "forecast",
        "How far finetuning moves the curve is mostly assumed, not observed.",
        "Add smaller amounts, or tasks of the same ladder whose few-shot scores have risen.",
        "How much finetuning brings the ability forward is mostly assumed.",
    ),
    "shift-taught": NoteKind(
        "forecast",
        "How far finetuning moves the curve is taken from other tasks with the same recipe.",
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
        "The p value comes from few runs.",
        "Add seeds or sizes.",
    ),
    "restless": NoteKind(
        "forecast",
        "Checkpoints scatter more than sampling explains.",
        "Average neighbouring checkpoints.",
    ),
    "unsure-direction": NoteKind(
        "forecast",
        "It is not clear whether the score rises or falls.",
        "Add checkpoints or instances.",
    ),
    "chance-unknown": NoteKind(
        "forecast",
        "The table does not give the score of random guessing.",
        "Fill the column `chance`.",
    ),
    "level-before": NoteKind(
        "forecast",
        "The score before the leap, compared with chance.",
        "Nothing; it tells what the leap starts from.",
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
        "Parabolas through runs of equal compute are biased if sizes are spaced unevenly.",
        "Fit a law of params and tokens to the same runs and use it.",
    ),
    "no-match": NoteKind(
        "forecast",
        "By its law, one series never reaches the other's value.",
        "Compare at a smaller scale, or measure the worse series at a larger one.",
    ),
    "misfit-as-spread": NoteKind(
        "forecast",
        "No mixture was run twice: what the law misses counts as run-to-run spread.",
        "Train one mixture with several seeds, to see how far runs differ.",
    ),
    "untried-mixture": NoteKind(
        "forecast",
        "The best mixture is far from those that were tried.",
        "Train it small before you train it large.",
    ),
    "one-size": NoteKind(
        "forecast",
        "All runs have the same size, so nothing shows how the order carries over to a larger one.",
        "Train some of the mixtures at a second size.",
    ),
    "never-repeated": NoteKind(
        "forecast",
        "No run repeated its data as often as the answer requires.",
        "Train a small model for that many epochs.",
    ),
    "undefined-size": NoteKind(
        "forecast",
        "No size of the reference family reaches the score of a task.",
        "Use a family whose larger models score higher.",
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
        "Add runs at more scales, or name the law that theory suggests: fit --law.",
    ),
    "too-few-rows": NoteKind(
        "forecast",
        "Some laws have too many parameters for a part of the table, and were left out.",
        "Add runs, or name the law.",
    ),
    "unfinished": NoteKind(
        "report",
        "The study is not finished; the page will change.",
        "Run the study to completion.",
    ),
    "status": NoteKind("report", "How an analysis ended.", "See the status."),
    "how": NoteKind("report", "How a forecast was made.", "Nothing."),
    "note": NoteKind("report", "A remark on a figure.", "Nothing."),
}
"""Every code that a result may have. `tests/test_notes.py` keeps it complete."""
