"""Score a model on a task: exactly if the passing answers are listed, else by PassUntil."""

from __future__ import annotations

from typing import Any

import numpy as np

from augury.evaluate import Backend, Task, checker, exact_scores, pass_until


def score(backend: Backend, task: Task, samples: int, seed: int) -> dict[str, Any]:
    """Return columns of the observation table: value, stderr, n, method, and logprob or counts.

    Exact: value is the mean pass probability over instances, logprob the mean of its logarithm (a
    lower bound if a text can be written with several sequences of tokens), greedy the accuracy of
    greedy decoding; reference_logprob and, if shown, reference_rank are of the first answer.
    Sampled: every instance gets the same number of samples, so that passes over samples is unbiased
    in any later use.

    Args:
        backend: the model.
        task: its instances.
        samples: per instance, if it is sampled.
        seed: of the sampling.
    """
    columns: dict[str, Any] = {"task": task.name, "metric": "pass", "chance": task.chance}
    if checker(task.checker).prefixes and not task.stop:
        exact = exact_scores(backend, task)
        return {
            **columns,
            **_mean(exact.passing),
            "method": "exact",
            "logprob": float(np.mean(exact.logprob)),
            "greedy": float(np.mean(exact.greedy)),
            **exact.reference_columns(),
        }
    found = pass_until(backend, task, r=samples, max_samples=samples, seed=seed)
    return {
        **columns,
        **_mean(found.mle),  # a fixed number of samples: unbiased
        "method": found.method,
        "passes": float(found.passes.sum()),
        "samples": float(found.samples.sum()),
    }


def _mean(values: Any) -> dict[str, float | None]:
    n = len(values)
    return {
        "value": float(np.mean(values)),
        "stderr": float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else None,
        "n": float(n),
    }
