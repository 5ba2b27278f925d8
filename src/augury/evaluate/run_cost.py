"""The cost of a run of PassUntil, estimated from a first small wave that is thrown away."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from augury.errors import UsageError
from augury.evaluate.backend import Backend
from augury.evaluate.checkers import Checker, checker, validate_task
from augury.evaluate.pass_counts import Method, PassCounts
from augury.evaluate.passuntil import pass_until
from augury.evaluate.proposals import Proposal
from augury.evaluate.run_plan import RunOptions, RunPlan, decide_run
from augury.evaluate.tasks import Task
from augury.evaluate.waves import FILL, FIRST, GROWTH

# Number of instances tried, spread over the task, and samples of each.
TRIED = 8
SAMPLES: dict[Method, int] = {"tree": 256, "independent": 8, "importance": 16}
# Possible rates of an instance, equally likely per order of magnitude before any sample: if none of
# a few samples passed, a flat prior on the rate itself would expect the rest to be easy.
RATES = np.logspace(-6, 0, 121)[:-1]
MILLION = 1e6


@dataclass(frozen=True)
class RunCost:
    """Samples, tokens, seconds and money of a run: maximum, and expected.

    Attributes:
        instances: number in the task.
        method: that will be used.
        samples_at_most: if every instance reaches its cap.
        samples_expected: if instances pass as in the first small wave. Samples beyond the last pass
            of a batch count: they are paid for.
        tokens_at_most: every sample at its full length, and its prompt if a server reads it; at
            most `max_tokens_total`.
        tokens_expected: samples as long as in the small wave; None if a server does not report
        them.
        seconds_expected: at the speed of the small wave.
        cost_at_most, cost_expected: at the given prices, in their unit; None without prices.
        tried_samples, tried_tokens, tried_seconds: cost of this estimate itself.
    """

    instances: int
    method: Method
    samples_at_most: int
    samples_expected: float
    tokens_at_most: int
    tokens_expected: float | None
    seconds_expected: float
    cost_at_most: float | None
    cost_expected: float | None
    tried_samples: int
    tried_tokens: int | None
    tried_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if self.method == "exact":
            return f"{self.instances} instances, computed: one pass, no sample"
        tokens = "unknown" if self.tokens_expected is None else f"{self.tokens_expected:,.0f}"
        lines = [
            f"{self.instances} instances, method {self.method}",
            f"  samples: {self.samples_expected:,.0f} expected, {self.samples_at_most:,} at most",
            f"  tokens: {tokens} expected, {self.tokens_at_most:,} at most",
            f"  seconds: {self.seconds_expected:,.0f} expected",
        ]
        if self.cost_at_most is not None:
            expected = "unknown" if self.cost_expected is None else _money(self.cost_expected)
            lines.append(f"  cost: {expected} expected, {_money(self.cost_at_most)} at most")
        took = "" if self.tried_tokens is None else f" and {self.tried_tokens:,} tokens"
        lines.append(
            f"  from {self.tried_samples:,} samples that took {self.tried_seconds:.1f} s{took}"
        )
        return "\n".join(lines)


def plan_run(
    backend: Backend,
    task: Task,
    asked: RunOptions,
    *,
    check: Checker | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
) -> RunCost:
    """Estimate the cost of `pass_until` with the same arguments by drawing a small wave.

    Args:
        backend, task, check: as `pass_until` takes them.
        asked: its other arguments.
        price_in, price_out: per million tokens read, and drawn.

    Raises:
        UsageError: as `pass_until`, or a price is negative.
    """
    check_prices(price_in, price_out)
    judge = check or checker(task.checker)
    if check is None:
        validate_task(task, judge)
    plan, mixture, _ = decide_run(backend, task, judge, asked)
    n = len(task.instances)
    if plan.method == "exact":
        return RunCost(n, "exact", 0, 0.0, 0, 0.0, 0.0, None, None, 0, 0, 0.0)
    proposals = () if mixture is None else mixture.proposals
    tried, seconds = _try_few(backend, task, judge, plan, proposals, asked.own_share)
    drawn = int(tried.samples.sum())
    usage = tried.tokens
    most = plan.budget or n * plan.max_samples
    expected = _expected_samples(plan, tried, n)
    scale = expected / drawn
    each_read = 0.0 if not usage.paid or usage.read is None else usage.read / drawn
    tokens_most = math.ceil(most * (task.tokens + each_read))
    tokens = None if usage.drawn is None else (usage.drawn + each_read * drawn) * scale
    capped = 1.0
    if plan.max_tokens is not None:
        tokens_most = min(tokens_most, plan.max_tokens)
        capped = 1.0 if not tokens else min(1.0, plan.max_tokens / tokens)
    cost_most = cost = None
    if price_in is not None or price_out is not None:
        dear, cheap = (price_out or 0.0) / MILLION, (price_in or 0.0) / MILLION
        part = tokens_most / (task.tokens + each_read)
        cost_most = part * (task.tokens * dear + each_read * cheap)
        if usage.drawn is not None:
            cost = capped * scale * (usage.drawn * dear + each_read * drawn * cheap)
    return RunCost(
        n, plan.method, most, capped * expected, tokens_most,
        None if tokens is None else capped * tokens, capped * seconds * scale, cost_most, cost,
        drawn, usage.drawn, seconds,
    )  # fmt: skip


def check_prices(*prices: float | None) -> None:
    """Refuse a price that is negative, infinite or not a number.

    Raises:
        UsageError: one is.
    """
    for price in prices:
        if price is not None and not 0 <= price < math.inf:
            raise UsageError(f"a price cannot be {price:g}")


def _money(cost: float) -> str:
    """Return a cost in its unit, with two digits that count where it is below one."""
    return f"{cost:,.2f}" if cost >= 1 or cost == 0 else f"{cost:.2g}"


def _try_few(
    backend: Backend,
    task: Task,
    judge: Checker,
    plan: RunPlan,
    proposals: tuple[Proposal, ...],
    share: float,
) -> tuple[PassCounts, float]:
    """Return counts of a few samples of a few instances, and the seconds they took."""
    n = len(task.instances)
    which = np.unique(np.linspace(0, n - 1, min(TRIED, n)).round().astype(int))
    few = replace(task, instances=tuple(task.instances[i] for i in which), length=task.tokens)
    samples = min(SAMPLES[plan.method], plan.max_samples)
    began = time.perf_counter()
    found = pass_until(
        backend, few, r=samples + 1, max_samples=samples, temperature=plan.temperature,
        method=plan.method, seed=plan.seed, check=judge, proposal=proposals, own_share=share,
    )  # fmt: skip
    return found, time.perf_counter() - began


def _expected_samples(plan: RunPlan, tried: PassCounts, n: int) -> float:
    """Return the samples that n similar instances take, counting whole batches."""
    if plan.budget is not None:
        return float(plan.budget)
    low, high = FIRST[plan.method]
    first = min(max(FILL[plan.method] // n, low), high)
    passes, failures = tried.passes[:, None], (tried.samples - tried.passes)[:, None]
    log = passes * np.log(RATES) + failures * np.log1p(-RATES)
    belief = np.exp(log - log.max(1, keepdims=True))
    wanted = np.minimum(plan.r / RATES, plan.max_samples)
    batches = np.ceil(np.log(np.maximum(wanted / first, 1)) / math.log(1 + GROWTH[plan.method]))
    drawn = np.minimum(first * (1.0 + GROWTH[plan.method]) ** batches, plan.max_samples)
    return float((belief / belief.sum(1, keepdims=True) @ drawn).mean()) * n
