"""The observation table: everything measured is a row of one long table, with these columns.

All are optional but what a law or an analysis asks for. Unknown columns ride along. Missing is
null, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "whole"]
Rule = Literal["any", "positive", "not negative", "share", "not positive"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: what it is called.
        kind: text, number (float64) or whole (int64; 3.0 is accepted, 3.5 is not).
        rule: which numbers make sense.
        meaning: what it holds, with its unit.
    """

    name: str
    kind: Kind
    rule: Rule
    meaning: str

    @property
    def expected(self) -> str:
        """What a value has to be, in words."""
        return {
            "any": "a finite number",
            "positive": "a positive finite number",
            "not negative": "a number of at least 0",
            "share": "a number from 0 up to, but not including, 1",
            "not positive": "a number of at most 0",
        }[self.rule]


COLUMNS: tuple[Column, ...] = (
    Column("model", "text", "any", "which run"),
    Column("family", "text", "any", "which series of comparable runs"),
    Column("run", "text", "any", "which training run, where model and seed do not say it"),
    Column("step", "whole", "not negative", "optimiser step of the checkpoint"),
    Column("seed", "whole", "not negative", "seed of the run"),
    Column("params", "number", "positive", "non-embedding parameters N"),
    Column("params_total", "number", "positive", "all parameters, embeddings included"),
    Column("params_kind", "text", "any", "another convention of counting params, if any"),
    Column("tokens", "number", "not negative", "pretraining tokens seen D"),
    Column("flops", "number", "not negative", "training compute C; 6 N D where it is missing"),
    Column("loss", "number", "positive", "pretraining validation loss, nats per token"),
    Column("loss_set", "text", "any", "what the loss was measured on"),
    Column("finetune_examples", "whole", "not negative", "finetuning examples; 0 is none"),
    Column("finetune_task", "text", "any", "task finetuned on"),
    Column("subset", "text", "any", "which random subset of the finetuning data"),
    Column("shots", "whole", "not negative", "examples in the prompt"),
    Column("task", "text", "any", "what was evaluated"),
    Column("metric", "text", "any", "accuracy, pass, bpb, loss ..."),
    Column("instance", "text", "any", "instance, for rows of single instances"),
    Column("value", "number", "any", "the score"),
    Column("stderr", "number", "not negative", "standard error of the score"),
    Column("n", "number", "positive", "instances behind the score"),
    Column("passes", "number", "not negative", "samples that passed"),
    Column("samples", "number", "positive", "samples drawn"),
    Column("stop_passes", "number", "positive", "passes at which sampling stopped (r)"),
    Column("logprob", "number", "not positive", "exact log-probability of passing, nats"),
    Column("method", "text", "any", "how a pass rate was found: exact, tree ..."),
    Column("temperature", "number", "not negative", "temperature of the sampling; 0 is greedy"),
    Column("chance", "number", "share", "score of a guesser"),
)

BY_NAME = {column.name: column for column in COLUMNS}

# What tells two rows apart. Two rows that agree in all of these are one measurement written twice.
KEY = (
    "model",
    "family",
    "run",
    "params",
    "step",
    "tokens",
    "seed",
    "finetune_examples",
    "finetune_task",
    "subset",
    "shots",
    "task",
    "metric",
    "instance",
    "loss_set",
    "method",
    "temperature",
)
