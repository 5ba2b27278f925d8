"""One run of PassUntil against its journal: waves are drawn, recorded, and then counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from augury.errors import AuguryError, DataError
from augury.evaluate.backend import Backend, Floats, ScoreRequest, TokenUsage
from augury.evaluate.checkers import Checker
from augury.evaluate.distribution_proof import DistributionProof
from augury.evaluate.exact import exact_scores
from augury.evaluate.importance import Mixture
from augury.evaluate.journal import Journal
from augury.evaluate.kept_samples import SampleKeeper
from augury.evaluate.pass_counts import PassCounts
from augury.evaluate.run_plan import RunPlan
from augury.evaluate.spent_tokens import SpentTokens
from augury.evaluate.tasks import Task
from augury.evaluate.wave_draws import WaveDrawer
from augury.evaluate.waves import RunCounts
from augury.evaluate.weights import PassWeights


@dataclass(frozen=True)
class Progress:
    """The progress of a run, for a live view.

    Attributes:
        finished: number of finished instances, of `instances`.
        passes, samples, tokens: so far; tokens is None if a server does not report them.
        expected_samples: when all are done, if instances keep passing at the same rate.
    """

    finished: int
    instances: int
    passes: int
    samples: int
    tokens: int | None = None
    expected_samples: float | None = None


class PassUntilRun:
    """One run: counts, and the waves that change them.

    Args:
        backend: the model.
        task: its instances.
        judge: the check.
        plan: what decides the run.
        mixture: what is drawn from, with method "importance".
        folder: of the measurement; None keeps everything in memory.
        keep: samples of each instance and verdict that are kept to be read.
    """

    def __init__(
        self,
        backend: Backend,
        task: Task,
        judge: Checker,
        plan: RunPlan,
        mixture: Mixture | None,
        folder: Path | None,
        keep: int,
    ) -> None:
        self._backend, self._task, self._judge, self._plan = backend, task, judge, plan
        self._mixture = mixture
        self._counts = RunCounts(task, plan)
        self._logprob = np.zeros(0)
        self._kept = SampleKeeper(folder, keep)
        self._spent = SpentTokens(backend, folder)
        self._proof = DistributionProof(backend, plan.method, folder, plan.seed)
        self._drawer = WaveDrawer(backend, task, judge, plan, self._counts, self._kept, mixture)

    def compute(self, journal: Journal | None) -> None:
        """Compute exact log-probabilities, once."""
        if journal is not None and journal.records:
            self._logprob = np.array(
                [-math.inf if x is None else x for x in journal.records[0]["logprob"]]
            )
            return
        self._logprob = exact_scores(self._backend, self._task).logprob
        if journal is not None:
            known = [float(x) if math.isfinite(x) else None for x in self._logprob]
            journal.append({"logprob": known})

    def sample(self, journal: Journal | None, progress: Callable[[Progress], None] | None) -> None:
        """Draw waves until every instance is done."""
        past = [] if journal is None else journal.records
        for number, written in enumerate(past, 1):
            if [tuple(row[:2]) for row in written["wave"]] != self._counts.next_wave():
                raise DataError(
                    "is not the wave that these settings plan",
                    source=None if journal is None else str(journal.path),
                    row=number,
                    expected="a journal written by this version; delete it to measure again",
                )
            self._counts.add(written["wave"], written.get("tokens", 0))
        self._spent.resume(len(past))
        while wave := self._counts.next_wave():
            first = not self._counts.samples.any()
            with self._spent.wave() as tokens, self._proof.looking(first=first):
                drawn = self._drawer.draw(wave, tokens)
                if self._proof.draw_again():
                    drawn = self._drawer.draw(wave, tokens)
            record: dict[str, Any] = {"wave": drawn}
            if self._plan.max_tokens is not None:
                record["tokens"] = self._billed_tokens(wave)
            if journal is not None:
                journal.append(record)
            self._counts.add(drawn, record.get("tokens", 0))
            self._spent.save()
            self._kept.save()
            if progress is not None:
                progress(self._progress())

    def _progress(self) -> Progress:
        counts = self._counts
        return Progress(
            int((~counts.open).sum()),
            len(counts.passes),
            int(counts.passes.sum()),
            int(counts.samples.sum()),
            self._spent.tokens.drawn,
            float(counts.samples.sum()) + counts.expected_left,
        )

    def _billed_tokens(self, wave: list[tuple[int, int]]) -> int:
        """Return the last wave's tokens: paid on a server, else drawn; the maximum if unknown."""
        spent = self._spent.last
        if spent.drawn is None:
            return sum(n for _, n in wave) * self._task.tokens
        return max(spent.drawn, spent.paid or 0)

    def result(self, notes: list[str]) -> PassCounts:
        """Return the result."""
        plan, sampled = self._plan, self._plan.method != "exact"
        counts = self._counts
        nothing = np.zeros(0, np.int64)
        return PassCounts(
            about=dict(self._backend.about),
            task=self._task.name,
            chance=self._task.chance,
            method=plan.method,
            ids=tuple(i.id for i in self._task.instances),
            passes=counts.passes if sampled else nothing,
            samples=counts.samples if sampled else nothing,
            logprob=self._logprob,
            reference=self._reference() if sampled else np.zeros(0),
            r=plan.r,
            max_samples=plan.max_samples,
            temperature=plan.temperature,
            checker=self._judge.name,
            examples=counts.examples,
            notes=(*notes, *self._proof.notes, *self._judge.notes(), *self._cut_short()),
            weights=self._pass_weights(),
            tokens=self._spent.tokens if sampled else TokenUsage(),
            kept=tuple(self._kept.samples),
            distribution=self._proof.distribution,
        )

    def _cut_short(self) -> list[str]:
        """Return what a cap of tokens left open."""
        counts, cap = self._counts, self._plan.max_tokens
        open_ones = int(counts.open.sum())
        if cap is None or not open_ones or self._plan.method == "exact":
            return []
        told = f"stopped at {counts.tokens:,} of {cap:,} tokens with {open_ones} instances open"
        unseen = int((counts.samples == 0).sum())
        if unseen:
            told += f", {unseen} of them without a sample"
        return [told]

    def _pass_weights(self) -> PassWeights | None:
        if self._mixture is None:
            return None
        counts = self._counts
        return PassWeights(
            proposals=tuple(p.name for p in self._mixture.proposals),
            share=self._mixture.share,
            known=self._judge.possible is not None,
            passes=counts.passes,
            samples=counts.samples,
            r=self._plan.r,
            logs=tuple(np.array(x) for x in counts.logs),
            own=counts.own,
        )

    def _reference(self) -> Floats:
        """Return the log-likelihood of each instance's references, if available."""
        unknown = np.full(len(self._counts.passes), np.nan)
        asked = [
            (n, ScoreRequest(i.prompt, answer))
            for n, i in enumerate(self._task.instances)
            for answer in i.answers
            if answer
        ]
        try:
            scores = self._backend.logprobs([request for _, request in asked])
        except AuguryError:  # not shown, or not writable with this model's tokens: NaN
            return unknown
        for (n, _), score in zip(asked, scores, strict=True):
            unknown[n] = np.logaddexp(np.nan_to_num(unknown[n], nan=-np.inf), score.total)
        return unknown
