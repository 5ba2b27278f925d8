"""Samples kept for people to read, with verdicts: a few failures and passes per instance.

They are beside the journal in `samples.jsonl`. They are not counted: a run that was killed may lack
a few, but nothing else.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Per verdict of an instance: enough to see what a model writes.
KEEP = 3
# In total, and characters of each: about 20 MB at most for the longest answers.
MOST, LONGEST = 5_000, 4_000
FILE = "samples.jsonl"


@dataclass(frozen=True)
class KeptSample:
    """One sample.

    Attributes:
        instance: its id.
        text: what was judged: the sample up to its stop.
        passed: the verdict.
        reason: why, as far as the checker tells.
    """

    instance: str
    text: str
    passed: bool
    reason: str = ""


class SampleKeeper:
    """Keeps the first few samples of each instance and verdict.

    Args:
        folder: where `samples.jsonl` is; None keeps them in memory.
        keep: number per verdict of an instance.
    """

    def __init__(self, folder: Path | None, keep: int = KEEP) -> None:
        self._path = None if folder is None else folder / FILE
        self._keep = keep
        self.samples = [] if self._path is None else list(read_kept(self._path))
        self._written = len(self.samples)
        self._have = Counter((s.instance, s.passed) for s in self.samples)

    @property
    def whole(self) -> int:
        """Return how many failed samples of a batch are worth writing to their end."""
        return 2 * self._keep + 2

    def wants(self, instance: str, passed: bool) -> bool:
        """Return whether another one is kept."""
        return self._have[instance, passed] < self._keep and len(self.samples) < MOST

    def add(self, sample: KeptSample) -> None:
        """Keep one, if it is wanted."""
        if self.wants(sample.instance, sample.passed):
            self._have[sample.instance, sample.passed] += 1
            self.samples.append(sample)

    def save(self) -> None:
        """Write new ones. A full disk costs samples to read, not the run."""
        new = self.samples[self._written :]
        if self._path is None or not new:
            return
        lines = "".join(
            json.dumps({**asdict(s), "text": s.text[:LONGEST]}, ensure_ascii=True) + "\n"
            for s in new
        )
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(lines)
        self._written = len(self.samples)


def read_kept(path: Path) -> Iterator[KeptSample]:
    """Yield the samples of a file; none without a file, and a torn last line is left out."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError:
        return
    for line in lines:
        try:
            record = json.loads(line)
            yield KeptSample(
                str(record["instance"]), str(record["text"]), record["passed"] is True,
                str(record["reason"]),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError):
            continue


def study_samples(study: Path) -> list[dict[str, Any]]:
    """Return every sample that the measurements of a study kept, with its model and task."""
    found = []
    for path in sorted(study.rglob(FILE)):
        try:
            settings = json.loads((path.parent / "settings.json").read_text())
        except (OSError, ValueError):
            continue
        about = settings.get("model")
        model = about.get("model") if isinstance(about, dict) else None
        found += [
            {"model": model, "task": settings.get("task"), **asdict(sample)}
            for sample in read_kept(path)
        ]
    return found
