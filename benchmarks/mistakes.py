"""Seconds and tokens until a mistake is reported: `python -m benchmarks.mistakes`.

Each mistake is made on the command line. The model is a server in this process, which counts the
requested tokens; the table goes into docs/passuntil.md.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.evaluate.servers import Misbehaving, says

DOCUMENT = Path(__file__).parent.parent / "docs" / "passuntil.md"
BEGIN, END = "<!-- made by `python -m benchmarks.mistakes` -->", "<!-- end of mistakes -->"
# Instances and tokens of a sample: a whole first wave would be 128 samples of each.
INSTANCES, TOKENS = 32, 16
# File sizes at which the disk is full: one stops the journal in its first wave,
# the other stops the rows, which are written last.
JOURNAL_FULL, ROWS_FULL = 600, 2_000


@dataclass(frozen=True)
class Mistake:
    """A mistake, and the arguments that make it."""

    name: str
    rows: Mapping[str, str]
    options: tuple[str, ...] = ()
    address: str = ""
    full_disk: int | None = None


RIGHT = {"prompt": "Say yes:", "reference": "yes"}
MISTAKES = (
    Mistake("`answer` in place of `reference` in the task's file", {**RIGHT, "answer": "yes"}),
    Mistake("a checker that does not exist (`exat`)", RIGHT, ("--checker", "exat")),
    Mistake("a checker of one's own that cannot be imported", RIGHT, ("--checker", "mine:check")),
    Mistake("a server at another port", RIGHT, address="http://127.0.0.1:9#m"),
    Mistake("a server's name misspelt", RIGHT, address="http://servr.invalid#m"),
    Mistake("a model's folder that is not there", RIGHT, address="hf:models/smolm2"),
    Mistake("a full disk, met by the journal", RIGHT, full_disk=JOURNAL_FULL),
    Mistake("a full disk, met by the table of rows at the end", RIGHT, full_disk=ROWS_FULL),
)


def main() -> None:
    """Make every mistake and write the table."""
    rows = [made(mistake) for mistake in MISTAKES]
    lines = ["| mistake | seconds of CPU | seconds | tokens | message |", "|---|---|---|---|---|"]
    for mistake, (used, waited, tokens, message) in zip(MISTAKES, rows, strict=True):
        lines.append(f"| {mistake.name} | {used:.1f} | {waited:.0f} | {tokens:,} | {message} |")
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    table = "\n".join(lines)
    text = f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}"
    DOCUMENT.write_text(text, encoding="utf-8")
    print(table)


def made(mistake: Mistake) -> tuple[float, float, int, str]:
    """CPU and wall seconds, requested tokens, and the last line that the command wrote."""
    with Misbehaving(_writes) as server, tempfile.TemporaryDirectory() as folder:
        task = Path(folder) / "task.jsonl"
        rows = dict(mistake.rows)
        if "answer" in rows:
            del rows["reference"]
        task.write_text(
            "".join(json.dumps({"id": str(i), **rows}) + "\n" for i in range(INSTANCES))
        )
        command = [
            sys.executable, "-m", "augury", "passuntil", "--model",
            mistake.address or f"{server.url}#m", "--task", str(task), "--tokens", str(TOKENS),
            "--max-samples", "256", "--out", str(Path(folder) / "study"), *mistake.options,
        ]  # fmt: skip
        before, began = _children(), time.perf_counter()
        ended = subprocess.run(
            command, capture_output=True, text=True, cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            preexec_fn=partial(_fill_disk, mistake.full_disk) if mistake.full_disk else None,
        )  # fmt: skip
        used, waited = _children() - before, time.perf_counter() - began
        print(mistake.name, ended.returncode, f"{waited:.1f} s", flush=True)
        asked = sum(body.get("n", 1) * body["max_tokens"] for body in server.bodies)
        line = ended.stderr.strip().splitlines()[-1].replace(folder + "/", "")
        return used, waited, asked, line.replace("|", "/")


def _writes(handler: Any, body: dict[str, Any]) -> None:
    choices = [{"index": i, "text": f"no{i}"} for i in range(body.get("n", 1))]
    says(200, {"choices": choices})(handler, body)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _fill_disk(size: int) -> None:
    """A limit on file size stands in for a full disk."""
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


if __name__ == "__main__":
    main()
