"""Logs written by an installed Inspect, with tasks, scorers and a model made here.

Run by the interpreter that has it (`benchmarks.field` starts it). Next to every log is a file with
what Inspect's own reader finds in it, as plain JSON: the reference for Augury.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import sys
import zlib
from pathlib import Path
from typing import Any

import inspect_ai.scorer
from inspect_ai import Epochs, Task, eval, task  # noqa: A004
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log
from inspect_ai.model import ModelOutput, get_model
from inspect_ai.scorer import (
    Score,
    Target,
    accuracy,
    choice,
    exact,
    f1,
    includes,
    match,
    mean,
    metric,
    pattern,
    scorer,
    std,
    stderr,
)
from inspect_ai.solver import Generate, TaskState, generate, multiple_choice, solver, system_message

SAMPLES = 8


class Words:
    """A tokenizer without downloads, because newer versions count an answer's tokens."""

    def encode(self, text: str, **_: Any) -> list[int]:
        """A number for each word."""
        return [zlib.crc32(word.encode()) for word in text.split()]


def count_words() -> None:
    """Count words instead of tokens, whose tokenizer would be downloaded."""
    with contextlib.suppress(ImportError):
        import tiktoken

        tiktoken.get_encoding = tiktoken.encoding_for_model = lambda name: Words()


def samples(rng: random.Random, *, letters: bool = False, ids: str = "number") -> list[Sample]:
    """Additions, as a question or as a choice of four."""
    made = []
    for i in range(SAMPLES):
        a, b = rng.randrange(10, 99), rng.randrange(10, 99)
        name: Any = i + 1 if ids == "number" else f"sum/{i} „{a}“" if ids == "text" else None
        kind = {"kind": ("easy", "hard")[i % 2]}
        if letters:
            choices = [str(a + b + d) for d in range(4)]
            made.append(
                Sample(input=f"{a} + {b}?", choices=choices, target="A", id=name, metadata=kind)
            )
        else:
            made.append(Sample(input=f"{a} + {b}?", target=str(a + b), id=name, metadata=kind))
    return made


@solver
def breaks(share: float) -> Any:
    """Makes some samples fail."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if (zlib.crc32(str(state.input).encode()) % 100) / 100 < share:
            raise RuntimeError("broken on purpose")
        return await generate(state)

    return solve


@metric
def spread_of_kinds() -> Any:
    """A metric with several numbers."""

    def compute(scores: Any) -> dict[str, float]:
        values = [_number(s) for s in scores]
        return {"low": min(values, default=0.0), "high": max(values, default=0.0)}

    return compute


@metric
def unknown() -> Any:
    """A metric that is always NaN."""
    return lambda scores: math.nan


def _number(item: Any) -> float:
    score = getattr(item, "score", item)
    try:
        return float(score.as_float())
    except (TypeError, ValueError, AttributeError):
        return 0.0


def by_kind() -> list[Any]:
    """The mean of each kind of sample, in versions that have it."""
    grouped = getattr(inspect_ai.scorer, "grouped", None)
    return [mean()] if grouped is None else [grouped(mean(), "kind"), mean()]


def _scored(value: Any, metrics: Any, name: str) -> Any:
    """A scorer of this name that returns `value` of an answer."""

    def make() -> Any:
        async def score(state: TaskState, target: Target) -> Score:
            right = target.text in state.output.completion
            return Score(value=value(right, str(state.input)), answer=state.output.completion)

        return score

    make.__name__ = name
    return scorer(metrics=metrics)(make)()


def scorers(rng: random.Random) -> list[Any]:
    """One to three scorers."""
    both = [accuracy(), stderr()]
    known = {
        "includes": lambda: includes(),
        "match": lambda: match(numeric=True),
        "exact": lambda: exact(),
        "f1": lambda: f1(),
        "pattern": lambda: pattern(r"(\d+)"),
        "letters": lambda: _scored(lambda r, _: "C" if r else "PIN"[len(_) % 3], both, "letters"),
        "number": lambda: _scored(lambda r, _: 0.25 + 0.5 * r, [mean(), stderr(), std()], "number"),
        "truth": lambda: _scored(lambda r, _: bool(r), both, "truth"),
        "points": lambda: _scored(
            lambda r, _: 7 if r else 3, [mean(), std(), spread_of_kinds()], "points"),
        "facts": lambda: _scored(
            lambda r, t: {"fact": "C" if r else "I", "style": len(t) % 3 / 2},
            {"fact": [accuracy(), stderr()], "style": [mean()]}, "facts"),
        "star": lambda: _scored(
            lambda r, t: {"a": float(r), "b": 0.5}, [{"*": [mean(), stderr()]}], "star"),
        "listed": lambda: _scored(lambda r, t: [float(r), 0.75], [unknown()], "listed"),
        "missing": lambda: _scored(
            lambda r, t: math.nan if len(t) % 3 == 0 else float(r), [mean()], "missing"),
        "by_kind": lambda: _scored(lambda r, t: float(r), by_kind(), "by_kind"),
        "words": lambda: _scored(lambda r, t: "yes" if r else "no", both, "words"),
        "texts": lambda: _scored(lambda r, t: "good" if r else "bad", [unknown()], "texts"),
    }  # fmt: skip
    return [known[name]() for name in rng.sample(sorted(known), rng.choice((1, 1, 2, 3)))]


def one(i: int, folder: Path) -> None:
    """One evaluation with random options, and what it wrote."""
    rng = random.Random(i)
    letters = rng.random() < 0.2
    rows = samples(rng, letters=letters, ids=rng.choice(("number", "text", "none")))
    answers = []
    for k in range(200):
        row = rows[k % len(rows)]
        right = rng.random() < 0.6
        words = (
            f"ANSWER: {'A' if right else 'B'}"
            if letters
            else (
                str(row.target)
                if right
                else f"I think {row.target} or so"
                if rng.random() < 0.3
                else "12"
            )
        )
        answers.append(ModelOutput.from_content("mockllm/model", words))
    steps: list[Any] = [multiple_choice()] if letters else [generate()]
    if rng.random() < 0.3:
        steps.insert(0, system_message("Be brief."))
    broken = rng.random() < 0.15
    if broken:
        steps = [breaks(0.3)]
    epochs = rng.choice((None, None, 2, 3))
    reducer = rng.choice(
        (None, "mean", ["mean", "max"], "mode", "median", ["at_least_1", "pass_at_1"])
    )
    judged = [choice()] if letters else scorers(rng)
    options: dict[str, Any] = {}
    for name, share, values in (
        ("limit", 0.2, (4, (2, 6))), ("temperature", 0.2, (0.7,)), ("seed", 0.1, (3,)),
        ("max_tokens", 0.1, (64,)), ("tags", 0.1, (["a", "b"],)), ("metadata", 0.1, ({"note": 1},)),
        ("message_limit", 0.1, (1, 20)), ("token_limit", 0.05, (1000,)), ("max_samples", 0.2, (1,)),
        ("log_samples", 0.1, (False,)), ("score", 0.05, (False,)),
        ("system_message", 0.1, ("Hm.",)),
    ):  # fmt: skip
        if rng.random() < share:
            options[name] = rng.choice(values)

    @task
    def sums(level: int = 1, style: str = "plain") -> Task:
        kept = Epochs(epochs, reducer) if epochs and reducer else epochs
        return Task(dataset=rows, solver=steps, scorer=judged, epochs=kept,
                    version=rng.choice((0, 1, 2)), name=f"sums_{i % 7}")  # fmt: skip

    model = get_model("mockllm/model", custom_outputs=answers)
    eval(
        sums(level=rng.choice((1, 2))), model=model, log_dir=str(folder),
        log_format=rng.choice(("eval", "json")), fail_on_error=False if broken else None,
        display="none", **options,
    )  # fmt: skip


def plain(value: Any) -> Any:
    """Convert to JSON: numbers that are not finite become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def truth(path: Path) -> dict[str, Any]:
    """The contents of a log by the tool's own reader."""
    log = read_eval_log(str(path))
    totals = [
        {
            "name": s.name, "reducer": s.reducer,
            "metrics": {n: plain(m.value) for n, m in s.metrics.items()},
        }
        for s in (log.results.scores if log.results else [])
    ]  # fmt: skip
    instances = [
        {
            "id": str(s.id), "epoch": s.epoch,
            "scores": {n: plain(v.value) for n, v in (s.scores or {}).items()},
        }
        for s in log.samples or []
    ]  # fmt: skip
    return {"file": path.name, "status": log.status, "totals": totals, "instances": instances}


def main(out: Path, count: int) -> None:
    """Make this many logs, each in its own folder."""
    failed = 0
    count_words()
    for i in range(count):
        folder = out / "files" / f"toy-{('70m', '1.4b')[i % 2]}_step{100 * (i + 1)}"
        if (folder / "done").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        try:
            one(i, folder)
            made = [p for p in folder.iterdir() if p.suffix in (".json", ".eval")]
            (folder / "done").write_text(json.dumps([truth(p) for p in made]))
        except Exception as error:
            failed += 1
            print(f"{i}: {type(error).__name__}: {str(error)[:300]}", flush=True)
    print(f"{count} runs, {failed} failed", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]))
