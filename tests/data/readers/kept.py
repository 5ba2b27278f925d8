"""Where the kept outputs of other tools lie, and one small file of each kind."""

from __future__ import annotations

from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"

# kind -> name a file of it must have, and the fixtures of it
NAMES = {
    "lm-eval": "results.json",
    "inspect": "log.json",
    "lighteval": "results_1.json",
    "humaneval": "samples.jsonl_results.jsonl",
    "evalplus": "m_eval_results.json",
    "bigcode": "evaluation_results.json",
    "loss": "history.jsonl",
    "table": "table.jsonl",
}


def fixture(kind: str, name: str) -> Path:
    """The one fixture of a kind whose path ends like this."""
    (path,) = (FIXTURES / kind).rglob(name)
    return path
