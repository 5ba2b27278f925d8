"""The exact probability of passing, where the answers that pass can be written down.

Sampling sees a pass rate of 1e-6 after a million samples. Where the accepted answers are known,
teacher forcing gives the same number in one pass: P(pass) is the sum over accepted answers of the
product of their tokens' probabilities (Hu et al. 2023, arXiv 2310.03262, in the limit of infinite
resolution).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from augury.errors import UsageError
from augury.evaluate.backend import Backend, Floats, ScoreRequest
from augury.evaluate.tasks import Task


@dataclass(frozen=True)
class ExactScores:
    """Per instance of a task.

    Attributes:
        logprob: (n,) exact log-probability of passing, nats.
        greedy: (n,) whether greedy decoding passes.
    """

    logprob: Floats
    greedy: Floats


def exact_scores(backend: Backend, task: Task) -> ExactScores:
    """Exact pass probabilities and greedy passes of every instance.

    Raises:
        UsageError: an accepted answer begins with another one, so that their probabilities overlap.
    """
    requests, owner = [], []
    for i, instance in enumerate(task.instances):
        for a in instance.answers:
            if any(a != b and a.startswith(b) for b in instance.answers):
                raise UsageError(
                    f"{instance.id}: accepted answer {a!r} begins with another accepted answer"
                )
            requests.append(ScoreRequest(instance.prompt, a))
            owner.append(i)
    scores = backend.logprobs(requests)
    totals = np.array([s.total for s in scores])
    owners = np.array(owner)
    logprob = np.array([logsumexp(totals[owners == i]) for i in range(len(task.instances))])
    greedy = np.zeros(len(task.instances))
    np.maximum.at(greedy, owners, [float(s.greedy) for s in scores])
    return ExactScores(logprob, greedy)
