"""Locate the stored outputs of other tools, with one small file of each kind."""

from __future__ import annotations

from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"

# kind -> required file name, and the fixtures of the kind
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
    """The only fixture of a kind whose path has this ending."""
    (path,) = (FIXTURES / kind).rglob(name)
    return path
