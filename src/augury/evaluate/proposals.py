"""Proposals of importance sampling: the solved question before the prompt, or another model.

A proposal writes texts from which the model's own pass rate is computed: any proposal works that
writes passing texts more often than the model, with the same tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from augury.errors import DataError, UsageError
from augury.evaluate.backend import Backend, NextRequest
from augury.evaluate.tasks import Instance, Task

HINT = "hint"
# How often the solved question is shown. SmolLM2-135M writes the answer of 17 rare sums at a median
# rate of .03 after one showing, .21 after two, .75 after three; for four rare capitals, .01, .15,
# .33.
SHOWN = 3
# Fields of a task file that contain a passing text, if `reference` does not.
SOLUTIONS = ("solution", "canonical_solution")


@dataclass(frozen=True)
class Proposal:
    """A model, and what it reads for an instance."""

    name: str
    backend: Backend
    prompt: Callable[[Instance], str]


def open_proposals(
    specs: Sequence[str | Proposal],
    backend: Backend,
    task: Task,
    opener: Callable[[str], Backend],
    known: bool = True,
) -> tuple[Proposal, ...]:
    """Open the proposals that these names describe.

    Args:
        specs: "hint", a model as in `--model`, or your own proposal.
        backend: the model that is measured.
        task: to be measured.
        opener: opens a model by its name.
        known: whether every passing text is known. If not, a hint that is shown once is drawn from
            as well: one that is shown often finds little but itself.

    Raises:
        UsageError: a model has other tokens.
        DataError: an instance has no reference for a hint.
    """
    found = []
    for spec in dict.fromkeys(specs):
        if isinstance(spec, Proposal):
            found.append(spec)
        elif spec == HINT:
            for instance in task.instances:
                hinted(instance)
            found.append(Proposal(spec, backend, hinted))
            if not known:
                found.append(Proposal(f"{spec}, shown once", backend, lambda i: hinted(i, 1)))
        else:
            other = opener(spec)
            _same_tokens(backend, other, task, spec)
            found.append(Proposal(spec, other, lambda instance: instance.prompt))
    return tuple(found)


def hinted(instance: Instance, shown: int = SHOWN) -> str:
    """Return the prompt preceded by the question and its solution, this many times.

    A field `hint` of the task's file is used unchanged. Otherwise, if the prompt is a list of
    solved questions and one more, that one is put before itself with its answer; else the whole
    prompt is.

    Raises:
        DataError: the instance has no reference.
    """
    own = instance.data.get("hint")
    if isinstance(own, str):
        return own
    answer = _solution(instance)
    prompt = instance.prompt
    for gap in ("\n\n", "\n"):
        before, found, question = prompt.rpartition(gap)
        # The question has the form of those before: it ends in the same word.
        mark = question.split()[-1] if question.split() else ""
        if found and mark and mark in before:
            return f"{before}{gap}" + f"{question}{answer}{gap}" * shown + question
    gap = "\n\n" if "\n" in prompt else "\n"
    return f"{prompt}{answer}{gap}" * shown + prompt


def _solution(instance: Instance) -> str:
    for field in SOLUTIONS:
        own = instance.data.get(field)
        if isinstance(own, str) and own:
            return own
    if not instance.answers or not instance.answers[0]:
        raise DataError(
            f"instance '{instance.id}' has no solution that a hint could show",
            column="reference",
            expected=f"a reference, or a field {' or '.join(SOLUTIONS)}, or hint",
        )
    return instance.answers[0]


def _same_tokens(backend: Backend, other: Backend, task: Task, spec: str) -> None:
    """Check that each token of one is the same text in the other."""
    asked = [NextRequest(task.instances[0].prompt)]
    size = min(
        backend.next_token_logprobs(asked).shape[1], other.next_token_logprobs(asked).shape[1]
    )
    for token in range(size):
        ours, theirs = backend.decode([token]), other.decode([token])
        if ours != theirs:
            raise UsageError(
                f"--proposal '{spec}': token {token} is {theirs!r}, in the model {ours!r}: a "
                "proposal needs the same tokenizer"
            )
