"""What defines a run of PassUntil: its method, when an instance stops, and what is drawn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from augury.errors import UsageError
from augury.evaluate.backend import Backend, NextRequest
from augury.evaluate.checkers import Checker
from augury.evaluate.importance import Mixture
from augury.evaluate.models import EXPECTED, is_model, open_model
from augury.evaluate.pass_counts import Method
from augury.evaluate.proposals import HINT, Proposal, open_proposals
from augury.evaluate.tasks import Task

# Longer texts share few prefixes: a tree then costs what it saves.
TREE_TOKENS = 32
# Passes that end an instance, and its cap, with a proposal: its draws are few and expensive, and
# the weights of 20 passes show how much they vary.
WEIGHTED_PASSES, WEIGHTED_SAMPLES = 20, 2_000
# Maximum samples per instance otherwise: rates down to about 2e-5 are seen.
SAMPLES = 100_000


@dataclass(frozen=True)
class RunPlan:
    """What defines a run; all of it identifies the measurement."""

    method: Method
    r: float
    max_samples: int
    temperature: float
    budget: int | None
    seed: int
    max_tokens: int | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Return what identifies the measurement; a cap of tokens counts only if given."""
        told = {**vars(self), "r": None if math.isinf(self.r) else self.r}
        if told["max_tokens"] is None:
            del told["max_tokens"]
        return told


@dataclass(frozen=True)
class RunOptions:
    """The requested settings of a run: the arguments of `pass_until` that define it."""

    r: int | None = None
    max_samples: int | None = None
    temperature: float = 1.0
    method: Method | None = None
    relative_error: float | None = None
    budget: int | None = None
    max_tokens_total: int | None = None
    seed: int = 0
    proposal: Sequence[str | Proposal] = ()
    own_share: float = 0.2


def decide_run(
    backend: Backend, task: Task, judge: Checker, asked: RunOptions
) -> tuple[RunPlan, Mixture | None, list[str]]:
    """Return the plan of a run, what it draws from, and remarks.

    Raises:
        UsageError: a number is out of range, or the method does not fit.
    """
    plan = check_options(task, judge, asked)
    if not asked.proposal:
        how, notes = choose_method(backend, task, judge, asked.method, asked.temperature)
        return replace(plan, method=how), None, notes
    return plan, open_mixture(backend, task, asked, known=judge.possible is not None), []


def check_options(task: Task, judge: Checker, asked: RunOptions) -> RunPlan:
    """Return the plan of a run as far as it is known without the model, so before it is loaded.

    Raises:
        UsageError: a number is out of range, or the method does not fit.
    """
    weighted, r, cap = bool(asked.proposal), asked.r, asked.max_samples
    if weighted and r is None and asked.relative_error is None and asked.budget is None:
        r = WEIGHTED_PASSES
    wanted = wanted_passes(r, asked.relative_error, asked.budget)
    if cap is None:
        cap = WEIGHTED_SAMPLES if weighted else SAMPLES
    plan = RunPlan(
        "importance", wanted, cap, asked.temperature, asked.budget, asked.seed,
        asked.max_tokens_total,
    )  # fmt: skip
    check_numbers(plan)
    if not weighted:
        check_method(task, judge, asked.method, asked.temperature)
        return plan
    if asked.method not in (None, "importance"):
        raise UsageError(f"a proposal needs method 'importance', not '{asked.method}'")
    for spec in asked.proposal:
        if isinstance(spec, str) and spec != HINT and not is_model(spec):
            raise UsageError(f"--proposal '{spec}': expected {HINT}, {EXPECTED}")
    if asked.budget is not None:
        raise UsageError("a budget is allocated by plain samples: it takes no proposal")
    if not 0 < asked.own_share < 1:
        raise UsageError(f"own_share must lie between 0 and 1, not {asked.own_share}")
    return plan


def open_mixture(backend: Backend, task: Task, asked: RunOptions, *, known: bool) -> Mixture:
    """Return what is drawn from."""
    backend.next_token_logprobs([NextRequest(task.instances[0].prompt)])  # does it show them?
    proposals = open_proposals(asked.proposal, backend, task, open_model, known)
    return Mixture(backend, proposals, asked.own_share)


def check_method(task: Task, judge: Checker, asked: str | None, temperature: float) -> bool:
    """Return whether passing answers can be listed; refuse a method that does not fit the task."""
    if asked == "importance":
        raise UsageError("method 'importance' needs a proposal: hint, or a model")
    if asked not in (None, *get_args(Method)):
        raise UsageError(f"no method is called '{asked}'; there are: {', '.join(get_args(Method))}")
    enumerable = judge.prefixes and not task.stop and temperature == 1
    if asked == "exact" and not enumerable:
        stops = f", stops {', '.join(map(repr, task.stop))}" if task.stop else ""
        raise UsageError(
            "method 'exact' needs a check that accepts listed answers (checker 'prefix'), no stop "
            f"and temperature 1, not checker '{judge.name}'{stops} at {temperature:g}"
        )
    return enumerable


def choose_method(
    backend: Backend, task: Task, judge: Checker, asked: Method | None, temperature: float
) -> tuple[Method, list[str]]:
    """Choose the method, and return remarks on it."""
    enumerable = check_method(task, judge, asked, temperature)
    if asked == "exact":
        notes = []
        if not backend.unique_tokens:
            notes = ["a lower bound: the same answers written with other tokens are not counted"]
        return "exact", notes
    if asked is None and enumerable and backend.unique_tokens:
        return "exact", []
    if asked == "independent":
        return "independent", []
    long = asked is None and task.tokens > TREE_TOKENS
    if long and judge.possible is None:
        return "independent", [f"texts of {task.tokens} tokens share few prefixes: no tree"]
    try:
        backend.next_token_logprobs([NextRequest(task.instances[0].prompt)])
    except UsageError as error:
        if asked == "tree":
            raise
        return "independent", [f"no tree: {error}"]
    if long:
        return "independent", [
            f"plain samples, since texts may have {task.tokens} tokens; this check ends wrong ones "
            "early, so method 'tree' reaches rare passes much faster"
        ]
    return "tree", []


def wanted_passes(r: int | None, relative_error: float | None, budget: int | None) -> float:
    if relative_error is not None:
        if r is not None:
            raise UsageError("choose one of r and relative_error")
        if not 0 < relative_error < 1:
            raise UsageError(f"relative_error must lie between 0 and 1, not {relative_error}")
        return float(math.ceil(2 + 1 / relative_error**2))
    if r is None:
        return 2.0 if budget is None else math.inf
    return float(r)


def check_numbers(plan: RunPlan) -> None:
    """Check which setting is out of range.

    Raises:
        UsageError: one is.
    """
    numbers = {
        "r": plan.r,
        "max_samples": plan.max_samples,
        "budget": plan.budget,
        "max_tokens_total": plan.max_tokens,
    }
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, not {value:g}")
    if not 0 < plan.temperature < math.inf:
        raise UsageError(f"temperature must be positive, not {plan.temperature}")
