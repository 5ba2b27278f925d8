"""What units cost, estimated before they run: FLOPs, tokens, and seconds on one core."""

from __future__ import annotations

from collections.abc import Sequence

from augury.data.compute import scoring_flops, training_flops
from augury.lab.config import RunConfig
from augury.lab.corpus import LENGTH
from augury.study.plan.models import StudyModel
from augury.study.plan.sections import FinetuneSection, MeasureSection, TaskEntry
from augury.study.units.unit import Cost

# For the lab's tiny models, from processor time of widths 6, 24 and 48 over 500 steps (3.0, 5.2 and
# 10.8 s): FLOP/s of one core, a step's fixed cost, and starting JAX and compiling.
LAB_FLOPS, STEP_SECONDS, COMPILE_SECONDS = 4.5e10, 0.0015, 2.0
# One core on models of transformers, CPU.
CORE_FLOPS = 2e10
# Tokens of an instance's prompt, if a file does not tell.
PROMPT = 128
# Finetuning: examples per step, and maximum number of rates that a search tries.
FINETUNE_BATCH, SEARCHED = 64, 9
TABLE = Cost(seconds=0.05)
FIT, FORECAST, SCORE = Cost(seconds=4.0), Cost(seconds=15.0), Cost(seconds=0.5)


def training_cost(run: RunConfig) -> Cost:
    """Estimate the cost of a lab run."""
    flops, tokens = run.flops(run.steps), run.tokens(run.steps)
    return Cost(flops, tokens, COMPILE_SECONDS + run.steps * STEP_SECONDS + flops / LAB_FLOPS)


def measuring_cost(place: StudyModel, task: TaskEntry, how: MeasureSection, instances: int) -> Cost:
    """Estimate the cost of a model on a task; if sampled, every instance up to its cap."""
    params = float(place.about.get("params") or 0.0)
    lab = place.run is not None
    if is_computed(task, how):
        tokens = float(instances * (LENGTH if lab else PROMPT))
    else:
        tokens = float(instances * how.max_samples * (LENGTH if lab else task.tokens))
    flops = scoring_flops(params, tokens)
    return Cost(flops, tokens, COMPILE_SECONDS + flops / (LAB_FLOPS if lab else CORE_FLOPS))


def finetuning_cost(
    place: StudyModel, amounts: Sequence[int], how: FinetuneSection, search: bool
) -> Cost:
    """Estimate the cost of a model on some amounts: every subset and seed, full length, scored."""
    params = float(place.about.get("params") or 0.0)
    length = LENGTH if place.run is not None else PROMPT
    runs = len(amounts) * how.subsets * how.seeds + (SEARCHED * len(amounts) if search else 0)
    trained = float(runs * how.steps * FINETUNE_BATCH * length)
    scored = float((runs + 1) * how.instances * length)
    flops = training_flops(params, trained) + scoring_flops(params, scored)
    rate = LAB_FLOPS if place.run is not None else CORE_FLOPS
    seconds = COMPILE_SECONDS + runs * how.steps * STEP_SECONDS + flops / rate
    return Cost(flops, trained + scored, seconds)


def is_computed(task: TaskEntry, how: MeasureSection) -> bool:
    """Return whether pass rates are most likely computed, not sampled."""
    return how.method == "exact" or (how.method is None and task.is_lab)
