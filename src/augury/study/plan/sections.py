"""The sections of a study file: their keys, and what they mean.

Descriptions go into the JSON schema, which editors show. Rules between sections are checked in
`file_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from augury.evaluate.kept_samples import KEEP
from augury.evaluate.models import options_of
from augury.study.plan.value_types import (
    CheckerName,
    Count,
    Escaped,
    Extract,
    File,
    LabTaskName,
    LawName,
    ModelName,
    Name,
    Positive,
    Question,
    Seeds,
    Sql,
    TaskName,
    all_different,
)

# Names of the lab's tasks are checked against the lab; steps are trained in blocks of this many.
STEPS = 50
# Keys of a checkpoint that describe its prompting.
ASKING = ("chat", "system", "chat_prompt", "extra")
# Names that an expression for held-out models may use.
KNOWN_COLUMNS = (
    "model", "family", "params", "tokens", "flops", "loss", "step", "seed", "width",
)  # fmt: skip


class StudySection(BaseModel):
    """A table of the file: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class LabSection(StudySection):
    """A ladder of tiny models that the study trains itself."""

    widths: Annotated[
        list[Annotated[int, Field(ge=2, multiple_of=2)]],
        Field(min_length=1),
        AfterValidator(all_different),
    ] = Field(description="Widths of the models, including the held-out ones.")
    steps: Annotated[int, Field(ge=STEPS, multiple_of=STEPS)] = Field(
        default=500, description=f"Training steps of every model, a multiple of {STEPS}."
    )
    checkpoints: list[Annotated[int, Field(ge=STEPS, multiple_of=STEPS)]] = Field(
        default=[], description="Steps to measure besides the last one."
    )
    seeds: Seeds = Field(default=[0], description="Number of seeds, or a list: 2, or [0, 7].")
    shares: dict[LabTaskName, Annotated[float, Field(ge=0, le=1)]] = Field(
        default={"rule": 0.6},
        description="Share of each task in the training text; the rest is filler.",
    )
    family: Name = Field(default="lab", description="Name of the series.")

    @model_validator(mode="after")
    def _together(self) -> LabSection:
        if sum(self.shares.values()) > 1 + 1e-9:
            raise ValueError(f"shares sum to {sum(self.shares.values()):g}; at most 1 is possible")
        late = [step for step in self.checkpoints if step > self.steps]
        if late:
            raise ValueError(f"checkpoint {late[0]} comes after the last step, {self.steps}")
        return self


class CheckpointEntry(StudySection):
    """An existing model."""

    model: ModelName = Field(
        description="lab:DIR, hf:PATH, hf:ID@REVISION, vllm:PATH, http:URL#MODEL or "
        "inspect:PROVIDER/MODEL."
    )
    name: Name | None = Field(default=None, description="Its name in the study.")
    family: str | None = Field(default=None, description="Series of comparable models.")
    params: Positive | None = Field(default=None, description="Non-embedding parameters N.")
    tokens: Positive | None = Field(default=None, description="Pretraining tokens seen, D.")
    loss: Positive | None = Field(default=None, description="Validation loss, nats per token.")
    step: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Training step.")
    seed: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Seed of its training.",
    )
    chat: bool = Field(default=False, description="Use its chat template.")
    system: Escaped | None = Field(default=None, description="With chat: the system prompt.")
    chat_prompt: Escaped | None = Field(
        default=None, description="With chat: the user's message, containing {prompt}."
    )
    extra: dict[str, Any] = Field(
        default={}, description="http: models: further fields of every request, such as top_k."
    )

    @model_validator(mode="after")
    def _asked(self) -> CheckpointEntry:
        scheme = self.model.partition(":")[0]
        if not self.chat and (self.system is not None or self.chat_prompt is not None):
            raise ValueError("system and chat_prompt are for a model with chat = true")
        for key, asked in (("chat", self.chat), ("extra", bool(self.extra))):
            if asked and key not in options_of(scheme):
                raise ValueError(f"{scheme}: models take no {key}")
        if scheme == "inspect" and not self.chat:
            raise ValueError("inspect: models are used as a chat: chat = true")
        return self

    @property
    def asking(self) -> dict[str, Any]:
        """Return how it is prompted, if not plainly."""
        return self.model_dump(include=set(ASKING), exclude_defaults=True)


class TableEntry(StudySection):
    """Existing scores."""

    path: File = Field(description="CSV, TSV, Parquet or JSON lines, from the study file's folder.")
    columns: dict[str, str] = Field(
        default={},
        description='Our columns from theirs: params = "Size".',
    )
    where: Sql | None = Field(default=None, description="Rows to keep, SQL.")


class TaskEntry(StudySection):
    """What is measured: a task by name, or a file of instances with a checker."""

    name: TaskName | None = Field(
        default=None, description="A task of the lab, or lm-eval:NAME (extra lm-eval)."
    )
    file: File | None = Field(default=None, description="JSON lines: id, prompt, reference(s).")
    checker: CheckerName | None = Field(
        default=None,
        description="exact, any-of, prefix, regex, numeric:TOL, last-number, unit-tests ...",
    )
    tokens: Count = Field(default=256, description="Tokens to sample, for tasks from a file.")
    stop: list[Escaped] = Field(
        default=[], description=r"A sample ends before the first of these; \n is a newline."
    )
    extract: Extract | None = Field(
        default=None, description="Judge a part of an answer: fence, last-line or a pattern."
    )
    chance: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="Score of random guessing.",
    )
    instances: Count = Field(default=256, description="Instances, for tasks by name.")
    question: Question | None = Field(
        default=None, description="Question for this task; by default the study's question."
    )

    @model_validator(mode="after")
    def _one(self) -> TaskEntry:
        if (self.name is None) == (self.file is None):
            raise ValueError("give one of name (lab task or lm-eval:NAME) and file (JSON lines)")
        if self.extract is not None and self.file is None:
            raise ValueError("extract is for a task from a file: others have their own checker")
        if self.is_lab and self.checker not in (None, "prefix"):
            raise ValueError(f"the lab's tasks have the checker prefix, not '{self.checker}'")
        if self.name is not None and not self.is_lab and self.checker not in (None, "choice"):
            raise ValueError(
                'tasks of lm-eval have their own checker; say checker = "choice" for multiple '
                f"choice, not '{self.checker}'"
            )
        return self

    @property
    def is_lab(self) -> bool:
        """Whether it is a task of the lab."""
        return self.name is not None and ":" not in self.name

    @property
    def called(self) -> str:
        """Its name in tables."""
        if self.name is not None:
            return self.name.rpartition(":")[2]
        return Path(self.file or "").stem


class MeasureSection(StudySection):
    """How pass rates are measured."""

    method: Literal["exact", "tree", "independent"] | None = Field(
        default=None, description="Default: the cheapest that model and checker allow."
    )
    r: Count | None = Field(default=None, description="Passes after which an instance ends (2).")
    max_samples: Count = Field(default=100_000, description="Maximum samples per instance.")
    temperature: Positive = Field(default=1.0, description="Temperature of the sampling.")
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="Seed of the sampling.")
    keep: Annotated[int, Field(ge=0)] = Field(
        default=KEEP, description="Passes and failures per instance that are kept to be read."
    )
    gpus: Annotated[float, Field(ge=0)] = Field(
        default=0, description="GPUs that measuring one model takes, for --engine ray."
    )

    @property
    def deciding(self) -> dict[str, Any]:
        """Return what affects a measurement; keeping the default number of samples is left out."""
        told = self.model_dump(exclude={"gpus"})
        if self.keep == KEEP:
            del told["keep"]
        return told


class FinetuneSection(StudySection):
    """Finetuning amounts, for tasks whose emergence is forecast."""

    amounts: Annotated[list[Count], Field(min_length=1), AfterValidator(all_different)] = Field(
        description="Numbers of finetuning examples; halving from one to the next works well."
    )
    subsets: Count = Field(default=2, description="Random subsets of each amount.")
    seeds: Count = Field(default=1, description="Runs on each subset.")
    method: Literal["full", "lora", "head"] = Field(
        default="full",
        description="LoRA: transformers only; head: the output embedding alone.",
    )
    learning_rate: Positive | None = Field(
        default=None, description="Peak rate at the middle width; by default it is searched for."
    )
    steps: Count = Field(default=250, description="Maximum steps.")
    batch: Count | None = Field(default=None, description="Examples per step (16).")
    passes: Count | None = Field(
        default=None, description="Passes over the examples that are always allowed (2)."
    )
    every: Count | None = Field(
        default=None, description="Steps between evaluations of the held-out loss (50)."
    )
    patience: Count | None = Field(
        default=None, description="Evaluations without improvement after which it ends (4)."
    )
    checkpoints: Annotated[list[Count], AfterValidator(all_different)] = Field(
        default=[], description="Steps of the lab's models to finetune; by default all measured."
    )
    instances: Count = Field(default=256, description="Instances to score on.")
    gpus: Annotated[float, Field(ge=0)] = Field(
        default=0,
        description="GPUs that one finetuning takes, for --engine ray or slurm.",
    )


class ForecastSection(StudySection):
    """Laws to try, and how to report the result."""

    laws: Annotated[list[LawName], Field(min_length=1), AfterValidator(all_different)] = Field(
        default=["pass-rate"],
        description="Laws or chains (`augury laws`), weighted by their backtest.",
    )
    by: str = Field(default="params", description="Scale of the backtest's expanding window.")
    level: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.9,
        description="Level of the intervals.",
    )
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="Random seed.")
    loss_law: LawName | None = Field(
        default=None,
        description="Law of the loss, for emergence in parameters and tokens: chinchilla.",
    )


class TargetSection(StudySection):
    """What the forecast is for."""

    params: Positive | None = Field(default=None, description="Parameters N.")
    tokens: Positive | None = Field(default=None, description="Pretraining tokens D.")
    flops: Positive | None = Field(default=None, description="Training compute C = 6 N D.")

    @model_validator(mode="after")
    def _enough(self) -> TargetSection:
        given = [n for n in ("params", "tokens", "flops") if getattr(self, n) is not None]
        if not given:
            raise ValueError("give params, tokens or flops")
        if len(given) == 3:
            raise ValueError("give two of params, tokens and flops: the third follows (C = 6 N D)")
        return self


class HeldOutSection(StudySection):
    """Models that no forecast may use, measured after it is recorded."""

    widths: Annotated[list[int], AfterValidator(all_different)] = Field(
        default=[], description="Widths of the lab's ladder."
    )
    where: Sql | None = Field(default=None, description='SQL over the models: "params >= 1e9".')

    @model_validator(mode="after")
    def _some(self) -> HeldOutSection:
        if not self.widths and self.where is None:
            raise ValueError("give widths or where")
        return self


class BudgetSection(StudySection):
    """What the study may cost; `augury run` does not start one that is planned to cost more."""

    flops: Positive | None = Field(default=None, description="Floating-point operations.")
    tokens: Positive | None = Field(
        default=None,
        description="Tokens trained on, scored and sampled.",
    )
    hours: Positive | None = Field(default=None, description="Estimated hours from start to end.")


class RunSection(StudySection):
    """How it runs; none of this changes a result."""

    workers: Count | None = Field(default=None, description="Processes; default: one per core.")
    retries: Annotated[int, Field(ge=0)] = Field(
        default=1, description="How often a failed unit is retried."
    )


SECTIONS: Mapping[str, type[StudySection]] = {
    "lab": LabSection,
    "checkpoints": CheckpointEntry,
    "tables": TableEntry,
    "tasks": TaskEntry,
    "measure": MeasureSection,
    "finetune": FinetuneSection,
    "forecast": ForecastSection,
    "target": TargetSection,
    "held_out": HeldOutSection,
    "budget": BudgetSection,
    "run": RunSection,
}
