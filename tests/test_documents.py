"""The documents: generated pages are up to date, and the site builds."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.gallery import GALLERY, HOME, NOTEBOOKS, PAGES, gallery_page, home_page
from benchmarks.notebooks import CASES, FOLDER, run_cell
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


@pytest.mark.parametrize("name", sorted(set(NOTEBOOKS.values())))
def test_a_case_is_an_executed_notebook(name: str) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert len(text) < 150_000
    made = nbformat.reads(text, as_version=4)
    nbformat.validate(made)
    assert (made.nbformat, made.nbformat_minor) == (4, 5)
    assert "Data: " in made.cells[0].source
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code] == [code for _, code in CASES[name].cells]
    assert [cell.execution_count for cell in code] == [i + 1 for i in range(len(code))]
    assert any(o.output_type == "stream" for cell in code for o in cell.outputs)
    kinds = {kind for cell in code for o in cell.outputs for kind in o.get("data", {})}
    assert kinds & {"image/svg+xml", "image/png"}


def test_notebooks_and_commands_say_the_same() -> None:
    record = json.loads(RECORD.read_text())

    def printed(name: str) -> str:
        cells = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        return "".join(line for cell in cells for o in cell.get("outputs", ())
                       for line in o.get("text", ()))  # fmt: skip

    for key, name in (("optimum", "chinchilla"), ("epochs", "repeats"), ("mixture", "mixtures"),
                      ("olmo", "olmo-ladder"), ("track", "running-curve")):  # fmt: skip
        told = [line.rstrip() for line in record[key]["shown"].splitlines()[:6] if line.strip()]
        assert told
        missing = [line for line in told if line not in printed(name)]
        assert not missing, (name, missing)


def test_a_cell_is_run_as_jupyter_runs_it() -> None:
    space: dict[str, Any] = {}
    assert run_cell("a = 2\nprint(a)\na + 1", 1, space) == [
        {"output_type": "stream", "name": "stdout", "text": ["2\n"]},
        {"output_type": "execute_result", "execution_count": 1, "metadata": {},
         "data": {"text/plain": ["3"]}},
    ]  # fmt: skip
    assert run_cell("b = a", 2, space) == []


@pytest.mark.slow
@needs_chinchilla
def test_the_record_is_what_the_command_says(
    augury: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first question only; `make claims` runs all."""
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
