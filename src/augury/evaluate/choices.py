"""Multiple choice by log-probability: which option is likeliest for the model?

Random guessing passes such tasks at 1/options, so PassUntil does not apply: the quantity that grows
smoothly is the probability of the correct option (arXiv 2406.04391).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.data import observations
from augury.errors import DataError
from augury.evaluate.backend import Backend, ScoreRequest
from augury.evaluate.exact import token_ranks
from augury.evaluate.folders import measurement_folder
from augury.evaluate.tasks import Instance, Task
from augury.runtime.atomic import atomic_file


def measure_choices(backend: Backend, task: Task) -> pl.DataFrame:
    """Measure accuracy and probability of the correct option, per instance and on average.

    An instance's line holds `choices`, a list of texts to put after the prompt, and either
    `answer`, the index of the correct one, or a `reference` that equals it.

    Returns:
        Observation table, metrics "acc" (the likeliest option is correct), "acc_norm" (likeliest
        per character, as in lm-evaluation-harness) and "choice_prob" (the correct option's share of
        the options' probability). Rows of instances, and their mean with `stderr` over instances.
        The columns `reference_logprob`, `choice_probability` and, if the model shows it,
        `reference_rank` describe the correct option: they move before the accuracy does.

    Raises:
        DataError: an instance has no options, or none of them is correct.
        UsageError: the model shows no log-probabilities.
    """
    right, requests, starts = [], [], [0]
    for instance in task.instances:
        options, which = _options(instance)
        right.append(which)
        requests += [ScoreRequest(instance.prompt, option) for option in options]
        starts.append(len(requests))
    told = backend.logprobs(requests)
    scores = np.array([s.total for s in told])
    # The harness omits the space that joins an option to its prompt.
    sizes = np.array([max(len(r.continuation.strip()), 1) for r in requests])
    rows: list[dict[str, Any]] = []
    common = {**backend.about, "task": task.name, "method": "exact", "temperature": 1.0}
    found: dict[str, list[float]] = {"acc": [], "acc_norm": [], "choice_prob": []}
    chance: list[float] = []
    places = [start + which for start, which in zip(starts, right, strict=False)]
    ranks = token_ranks([told[i] for i in places])
    reference: list[dict[str, float]] = []
    for instance, which, first, last in zip(
        task.instances, right, starts[:-1], starts[1:], strict=True
    ):
        own, size = scores[first:last], sizes[first:last]
        share = np.exp(own - np.logaddexp.reduce(own))
        chance.append(1 / len(own))
        beside = {"reference_logprob": float(own[which]), "choice_probability": float(share[which])}
        if ranks is not None:
            beside["reference_rank"] = float(ranks[len(reference)])
        reference.append(beside)
        values = {
            "acc": float(own.argmax() == which),
            "acc_norm": float((own / size).argmax() == which),
            "choice_prob": float(share[which]),
        }
        for metric, value in values.items():
            found[metric].append(value)
            rows.append(
                {
                    **common,
                    "metric": metric,
                    "instance": instance.id,
                    "value": value,
                    "n": 1.0,
                    "chance": chance[-1],
                    **beside,
                }
            )
    n = len(task.instances)
    beside = {name: float(np.mean([row[name] for row in reference])) for name in reference[0]}
    if ranks is not None:
        beside["reference_rank"] = float(np.exp(np.log(ranks).mean()))
    means = [
        {
            **common,
            "metric": metric,
            "value": float(np.mean(values)),
            "stderr": float(np.std(values, ddof=1) / n**0.5) if n > 1 else None,
            "n": float(n),
            "chance": float(np.mean(chance)),
            **beside,
        }
        for metric, values in found.items()
    ]
    return observations([*means, *rows])


def save_choices(backend: Backend, task: Task, study: Path) -> Path:
    """Measure into a study's folder and return the file of rows. An existing one is kept."""
    folder = measurement_folder(study, backend.about, task, "choice", {})
    rows = folder / "rows.parquet"
    if not rows.exists():
        with atomic_file(rows) as fresh:
            measure_choices(backend, task).write_parquet(fresh)
    return rows


def validate_choices(task: Task) -> None:
    """Find an instance without options, or without a correct one, before a model is loaded.

    Raises:
        DataError: one is.
    """
    for instance in task.instances:
        _options(instance)


def _options(instance: Instance) -> tuple[list[str], int]:
    options = instance.data.get("choices")
    wrong = DataError(
        f"instance '{instance.id}' has no options to choose from",
        column="choices",
        value=options,
        expected="a list of at least two texts",
    )
    if not isinstance(options, list) or len(options) < 2:
        raise wrong
    if not all(isinstance(option, str) and option for option in options):
        raise wrong
    which = instance.data.get("answer")
    if which is None and instance.answers and instance.answers[0] in options:
        which = options.index(instance.answers[0])
    if not isinstance(which, int) or isinstance(which, bool) or not 0 <= which < len(options):
        raise DataError(
            f"instance '{instance.id}' does not give the correct option",
            column="answer",
            value=which,
            expected=f"an index from 0 to {len(options) - 1}, or a reference that is an option",
        )
    return options, which
