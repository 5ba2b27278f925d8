"""The twelve questions of docs/index.md, answered again from the public data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.questions import QUESTIONS, RECORD, Question, answer, prepare

from tests.shared import needs_chinchilla

pytestmark = [pytest.mark.claims, needs_chinchilla]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("questions")
    prepare(folder)
    return folder


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.key)
def test_the_answer_is_that_of_the_record(question: Question, tables: Path, tmp_path: Path) -> None:
    told = json.loads(RECORD.read_text())[question.key]
    said = answer(question, tables, None, tmp_path / "cache")
    assert said["figures"] == pytest.approx(told["figures"], rel=1e-3)
