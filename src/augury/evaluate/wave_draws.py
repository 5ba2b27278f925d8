"""Drawing and judging a wave of samples: from a mixture, down a tree of prefixes, or plainly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from augury.errors import DataError
from augury.evaluate.backend import Backend, SampleRequest, TokenUsage
from augury.evaluate.checkers import Checker
from augury.evaluate.importance import Mixture, draw_mixture, log_weights
from augury.evaluate.kept_samples import KeptSample, SampleKeeper
from augury.evaluate.run_plan import RunPlan
from augury.evaluate.tasks import Instance, Task
from augury.evaluate.tree import Draw, draw_counts
from augury.evaluate.waves import RunCounts

# Number of verdicts kept, so that a recurring text is not checked again.
VERDICTS = 200_000
# The reason given for a failed sample that a tree did not complete.
GIVEN_UP = "stopped here: no text with this beginning passes"


class WaveDrawer:
    """Draws what a wave asks for, and keeps a few samples to be read.

    Args:
        backend: the model.
        task: its instances.
        judge: the check.
        plan: how to draw.
        counts: so far: they tell how many passes an instance still needs, and its next stream.
        kept: collects samples to be read.
        mixture: to draw from, with method "importance".
    """

    def __init__(
        self,
        backend: Backend,
        task: Task,
        judge: Checker,
        plan: RunPlan,
        counts: RunCounts,
        kept: SampleKeeper,
        mixture: Mixture | None = None,
    ) -> None:
        self._backend, self._task, self._judge, self._plan = backend, task, judge, plan
        self._counts, self._kept, self._mixture = counts, kept, mixture
        self._verdicts: dict[tuple[int, str], bool] = {}
        self._tokens = TokenUsage()

    def draw(self, wave: list[tuple[int, int]], tokens: TokenUsage) -> list[list[Any]]:
        """Return per batch: instance, samples drawn, passes and samples that count, a passing text.

        What the backend does not count itself is added to `tokens`.
        """
        self._tokens = tokens
        if self._mixture is not None:
            return self._weighted(wave, self._mixture)
        return self._tree(wave) if self._plan.method == "tree" else self._independent(wave)

    def _weighted(self, wave: list[tuple[int, int]], mixture: Mixture) -> list[list[Any]]:
        """Return the same, and the weights: logs, and the model's own draws."""
        task = self._task
        wanted = [(task.instances[i], n, self._stream(i)) for i, n in wave]
        drawn = draw_mixture(mixture, task, wanted, self._plan.temperature, self._judge.possible)
        self._tokens.add(sum(len(t) for own in drawn for t in own.tokens), None)
        self._judge_texts(
            [(i, t) for (i, _), own in zip(wave, drawn, strict=True) for t in own.texts
             if t is not None]
        )  # fmt: skip
        rows: list[list[Any]] = []
        weighed: list[tuple[Instance, tuple[int, ...]]] = []
        for (i, n), own in zip(wave, drawn, strict=True):
            verdicts = np.array([t is not None and self._verdicts[i, t] for t in own.texts])
            passed = np.flatnonzero(verdicts)
            left = self._counts.left(i)
            used = n if len(passed) < left else int(passed[int(left) - 1]) + 1
            passed = passed[passed < used]
            weighed += [(task.instances[i], own.tokens[k]) for k in passed]
            self._keep(i, own.texts[:used])
            mine = own.own[:used]
            counted = [int(mine.sum()), int((mine & verdicts[:used]).sum())]
            example = own.texts[passed[0]] if len(passed) else None
            rows.append([i, n, len(passed), used, example, {"own": counted}])
        logs = log_weights(mixture, weighed, self._plan.temperature)
        for row in rows:
            row[5]["log_weights"], logs = logs[: row[2]], logs[row[2] :]
        return rows

    def _independent(self, wave: list[tuple[int, int]]) -> list[list[Any]]:
        task = self._task
        requests = [
            SampleRequest(
                task.instances[i].prompt,
                n,
                task.tokens,
                self._stream(i),
                self._plan.temperature,
                task.stop,
                self._possible(i),
                self._full_samples(i),
            )
            for i, n in wave
        ]
        answers = self._backend.sample(requests)
        if not isinstance(getattr(self._backend, "usage", None), TokenUsage):
            self._tokens.add(None, None, None)
        texts = [[task.cut(text) for text in answer] for answer in answers]
        found = [(len(t), n) for t, (_, n) in zip(texts, wave, strict=True) if len(t) != n]
        if found:
            raise DataError(
                "the model returned another number of samples than requested",
                source=str(self._backend.about.get("model")),
                value=found[0][0],
                expected=f"{found[0][1]} samples",
            )
        self._judge_texts([(i, t) for (i, _), own in zip(wave, texts, strict=True) for t in own])
        rows: list[list[Any]] = []
        for (i, n), own in zip(wave, texts, strict=True):
            passed = np.flatnonzero([self._verdicts[i, t] for t in own])
            wanted = self._counts.left(i)
            ended = len(passed) >= wanted
            used = int(passed[int(wanted) - 1]) + 1 if ended else n
            example = own[passed[0]] if len(passed) else None
            rows.append([i, n, int(min(len(passed), wanted)), used, example])
            first = used if self._judge.possible is None else min(used, self._kept.whole)
            self._keep(i, own[:first])
            self._keep(i, [own[k] for k in passed if first <= k < used])
        return rows

    def _full_samples(self, i: int) -> int:
        """Return how many samples of an instance's next batch are written in full, to be read."""
        wanted = self._kept.wants(self._task.instances[i].id, passed=False)
        return self._kept.whole if wanted else 0

    def _possible(self, i: int) -> Callable[[str], bool] | None:
        """Return a test of whether a text with this beginning can pass, if the check has one."""
        possible, instance = self._judge.possible, self._task.instances[i]
        return None if possible is None else lambda text: possible(instance, text)

    def _tree(self, wave: list[tuple[int, int]]) -> list[list[Any]]:
        task = self._task
        draws = [
            Draw(task.instances[i].prompt, n, np.random.default_rng(self._stream(i)))
            for i, n in wave
        ]
        passed = [0] * len(wave)
        examples: list[str | None] = [None] * len(wave)

        def leaves(which: int, texts: list[str], number: NDArray[np.int64]) -> None:
            i = wave[which][0]
            cut = [task.cut(text) for text in texts]
            self._judge_texts([(i, text) for text in cut])
            self._keep(i, cut)
            for text, count in zip(cut, number.tolist(), strict=True):
                if self._verdicts[i, text]:
                    passed[which] += count
                    examples[which] = examples[which] or text

        possible = self._judge.possible
        alive = None
        if possible is not None:

            def alive(which: int, text: str) -> bool:
                instance = task.instances[wave[which][0]]
                if possible(instance, text):
                    return True
                if self._kept.wants(instance.id, passed=False):
                    self._kept.add(KeptSample(instance.id, text, False, GIVEN_UP))
                return False

        read = draw_counts(self._backend, task, draws, self._plan.temperature, leaves, alive)
        self._tokens.add(read, None)
        rows: list[list[Any]] = []
        for which, (i, n) in enumerate(wave):
            wanted, got = self._counts.left(i), passed[which]
            # Passes are exchangeable among the n positions: the last one's position is drawn.
            used = place_of(int(wanted), got, n, draws[which].rng) if got >= wanted else n
            rows.append([i, n, int(min(got, wanted)), used, examples[which]])
        return rows

    def _keep(self, i: int, texts: Sequence[str | None]) -> None:
        """Keep the first few texts of an instance, to be read."""
        name = self._task.instances[i].id
        for text in texts:
            if text is None:
                continue
            passed = self._verdicts[i, text]
            if self._kept.wants(name, passed):
                why = self._judge.reason(self._task.instances[i], text, passed)
                self._kept.add(KeptSample(name, text, passed, why))

    def _judge_texts(self, pairs: list[tuple[int, str]]) -> None:
        """Judge these texts, each distinct one once."""
        if len(self._verdicts) > VERDICTS:
            self._verdicts.clear()
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._verdicts]
        if new:
            said = self._judge.many([(self._task.instances[i], text) for i, text in new])
            self._verdicts.update(zip(new, said, strict=True))

    def _stream(self, i: int) -> int:
        """Return the seed of an instance's next batch."""
        key = [
            self._plan.seed,
            self._task.name,
            self._task.instances[i].id,
            int(self._counts.batches[i]),
        ]
        return int.from_bytes(hashlib.sha256(json.dumps(key).encode()).digest()[:8], "big") >> 1


def place_of(which: int, passes: int, samples: int, rng: np.random.Generator) -> int:
    """Draw the position of the `which`-th of `passes` among `samples`, counted from 1.

    Every order of the samples is equally likely, so the position is negative hypergeometric: found
    by bisection of its distribution function.
    """
    aim = rng.random()
    low, high = which, samples - passes + which
    while low < high:
        middle = (low + high) // 2
        # At most `middle` if that many samples hold `which` passes or more.
        if scipy.stats.hypergeom.sf(which - 1, samples, passes, middle) >= aim:
            high = middle
        else:
            low = middle + 1
    return low
