"""The module structure: imports go one way (tests/structure.py lists the rooms)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import structure
from tests.structure import ROOMS, TOP, arrows_back, circles, classes, digest, rooms, shadowed


def test_every_room_is_known() -> None:
    assert rooms() == {*ROOMS, *TOP}


def test_no_circle_of_imports() -> None:
    """Imports inside functions count: they hide a circle but do not remove it."""
    assert circles() == []


def test_no_arrow_back() -> None:
    assert arrows_back() == []


def test_a_class_name_has_one_meaning() -> None:
    assert {name: where for name, where in classes().items() if len(where) > 1} == {}


def test_no_public_name_is_a_module() -> None:
    assert shadowed() == []


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package in place of ours."""
    folder = tmp_path / "augury"
    folder.mkdir()
    forget()
    monkeypatch.setattr(structure, "SOURCE", tmp_path)
    yield folder
    forget()


def forget() -> None:
    for cached in (structure.modules, structure.tree, structure.imports, structure.bare):
        cached.cache_clear()


def write(package: Path, **modules: str) -> None:
    forget()
    for name, text in modules.items():
        path = package / (name.replace("__", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_a_circle_and_an_arrow_back_are_found_in_functions_too(package: Path) -> None:
    write(
        package,
        data="def f():\n    from augury.laws import g\n",
        laws="from . import fitting\n",
        fitting="import augury.data\n",
        forecast="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import augury.study\n",
    )
    assert circles() == [["augury.data", "augury.fitting", "augury.laws"]]
    assert arrows_back() == [
        "augury.data:2 imports augury.laws",
        "augury.laws:1 imports augury.fitting",
    ]


def test_a_name_shadowed_by_its_file_is_found(package: Path) -> None:
    write(package, laws__power="power = 1\n", laws__line="slope = 1\n")
    text = "from augury.laws.power import power\nfrom augury.laws.line import slope\n"
    (package / "laws" / "__init__.py").write_text(text)
    assert shadowed() == ["augury.laws.power"]


def test_a_digest_changes_with_the_code_and_not_with_its_words(package: Path) -> None:
    write(package, laws__a='"""Says."""\ndef f(x):\n    return x  # why\n')
    before = digest("laws")
    write(package, laws__a='"""Says more."""\n\n\ndef f(x):\n    """What."""\n    return (x)\n')
    assert digest("laws") == before != digest("data")
    write(package, laws__a="def f(x):\n    return -x\n")
    assert digest("laws") != before
