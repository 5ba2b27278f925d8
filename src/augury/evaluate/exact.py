"""The exact probability of passing, if the passing answers can be listed.

Sampling sees a pass rate of 1e-6 after a million samples. If the accepted answers are known,
teacher forcing gives the same number in one pass: P(pass) is the sum over accepted answers of the
product of their tokens' probabilities (Hu et al. 2023, arXiv 2310.03262, in the limit of infinite
resolution).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from augury.errors import UsageError
from augury.evaluate.backend import Backend, Floats, Score, ScoreRequest
from augury.evaluate.tasks import Task


@dataclass(frozen=True)
class ExactScores:
    """Scores per instance of a task.

    Attributes:
        logprob: (n,) exact log-probability of passing, nats, at most 0.
        greedy: (n,) whether greedy decoding passes.
        reference: (n,) log-probability of the reference, the first accepted answer, nats.
        rank: (n,) geometric mean of the ranks of the reference's tokens among all tokens, 1 the
            likeliest; None if the model does not show it.
    """

    logprob: Floats
    greedy: NDArray[np.bool_]
    reference: Floats
    rank: Floats | None

    @property
    def passing(self) -> Floats:
        """Return (n,) the probability of passing."""
        return np.exp(self.logprob)

    def reference_columns(self) -> dict[str, float]:
        """Return `reference_logprob` (mean) and `reference_rank` (geometric mean) for a row.

        They move long before the score does.
        """
        columns = {"reference_logprob": float(self.reference.mean())}
        if self.rank is not None:
            columns["reference_rank"] = float(np.exp(np.log(self.rank).mean()))
        return columns


def exact_scores(backend: Backend, task: Task) -> ExactScores:
    """Compute exact pass probabilities and greedy passes of every instance.

    A lower bound if the same text can be written with other tokens, which the lab's characters rule
    out.

    Raises:
        UsageError: an instance accepts nothing, the empty answer, or two answers one of which
            begins with the other, so that their probabilities overlap.
    """
    requests, owner = [], []
    for i, instance in enumerate(task.instances):
        _check(instance.id, instance.answers)
        for answer in instance.answers:
            requests.append(ScoreRequest(instance.prompt, answer))
            owner.append(i)
    scores = backend.logprobs(requests)
    totals = np.array([s.total for s in scores])
    logprob = np.full(len(task.instances), -np.inf)
    np.logaddexp.at(logprob, owner, totals)
    greedy = np.zeros(len(task.instances), dtype=bool)
    np.logical_or.at(greedy, owner, [s.greedy for s in scores])
    first = np.unique(owner, return_index=True)[1]
    return ExactScores(
        np.minimum(logprob, 0.0), greedy, totals[first], token_ranks([scores[i] for i in first])
    )


def token_ranks(scores: Sequence[Score]) -> Floats | None:
    """Return (n,) the geometric mean of the tokens' ranks; None if one is not shown."""
    found = [score.ranks for score in scores]
    if any(ranks is None for ranks in found):
        return None
    return np.array([np.exp(np.log(ranks).mean()) for ranks in found if ranks is not None])


def _check(name: str, answers: tuple[str, ...]) -> None:
    if not answers or "" in answers:
        raise UsageError(f"{name}: accepts {answers!r}; expected at least one answer, none empty")
    ordered = sorted(answers)  # after sorting, an answer that begins with another one follows it
    for first, second in pairwise(ordered):
        if second.startswith(first):
            raise UsageError(
                f"{name}: accepted answer {second!r} begins with another one, {first!r}"
            )
