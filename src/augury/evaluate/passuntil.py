"""PassUntil: sample each instance until r of its samples pass (Hu et al. 2023, arXiv 2310.03262).

All instances are in flight together. Work goes in waves: a wave is planned from the counts alone,
drawn, checked, and written to the journal as one record before it is counted; so a run that was
killed plans the same waves again and ends with the same counts. Which samples an instance gets
depends on seed, task, instance and batch alone.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from augury.errors import AuguryError, DataError, UsageError
from augury.evaluate.backend import (
    Backend,
    Floats,
    NextRequest,
    SampleRequest,
    ScoreRequest,
    TokenUsage,
)
from augury.evaluate.checkers import Checker, checker, validate_task
from augury.evaluate.distribution_proof import DistributionProof
from augury.evaluate.exact import exact_scores
from augury.evaluate.importance import Mixture, draw_mixture, log_weights
from augury.evaluate.journal import Journal
from augury.evaluate.kept_samples import KEEP, KeptSample, SampleKeeper
from augury.evaluate.models import open_model
from augury.evaluate.pass_counts import Method, PassCounts
from augury.evaluate.proposals import Proposal, open_proposals
from augury.evaluate.spent_tokens import SpentTokens
from augury.evaluate.tasks import Instance, Task
from augury.evaluate.tree import Draw, draw_counts
from augury.evaluate.weights import PassWeights
from augury.runtime.atomic import atomic_file

# Tokens of one wave: the memory of a tree (4 bytes each, a small factor for copies), and what a
# killed run does again.
WAVE_TOKENS: dict[Method, int] = {"tree": 2**22, "independent": 2**17, "importance": 2**15}
# Samples of an instance's first batch, at least and at most: in between, as many as it takes to
# fill a wave of this many samples with the instances that are open.
FIRST: dict[Method, tuple[int, int]] = {
    "tree": (256, 4096),
    "independent": (32, 512),
    "importance": (32, 256),
}
FILL: dict[Method, int] = {"tree": 2**16, "independent": 2**12, "importance": 2**10}
# How many times what an instance has its next batch brings: a tree shares more the more is drawn at
# once, and half of all independent samples are never in vain.
GROWTH: dict[Method, int] = {"tree": 3, "independent": 1, "importance": 1}
# Longer texts share few prefixes: then a tree costs what it saves.
TREE_TOKENS = 32
# Verdicts kept, so that a text that comes again is not checked again.
VERDICTS = 200_000
# Why a sample that a tree did not write to its end has failed.
GIVEN_UP = "given up here: nothing that begins so passes"
# Share of the instances that each wave of a budget goes to: those of which least is known.
NEEDIEST = 0.25
# First batches of a budget take an eighth of it: the rest goes where they say.
BUDGET_LOOKS = 8


# Passes that end an instance, and its cap, where a proposal is drawn from: its draws are few and
# dear, and the weights of 20 passes say how much they spread.
WEIGHTED_PASSES, WEIGHTED_SAMPLES = 20, 2_000


@dataclass(frozen=True)
class Progress:
    """How far a run is: for a live view."""

    finished: int
    instances: int
    passes: int
    samples: int
    tokens: int | None = None


@dataclass(frozen=True)
class _Plan:
    """What decides a run; all of it names the measurement."""

    method: Method
    r: float
    max_samples: int
    temperature: float
    budget: int | None
    seed: int


def pass_until(
    backend: Backend,
    task: Task,
    *,
    r: int | None = None,
    max_samples: int | None = None,
    temperature: float = 1.0,
    method: Method | None = None,
    relative_error: float | None = None,
    budget: int | None = None,
    seed: int = 0,
    check: Checker | None = None,
    study: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    proposal: Sequence[str | Proposal] = (),
    own_share: float = 0.2,
    keep: int = KEEP,
) -> PassCounts:
    """Sample every instance until r samples pass, or the cap.

    Args:
        backend: the model.
        task: its instances; `task.checker` names the check.
        r: passes at which an instance stops. Default 2, with a proposal 20; none where a budget is
            given.
        max_samples: cap of samples an instance. Default 100,000, with a proposal 2,000.
        temperature: of the sampling.
        method: "exact" (computed: accepted answers are known), "tree" (counts down the tree of
            prefixes) or "independent" (plain samples). All have one distribution; by default the
            cheapest that the model and the check allow. "importance" if there is a proposal.
        relative_error: choose r so that each rate has this relative standard error:
            1/sqrt(r - 2) bounds it (Haldane 1945).
        budget: total of samples; each wave goes to the instances with fewest passes, then fewest
            samples (arXiv 2510.05197).
        seed: of everything random.
        check: instead of the check that the task names.
        study: folder for the journal. A run that was stopped goes on from there; one with any
            other setting is another measurement.
        progress: called after each wave.
        proposal: draw from these and weigh (importance sampling): "hint", the solved question
            before the prompt, a model by its name, larger or finetuned, with the same tokens, or
            a `Proposal` of your own.
        own_share: of the draws that come from the model itself, so that no weight exceeds
            1 / own_share.
        keep: samples of each instance that are kept to be read, this many of those that passed
            and of those that failed (`augury samples`).

    Returns:
        `PassCounts`: (n,) passes and samples of the n instances, unbiased pass rates from 0 to 1,
        and the interval of their mean.

    Raises:
        UsageError: a number is out of range, the method does not fit, or another process is at this
            measurement.
        DataError: the check raised, the model answered nonsense, or the journal is damaged.

    Source: Hu et al. 2023 (arXiv 2310.03262); rates by Haldane 1945, without the bias of r/K.

    Examples:
        >>> from augury.lab import LabBackend, ModelConfig, RunConfig, lab_instances, train
        >>> run = RunConfig(ModelConfig(8), steps=50, shares={"sort-digits": 1.0})
        >>> model = LabBackend(train(run, "runs/smallest")[-1])
        >>> found = augury.pass_until(model, lab_instances("sort-digits", 4), max_samples=100_000)
        >>> print(f"{found.method}: {found.mean:.0e}")
        exact: ...e-06
    """
    judge = check or checker(task.checker)
    if check is None:
        validate_task(task, judge)
    weighted = bool(proposal)
    if weighted and r is None and relative_error is None and budget is None:
        r = WEIGHTED_PASSES
    wanted = _passes(r, relative_error, budget)
    cap = max_samples or (WEIGHTED_SAMPLES if weighted else 100_000)
    _sensible(wanted, cap if max_samples is None else max_samples, budget, temperature)
    mixture = None
    if weighted:
        mixture = _mixture(
            backend, task, proposal, own_share, method, budget, judge.possible is not None
        )
        how: Method = "importance"
        notes: list[str] = []
    else:
        how, notes = _method(backend, task, judge, method, temperature)
    plan = _Plan(how, wanted, cap, temperature, budget, seed)
    with ExitStack() as stack:
        journal = folder = None
        if study is not None:
            settings = {**vars(plan), "r": None if math.isinf(plan.r) else plan.r}
            if mixture is not None:
                settings |= {
                    "proposal": [p.name for p in mixture.proposals],
                    "own_share": own_share,
                }
            folder = measurement_folder(Path(study), backend.about, task, judge.name, settings)
            journal = stack.enter_context(Journal(folder / "journal.jsonl"))
            if journal.torn:
                notes.append(f"the journal ended in {journal.torn} torn bytes, done again")
        run = _Run(backend, task, judge, plan, mixture)
        run.kept = SampleKeeper(folder, keep)
        run.spent = SpentTokens(backend, folder)
        run.proof = DistributionProof(backend, how, folder, seed)
        if how == "exact":
            run.compute(journal)
        else:
            run.sample(journal, progress)
        result = run.result(notes)
        if result.weights is not None:
            told = (*result.notes, *result.weights.notes(result.ids))
            result = replace(result, notes=told)
        if journal is not None:
            with atomic_file(journal.path.parent / "rows.parquet") as fresh:
                result.table().write_parquet(fresh)
    return result


def measurement_folder(
    study: Path,
    about: Mapping[str, Any],
    task: Task,
    judge: str,
    settings: Mapping[str, Any],
) -> Path:
    """Where a measurement with just these settings lies; they are written beside it."""
    # The count with embeddings came later: measurements from before it go on where they were.
    whole = {
        "model": {column: x for column, x in about.items() if column != "params_total"},
        "task": task.name,
        "task_digest": task.digest,
        "checker": judge,
        "tokens": task.tokens,
        **settings,
    }
    text = json.dumps(whole, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    name = f"{task.name}-{about.get('model', 'model')}"
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[-80:].lstrip(".")
    folder = study / "measurements" / f"{safe}-{digest}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error.strerror}") from error
    if not (folder / "settings.json").exists():
        with atomic_file(folder / "settings.json") as fresh:
            fresh.write_text(json.dumps(whole, indent=2, default=str) + "\n")
    return folder


class _Run:
    """One run: counts, and the waves that move them."""

    def __init__(
        self,
        backend: Backend,
        task: Task,
        judge: Checker,
        plan: _Plan,
        mixture: Mixture | None = None,
    ) -> None:
        self.backend, self.task, self.judge, self.plan = backend, task, judge, plan
        n = len(task.instances)
        self.passes = np.zeros(n, np.int64)
        self.samples = np.zeros(n, np.int64)
        self.batches = np.zeros(n, np.int64)
        self.logprob = np.zeros(0)
        self.examples: dict[str, str] = {}
        self.verdicts: dict[tuple[int, str], bool] = {}
        self.mixture = mixture
        self.logs: list[list[float]] = [[] for _ in range(n)]
        self.own = np.zeros((n, 2), np.int64)
        self.kept = SampleKeeper(None)
        self.spent = SpentTokens(backend, None)
        self.wave_tokens = TokenUsage()
        self.proof = DistributionProof(backend, plan.method, None, plan.seed)

    def compute(self, journal: Journal | None) -> None:
        """Exact log-probabilities, once."""
        if journal is not None and journal.records:
            self.logprob = np.array(
                [-math.inf if x is None else x for x in journal.records[0]["logprob"]]
            )
            return
        self.logprob = exact_scores(self.backend, self.task).logprob
        if journal is not None:
            known = [float(x) if math.isfinite(x) else None for x in self.logprob]
            journal.append({"logprob": known})

    def sample(self, journal: Journal | None, progress: Callable[[Progress], None] | None) -> None:
        """Waves until every instance is done."""
        past = [] if journal is None else journal.records
        for number, record in enumerate(past, 1):
            self._count(record, number, journal)
        self.spent.resume(len(past))
        while wave := self._wave():
            with (
                self.spent.wave() as self.wave_tokens,
                self.proof.looking(first=not self.samples.any()),
            ):
                record = {"wave": self._draw(wave)}
                if self.proof.draw_again():
                    record = {"wave": self._draw(wave)}
            if journal is not None:
                journal.append(record)
            self._count(record, 0, journal)
            self.spent.save()
            self.kept.save()
            if progress is not None:
                done = int((~self._open()).sum())
                counts = int(self.passes.sum()), int(self.samples.sum())
                progress(Progress(done, len(self.passes), *counts, self.spent.tokens.drawn))

    def result(self, notes: list[str]) -> PassCounts:
        """What came of it."""
        plan, sampled = self.plan, self.plan.method != "exact"
        nothing = np.zeros(0, np.int64)
        return PassCounts(
            about=dict(self.backend.about),
            task=self.task.name,
            chance=self.task.chance,
            method=plan.method,
            ids=tuple(i.id for i in self.task.instances),
            passes=self.passes if sampled else nothing,
            samples=self.samples if sampled else nothing,
            logprob=self.logprob,
            reference=self._reference() if sampled else np.zeros(0),
            r=plan.r,
            max_samples=plan.max_samples,
            temperature=plan.temperature,
            checker=self.judge.name,
            examples=self.examples,
            notes=(*notes, *self.proof.notes, *self.judge.notes()),
            weights=self._weights(),
            tokens=self.spent.tokens if sampled else TokenUsage(),
            kept=tuple(self.kept.samples),
            distribution=self.proof.distribution,
        )

    def _weights(self) -> PassWeights | None:
        if self.mixture is None:
            return None
        return PassWeights(
            proposals=tuple(p.name for p in self.mixture.proposals),
            share=self.mixture.share,
            known=self.judge.possible is not None,
            passes=self.passes,
            samples=self.samples,
            r=self.plan.r,
            logs=tuple(np.array(x) for x in self.logs),
            own=self.own,
        )

    def _reference(self) -> Floats:
        """Log-likelihood of each instance's references, where it has any and the model tells."""
        unknown = np.full(len(self.passes), np.nan)
        asked = [
            (n, ScoreRequest(i.prompt, answer))
            for n, i in enumerate(self.task.instances)
            for answer in i.answers
            if answer
        ]
        try:
            scores = self.backend.logprobs([request for _, request in asked])
        except AuguryError:  # not shown, or not to be written with this model's tokens: NaN says so
            return unknown
        for (n, _), score in zip(asked, scores, strict=True):
            unknown[n] = np.logaddexp(np.nan_to_num(unknown[n], nan=-np.inf), score.total)
        return unknown

    def _open(self) -> NDArray[np.bool_]:
        return (self.passes < self.plan.r) & (self.samples < self.plan.max_samples)

    def _wave(self) -> list[tuple[int, int]]:
        """Instances and samples of the next wave: a function of the counts alone."""
        plan = self.plan
        index = np.arange(len(self.passes))
        going = np.flatnonzero(self._open())
        left = math.inf
        fill = FILL[plan.method] // max(len(going), 1)
        first = min(max(fill, FIRST[plan.method][0]), FIRST[plan.method][1])
        if plan.budget is None:
            order = going[np.lexsort((index[going], self.batches[going]))]
        else:
            left = plan.budget - int(self.samples.sum())
            first = min(first, max(plan.budget // (BUDGET_LOOKS * len(index)), 1))
            needy = going[np.lexsort((index[going], self.samples[going], self.passes[going]))]
            order = needy[: max(1, math.ceil(NEEDIEST * len(index)))]
        room = max(WAVE_TOKENS[plan.method] // self.task.tokens, 1)
        wave: list[tuple[int, int]] = []
        for i in order.tolist():
            have = int(self.samples[i])
            wanted = max(first, GROWTH[plan.method] * have)
            n = int(min(wanted, room, plan.max_samples - have, left))
            if n < min(wanted, plan.max_samples - have) and wave:
                break  # a batch is not cut for want of room in this wave: it opens the next one
            if n < 1:
                break
            wave.append((i, n))
            room -= n
            left -= n
        return wave

    def _draw(self, wave: list[tuple[int, int]]) -> list[list[Any]]:
        """Per batch: instance, samples drawn, passes and samples that count, a text that passed."""
        if self.mixture is not None:
            return self._weighted(wave, self.mixture)
        return self._tree(wave) if self.plan.method == "tree" else self._independent(wave)

    def _weighted(self, wave: list[tuple[int, int]], mixture: Mixture) -> list[list[Any]]:
        """As others, and what counts of the weights: their logs, and the model's own draws."""
        task = self.task
        wanted = [(task.instances[i], n, self._stream(i)) for i, n in wave]
        drawn = draw_mixture(mixture, task, wanted, self.plan.temperature, self.judge.possible)
        self.wave_tokens.add(sum(len(t) for own in drawn for t in own.tokens), None)
        self._judge(
            [(i, t) for (i, _), own in zip(wave, drawn, strict=True) for t in own.texts
             if t is not None]
        )  # fmt: skip
        rows: list[list[Any]] = []
        weighed: list[tuple[Instance, tuple[int, ...]]] = []
        for (i, n), own in zip(wave, drawn, strict=True):
            verdicts = np.array([t is not None and self.verdicts[i, t] for t in own.texts])
            passed = np.flatnonzero(verdicts)
            left = self.plan.r - self.passes[i]
            used = n if len(passed) < left else int(passed[int(left) - 1]) + 1
            passed = passed[passed < used]
            weighed += [(task.instances[i], own.tokens[k]) for k in passed]
            self._keep(i, own.texts[:used])
            mine = own.own[:used]
            counted = [int(mine.sum()), int((mine & verdicts[:used]).sum())]
            example = own.texts[passed[0]] if len(passed) else None
            rows.append([i, n, len(passed), used, example, {"own": counted}])
        logs = log_weights(mixture, weighed, self.plan.temperature)
        for row in rows:
            row[5]["log_weights"], logs = logs[: row[2]], logs[row[2] :]
        return rows

    def _independent(self, wave: list[tuple[int, int]]) -> list[list[Any]]:
        task = self.task
        requests = [
            SampleRequest(
                task.instances[i].prompt,
                n,
                task.tokens,
                self._stream(i),
                self.plan.temperature,
                task.stop,
            )
            for i, n in wave
        ]
        answers = self.backend.sample(requests)
        if not isinstance(getattr(self.backend, "usage", None), TokenUsage):
            self.wave_tokens.add(None, None, None)
        texts = [[task.cut(text) for text in answer] for answer in answers]
        found = [(len(t), n) for t, (_, n) in zip(texts, wave, strict=True) if len(t) != n]
        if found:
            raise DataError(
                "the model gave another number of samples than asked for",
                source=str(self.backend.about.get("model")),
                value=found[0][0],
                expected=f"{found[0][1]} samples",
            )
        self._judge([(i, t) for (i, _), own in zip(wave, texts, strict=True) for t in own])
        rows: list[list[Any]] = []
        for (i, n), own in zip(wave, texts, strict=True):
            passed = np.flatnonzero([self.verdicts[i, t] for t in own])
            wanted = self.plan.r - self.passes[i]
            ended = len(passed) >= wanted
            used = int(passed[int(wanted) - 1]) + 1 if ended else n
            example = own[passed[0]] if len(passed) else None
            rows.append([i, n, int(min(len(passed), wanted)), used, example])
            self._keep(i, own[:used])
        return rows

    def _tree(self, wave: list[tuple[int, int]]) -> list[list[Any]]:
        task = self.task
        draws = [
            Draw(task.instances[i].prompt, n, np.random.default_rng(self._stream(i)))
            for i, n in wave
        ]
        passed = [0] * len(wave)
        examples: list[str | None] = [None] * len(wave)

        def leaves(which: int, texts: list[str], number: NDArray[np.int64]) -> None:
            i = wave[which][0]
            cut = [task.cut(text) for text in texts]
            self._judge([(i, text) for text in cut])
            self._keep(i, cut)
            for text, count in zip(cut, number.tolist(), strict=True):
                if self.verdicts[i, text]:
                    passed[which] += count
                    examples[which] = examples[which] or text

        possible = self.judge.possible
        alive = None
        if possible is not None:

            def alive(which: int, text: str) -> bool:
                instance = task.instances[wave[which][0]]
                if possible(instance, text):
                    return True
                if self.kept.wants(instance.id, passed=False):
                    self.kept.add(KeptSample(instance.id, text, False, GIVEN_UP))
                return False

        read = draw_counts(self.backend, task, draws, self.plan.temperature, leaves, alive)
        self.wave_tokens.add(read, None)
        rows: list[list[Any]] = []
        for which, (i, n) in enumerate(wave):
            wanted, got = self.plan.r - self.passes[i], passed[which]
            # Passes are exchangeable among the n places: where the last one stands is drawn.
            used = place_of(int(wanted), got, n, draws[which].rng) if got >= wanted else n
            rows.append([i, n, int(min(got, wanted)), used, examples[which]])
        return rows

    def _keep(self, i: int, texts: Sequence[str | None]) -> None:
        """Keep the first few texts of an instance, to be read."""
        name = self.task.instances[i].id
        for text in texts:
            if text is None:
                continue
            passed = self.verdicts[i, text]
            if self.kept.wants(name, passed):
                why = self.judge.reason(self.task.instances[i], text, passed)
                self.kept.add(KeptSample(name, text, passed, why))

    def _judge(self, pairs: list[tuple[int, str]]) -> None:
        """Verdicts of these texts, each distinct one checked once."""
        if len(self.verdicts) > VERDICTS:
            self.verdicts.clear()
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self.verdicts]
        if new:
            said = self.judge.many([(self.task.instances[i], text) for i, text in new])
            self.verdicts.update(zip(new, said, strict=True))

    def _stream(self, i: int) -> int:
        """Seed of an instance's next batch."""
        key = [self.plan.seed, self.task.name, self.task.instances[i].id, int(self.batches[i])]
        return int.from_bytes(hashlib.sha256(json.dumps(key).encode()).digest()[:8], "big") >> 1

    def _count(self, record: dict[str, Any], number: int, journal: Journal | None) -> None:
        """Count a wave; one from the journal has to be the one that was planned."""
        if number and [tuple(row[:2]) for row in record["wave"]] != self._wave():
            raise DataError(
                "is not the wave that these settings plan",
                source=None if journal is None else str(journal.path),
                row=number,
                expected="a journal written by this version; delete it to measure again",
            )
        for i, _, passes, used, example, *weighted in record["wave"]:
            for kept in weighted:
                self.logs[i] += kept["log_weights"]
                self.own[i] += kept["own"]
            self.passes[i] += passes
            self.samples[i] += used
            self.batches[i] += 1
            if example is not None:
                self.examples.setdefault(self.task.instances[i].id, example)


def place_of(which: int, passes: int, samples: int, rng: np.random.Generator) -> int:
    """Where the `which`-th of `passes` lies among `samples`, counted from 1: drawn at random.

    Every order of the samples is as likely as any other, so the place is negative hypergeometric:
    found by bisection of its distribution function.
    """
    aim = rng.random()
    low, high = which, samples - passes + which
    while low < high:
        middle = (low + high) // 2
        # At most `middle` if that many samples hold `which` passes or more.
        if stats.hypergeom.sf(which - 1, samples, passes, middle) >= aim:
            high = middle
        else:
            low = middle + 1
    return low


def _mixture(
    backend: Backend,
    task: Task,
    proposal: Sequence[str | Proposal],
    share: float,
    method: Method | None,
    budget: int | None,
    known: bool,
) -> Mixture:
    """What is drawn from."""
    if method not in (None, "importance"):
        raise UsageError(f"a proposal is drawn from by method 'importance', not '{method}'")
    if budget is not None:
        raise UsageError("a budget goes where plain samples say: it takes no proposal")
    if not 0 < share < 1:
        raise UsageError(f"own_share lies between 0 and 1, not {share}")
    backend.next_token_logprobs([NextRequest(task.instances[0].prompt)])  # does it show them?
    return Mixture(backend, open_proposals(proposal, backend, task, open_model, known), share)


def _method(
    backend: Backend, task: Task, judge: Checker, asked: Method | None, temperature: float
) -> tuple[Method, list[str]]:
    """The method, and what there is to say about it."""
    if asked == "importance":
        raise UsageError("method 'importance' needs a proposal: hint, or a model")
    if asked not in (None, *get_args(Method)):
        raise UsageError(f"no method is called '{asked}'; there are: {', '.join(get_args(Method))}")
    enumerable = judge.prefixes and not task.stop and temperature == 1
    if asked == "exact":
        if not enumerable:
            raise UsageError(
                "method 'exact' needs a check that accepts listed answers (checker 'prefix'), no "
                f"stop and temperature 1, not checker '{judge.name}' at {temperature}"
            )
        notes = []
        if not backend.unique_tokens:
            notes = ["a lower bound: the same answers written with other tokens are left out"]
        return "exact", notes
    if asked is None and enumerable and backend.unique_tokens:
        return "exact", []
    if asked == "independent":
        return "independent", []
    if asked is None and task.tokens > TREE_TOKENS:
        return "independent", [f"texts of {task.tokens} tokens share few prefixes: no tree"]
    try:
        backend.next_token_logprobs([NextRequest(task.instances[0].prompt)])
    except UsageError as error:
        if asked == "tree":
            raise
        return "independent", [f"no tree: {error}"]
    return "tree", []


def _passes(r: int | None, relative_error: float | None, budget: int | None) -> float:
    if relative_error is not None:
        if r is not None:
            raise UsageError("choose one of r and relative_error")
        if not 0 < relative_error < 1:
            raise UsageError(f"relative_error lies between 0 and 1, not {relative_error}")
        return float(math.ceil(2 + 1 / relative_error**2))
    if r is None:
        return 2.0 if budget is None else math.inf
    return float(r)


def _sensible(r: float, max_samples: int, budget: int | None, temperature: float) -> None:
    for name, value in (("r", r), ("max_samples", max_samples), ("budget", budget)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, not {value:g}")
    if not 0 < temperature < math.inf:
        raise UsageError(f"temperature must be positive, not {temperature}")
