"""Everything the moved curve answers for a task: its point, the scale needed, a planned run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from augury.data.compute import training_flops
from augury.errors import UsageError
from augury.fitting import Fit, load_fit
from augury.forecast.emergence.follow import reaches
from augury.forecast.emergence.loss_ladder import loss_law_of
from augury.forecast.emergence.moved_data import moved_study
from augury.forecast.emergence.moved_fit import ABOVE, MovedFit, fit_moved
from augury.forecast.emergence.moved_status import MovedStatus
from augury.forecast.emergence.moved_tasks import fit_moved_tasks
from augury.forecast.emergence.reach import Reach, planned_losses


@dataclass(frozen=True)
class MovedAnswer:
    """The answer for one task.

    Attributes:
        task: its name; None if the table has a single unnamed task.
        fitted: the moved curve.
        distance: score above the base that counts as emerged.
        reach: the scale needed, "in_params" and "in_flops"; None where no loss law is known.
        probability_per_run: probability that one run of the planned model has the ability; None
            without a planned model, and where everything is at chance.
    """

    task: str | None
    fitted: MovedFit
    distance: float
    reach: Mapping[str, Reach | None]
    probability_per_run: float | None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        named = {} if self.task is None else {"task": self.task}
        far = {name: None if r is None else r.to_dict() for name, r in self.reach.items()}
        return {
            **named,
            **self.fitted.to_dict(self.distance),
            "probability_per_run": self.probability_per_run,
            **far,
        }

    def __str__(self) -> str:
        lines = [] if self.task is None else [f"{self.task}:"]
        lines.append(self.fitted.describe(self.distance))
        if self.probability_per_run is not None:
            lines.append(
                f"  A run of the planned model has the ability with probability "
                f"{self.probability_per_run:.0%}"
            )
        lines += [f"  {reach}" for reach in self.reach.values() if reach is not None]
        return "\n".join(lines)


def is_moved_default(table: pl.DataFrame) -> bool:
    """Whether the moved curve is the default: it needs few-shot rows (finetune_examples 0)."""
    return bool((table["finetune_examples"] == 0).any())


def answer_moved(
    table: pl.DataFrame,
    scale: Any = "loss",
    *,
    above: float | None = None,
    floor: float | None = None,
    loss_law: str | Path | None = None,
    few_shot_examples: int | None = None,
    params: float | None = None,
    tokens: float | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> list[MovedAnswer]:
    """Fit the moved curve to every task of a table, jointly if there are several.

    Args:
        table: as for `moved_study`; a column `task` tells tasks apart.
        scale: "loss" or "flops".
        above: score above the base that counts as emerged, .1 by default.
        floor: the lowest possible loss, if it is known.
        loss_law: folder of a saved fit in params and tokens.
        few_shot_examples: number of examples in the prompt of few-shot rows.
        params, tokens: size and tokens of a planned model.
        level: level of the intervals.
        seed: seed of all random numbers.

    Returns:
        One answer per task.

    Raises:
        DataError, UsageError: as `moved_study`. A planned model needs both numbers and, on the
            loss scale, a loss law.
    """
    distance = ABOVE if above is None else above
    if not distance > 0:
        raise UsageError(f"--above must be positive, not {distance}")
    known = load_fit(loss_law) if loss_law is not None else None
    names = table["task"].unique(maintain_order=True).to_list() if "task" in table.columns else []
    parts = {n: table.filter(pl.col("task") == n) for n in names} if len(names) > 1 else {}
    options: dict[str, Any] = {
        "loss_law": known, "floor": floor, "few_shot_examples": few_shot_examples
    }  # fmt: skip
    if parts:
        studies = {n: moved_study(part, scale, **options) for n, part in parts.items()}
        together = fit_moved_tasks(studies, level=level, seed=seed)
        fits: dict[str | None, MovedFit] = dict(together.items())
    else:
        fits = {None: fit_moved(moved_study(table, scale, **options), level=level, seed=seed)}
    answers = []
    for name, fitted in fits.items():
        own = table if name is None else parts[name]
        far = reaches(fitted, own, loss_law, tokens, definition="above", distance=distance)
        per_run = None
        if params is not None:
            per_run = _per_run(fitted, known or loss_law_of(own), distance, params, tokens)
        answers.append(MovedAnswer(name, fitted, distance, far, per_run))
    return answers


def _per_run(
    fitted: MovedFit, loss_law: Fit | None, distance: float, params: float, tokens: float | None
) -> float | None:
    if tokens is None:
        raise UsageError("a planned model needs --params and --tokens")
    if fitted.status is MovedStatus.AT_CHANCE:
        return None
    if fitted.scale == "flops":
        return fitted.probability_per_run(float(training_flops(params, tokens)), distance)
    if loss_law is None:
        raise UsageError(
            "the planned model's loss is unknown: give --loss-law, or params and tokens of at "
            "least eight checkpoints"
        )
    losses = planned_losses(loss_law, params, tokens, seed=fitted.seed)
    return fitted.probability_per_run(losses, distance)
