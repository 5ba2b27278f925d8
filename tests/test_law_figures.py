"""The table of docs/laws.md is made from its record."""

from __future__ import annotations

import json

from benchmarks.law_figures import FIGURES, PAGE, RECORD, page_of


def test_the_table_is_made_from_the_record() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert set(record) <= set(FIGURES)
    text = PAGE.read_text(encoding="utf-8")
    assert page_of(text, record) == text, "run `python -m benchmarks.law_figures`"
    for name, ours in record.items():
        assert f"| {ours} | `python -m benchmarks.law_figures --run {name}` |" in text
