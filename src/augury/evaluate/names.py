"""What a model's name says: its family, its size left out, and the training step."""

from __future__ import annotations

import re
from pathlib import Path

# "-1.4b" in pythia-1.4b-deduped, "-0.5B" in Qwen2.5-0.5B, "-70m" in pythia-70m
_SIZE = re.compile(r"[-_]\d+(?:\.\d+)?[kmbt](?=$|[-_])", re.IGNORECASE)
# step143000 (Pythia), stage1-step1000-tokens5B (OLMo), step-500 (the lab's folders)
_STEP = re.compile(r"step[-_]?(\d+)", re.IGNORECASE)


def model_name(path_or_id: str | Path) -> str:
    """A hub id as it is; of a path its last folder."""
    path = Path(path_or_id)
    return path.resolve().name if path.exists() else str(path_or_id)


def family_of(name: str) -> str | None:
    """The name without owner and size; None where no size can be told in it."""
    short = name.rsplit("/", 1)[-1]
    family = _SIZE.sub("", short, count=1)
    return family if family != short else None


def step_of(*texts: str | None) -> int | None:
    """The training step in the first text that tells one."""
    for text in texts:
        found = _STEP.search(text or "")
        if found:
            return int(found[1])
    return None
