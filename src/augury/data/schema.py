"""The observation table: one long table with one row per measurement, and these columns.

All are optional except those that a law or an analysis needs. Unknown columns are kept. Missing is
null, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "whole", "flag"]
Rule = Literal["any", "positive", "not negative", "share", "fraction", "not positive"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: of the column.
        kind: text, number (float64), whole (int64; 3.0 is accepted, 3.5 is not) or flag (true or
            false).
        rule: which numbers are allowed.
        meaning: what it holds, with its unit.
    """

    name: str
    kind: Kind
    rule: Rule
    meaning: str

    @property
    def expected(self) -> str:
        """What a value has to be, in words."""
        words = {"text": "text", "flag": "true or false"}.get(self.kind)
        return (
            words
            or {
                "any": "a finite number",
                "positive": "a positive finite number",
                "not negative": "a number of at least 0",
                "share": "a number from 0 up to, but not including, 1",
                "fraction": "a number from 0 to 1",
                "not positive": "a number of at most 0",
            }[self.rule]
        )


COLUMNS: tuple[Column, ...] = (
    Column("model", "text", "any", "which run"),
    Column("family", "text", "any", "which series of comparable runs"),
    Column("run", "text", "any", "which training run, if model and seed do not tell"),
    Column("step", "whole", "not negative", "optimiser step of the checkpoint"),
    Column("seed", "whole", "not negative", "seed of the run"),
    Column("params", "number", "positive", "non-embedding parameters N"),
    Column("params_total", "number", "positive", "all parameters, embeddings included"),
    Column("params_kind", "text", "any", "convention of counting params, if another"),
    Column("tokens", "number", "not negative", "pretraining tokens seen D"),
    Column("unique_tokens", "number", "not negative", "distinct tokens U, not counting repeats"),
    Column("flops", "number", "not negative", "training compute C; 6 N D where it is missing"),
    Column("loss", "number", "positive", "pretraining validation loss, nats per token"),
    Column("loss_set", "text", "any", "dataset of the loss"),
    Column("finetune_examples", "whole", "not negative", "finetuning examples; 0 for none"),
    Column("finetune_task", "text", "any", "task finetuned on"),
    Column("subset", "text", "any", "which random subset of the finetuning data"),
    Column("trained_params", "number", "positive", "parameters that were finetuned, if not all"),
    Column("shots", "whole", "not negative", "examples in the prompt"),
    Column("base_model", "text", "any", "base model of an adapter"),
    Column("adapter", "text", "any", "adapter on top of the base model"),
    Column("quantization", "text", "any", "quantization of the weights: 4bit, 8bit, gptq ..."),
    Column("chat_template", "text", "any", "chat template of the prompt (checksum), if any"),
    Column("system_prompt", "text", "any", "system prompt (checksum), if any"),
    Column("prompt", "text", "any", "which wording of the benchmark"),
    Column("variant", "text", "any", "other settings that distinguish this evaluation"),
    Column("task", "text", "any", "what was evaluated"),
    Column("task_version", "text", "any", "version of the task"),
    Column("metric", "text", "any", "accuracy, pass, bpb, loss ..."),
    Column("higher_is_better", "flag", "any", "direction of the metric, if known"),
    Column("instance", "text", "any", "instance id, for rows of single instances"),
    Column("value", "number", "any", "the score"),
    Column("stderr", "number", "not negative", "standard error of the score"),
    Column("n", "number", "positive", "instances behind the score"),
    Column("passes", "number", "not negative", "samples that passed"),
    Column("samples", "number", "positive", "samples drawn"),
    Column("stop_passes", "number", "positive", "passes at which sampling stopped (r)"),
    Column("logprob", "number", "not positive", "exact log-probability of passing, nats"),
    Column("reference_logprob", "number", "not positive", "log-probability of the reference, nats"),
    Column(
        "reference_rank", "number", "positive", "rank of the reference's tokens; 1 is the likeliest"
    ),
    Column(
        "choice_probability", "number", "fraction", ("probability of the correct option among all")
    ),
    Column("method", "text", "any", "how a pass rate was computed: exact, tree ..."),
    Column("temperature", "number", "not negative", "temperature of the sampling; 0 is greedy"),
    Column("chance", "number", "share", "score of random guessing"),
)

BY_NAME = {column.name: column for column in COLUMNS}
SHARE = "share_"  # share_NAME: the share of domain NAME in the training mixture


def column_of(name: str) -> Column | None:
    """Return the schema's column of a name; None for an unknown column."""
    if name.startswith(SHARE) and len(name) > len(SHARE):
        return Column(name, "number", "fraction", f"share of {name[len(SHARE) :]} in the mixture")
    return BY_NAME.get(name)


# Large amounts, where "70M" and "1.4B" are numbers.
AMOUNTS = ("params", "tokens", "unique_tokens", "flops", "step", "samples", "n", "passes",
           "finetune_examples")  # fmt: skip
# Between 0 and 1, where "45%" is a number.
SHARES = ("value", "stderr", "chance")

# The columns that distinguish rows. Two rows that agree in all of these are one measurement written
# twice.
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
    "trained_params",
    "shots",
    "adapter",
    "quantization",
    "chat_template",
    "system_prompt",
    "prompt",
    "variant",
    "task",
    "task_version",
    "metric",
    "instance",
    "loss_set",
    "method",
    "temperature",
)
