"""The documents: pages that are made are as their makers make them, and the site builds."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.gallery import GALLERY, HOME, PAGES, gallery_page, home_page
from benchmarks.questions import PICTURES, QUESTIONS, RECORD

from tests.cli.test_cli import augury as augury  # the fixture
from tests.shared import CHINCHILLA, needs_chinchilla

ROOT = Path(__file__).parents[1]


def test_the_table_of_questions_and_the_gallery_are_made_from_the_record() -> None:
    record = json.loads(RECORD.read_text())
    assert [question.key for question in QUESTIONS] == list(record)
    text = HOME.read_text(encoding="utf-8")
    assert text == home_page(text, record)
    assert GALLERY.read_text(encoding="utf-8") == gallery_page(record)


def test_every_question_has_its_pages_and_pictures() -> None:
    for question in QUESTIONS:
        assert (HOME.parent / PAGES[question.key]).exists()
        picture = PICTURES / f"{question.key}.svg"
        assert picture.exists() == (question.picture is not None), question.key
        if picture.exists():
            assert picture.read_text().startswith("<svg")


@pytest.mark.slow
@needs_chinchilla
def test_the_record_is_what_the_command_says(
    augury: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first question; `make claims` asks all."""
    shutil.copy(CHINCHILLA, tmp_path / "chinchilla.csv")
    monkeypatch.chdir(tmp_path)
    said = augury(*shlex.split(QUESTIONS[0].command)[1:], "--json", "-q")
    told = json.loads(RECORD.read_text())[QUESTIONS[0].key]
    assert QUESTIONS[0].answer(json.loads(said.out)) == told["answer"]


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "gallery" / "index.html").exists()
