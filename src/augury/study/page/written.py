"""Model outputs: a few kept samples of each model and task, to read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from augury.evaluate.kept_samples import study_samples
from augury.report.page.story import Section, Table

# Per verdict of a model on a task, and in total; characters of each. `augury samples` has all.
EACH, ALL, LONGEST = 2, 40, 200


def written_sections(folder: Path) -> list[Section]:
    """Return a table of samples with their verdicts; nothing if none were kept."""
    shown: list[dict[str, str]] = []
    seen: Counter[tuple[str, str, bool]] = Counter()
    kept = study_samples(folder)
    for sample in kept:
        whose = str(sample["model"]), str(sample["task"]), bool(sample["passed"])
        if seen[whose] == EACH or len(shown) == ALL:
            continue
        seen[whose] += 1
        text = sample["text"]
        shown.append(
            {
                "model": whose[0],
                "task": whose[1],
                "instance": sample["instance"],
                "verdict": "passed" if sample["passed"] else "failed",
                "text": repr(text if len(text) <= LONGEST else text[:LONGEST] + " ...")[1:-1],
                "reason": sample["reason"],
            }
        )
    if not shown:
        return []
    told = (
        f"{len(shown)} of {len(kept)} samples that were kept, the first of each model, task and "
        f"verdict. augury samples {folder.name} shows all."
    )
    table = Table("Samples and their verdicts", pl.DataFrame(shown))
    return [Section("What the models wrote", (told,), tables=(table,))]
