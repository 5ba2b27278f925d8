"""The list of note codes is complete, and its page is made from it."""

from __future__ import annotations

import ast
from pathlib import Path

from benchmarks.reference import pages, unlisted

from augury.notes import NOTES, Note

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "augury"


def codes_in_source() -> dict[str, str]:
    """Code -> location of every Note built in the package with a literal code."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            first = node.args[0]
            if called == "Note" and isinstance(first, ast.Constant):
                found[str(first.value)] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return found


def test_every_code_is_in_the_list_and_the_list_has_no_other() -> None:
    found = codes_in_source()
    assert len(found) > 30
    assert {code: where for code, where in found.items() if code not in NOTES} == {}
    assert set(NOTES) - set(found) == set()


def test_each_kind_says_what_it_means_and_what_to_do() -> None:
    for code, kind in NOTES.items():
        assert (SOURCE / kind.room).is_dir(), code
        assert kind.meaning.endswith("."), code
        assert kind.remedy.endswith("."), code
    assert Note("condition", "warning", "x").remedy == NOTES["condition"].remedy


def test_the_reference_is_made_from_the_code() -> None:
    for name, text in pages().items():
        page = ROOT / "docs" / "reference" / name
        assert page.read_text(encoding="utf-8") == text, f"{name}: python -m benchmarks.reference"


def test_every_public_name_is_on_one_page_of_the_reference() -> None:
    assert unlisted() == []
