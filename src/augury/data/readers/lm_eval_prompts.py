"""Which wording of a benchmark a task of lm-evaluation-harness uses.

Two conventions name it: tasks that come in several wordings end in its number
("evalita-mp_te_prompt-3", "naijarc_hau_prompt_1"), and the fork that ran promptsource's templates
(the evaluations of BLOOM) writes `task_name` and `prompt_name` into each entry.
"""

from __future__ import annotations

import re
from typing import Any

NUMBERED = re.compile(r"(?P<task>.+)_prompt[-_](?P<prompt>\d+)")
# Texts of an entry, not scores.
NAMES = ("task_name", "prompt_name")
NO_TEMPLATE = "null"


def task_and_prompt(task: str, entry: dict[str, Any] | None = None) -> tuple[str, str | None]:
    """Return the benchmark and its wording; None if neither the name nor the entry tells one."""
    named = [(entry or {}).get(name) for name in NAMES]
    if all(isinstance(text, str) and text for text in named):
        return str(named[0]), None if named[1] == NO_TEMPLATE else str(named[1])
    found = NUMBERED.fullmatch(task)
    return (task, None) if found is None else (found["task"], found["prompt"])
