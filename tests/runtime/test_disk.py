"""On a full disk, the error names the file being written, for every writer."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl
import pytest

from augury.data import write_table
from augury.data.readers.results import ReadResults, write_results
from augury.errors import AuguryError
from augury.evaluate.journal import Journal
from augury.report import save_figure
from augury.report.page.story import Story
from augury.report.page.write import write_page
from augury.runtime.atomic import atomic_file, atomic_folder
from augury.runtime.json_files import write_json

ROWS = pl.DataFrame({"model": [f"m{i}" for i in range(500)], "loss": np.linspace(2, 4, 500)})


@contextmanager
def full_disk(bytes_left: int = 512) -> Iterator[None]:
    """Limit the size of files that this process writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_folder(path: Path) -> None:
    with atomic_folder(path) as fresh:
        (fresh / "rows.json").write_text("x" * 2000)


def write_tensors(path: Path) -> None:
    from safetensors.numpy import save_file

    with atomic_file(path) as fresh:
        save_file({"w": np.zeros(2000)}, fresh)


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "json": ("a.json", lambda path: write_json(path, list(range(1000)))),
    "parquet": ("a.parquet", lambda path: write_table(ROWS, path)),
    "csv": ("a.csv", lambda path: write_table(ROWS, path)),
    "results": ("r.parquet", lambda path: write_results(ReadResults(ROWS), path)),
    "folder": ("study", write_folder),
    "tensors": ("model.safetensors", write_tensors),
}


def check_named(path: Path, write: Callable[[Path], object]) -> None:
    before = {p.name for p in path.parent.iterdir()}
    with full_disk(), pytest.raises((OSError, AuguryError)) as met:
        write(path)
    assert str(path) in str(met.value)
    assert "\n" not in str(met.value)
    if isinstance(met.value, OSError):
        assert met.value.errno == errno.EFBIG
    assert {p.name for p in path.parent.iterdir()} == before, "nothing is left behind"


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_names_the_file(tmp_path: Path, kind: str) -> None:
    name, write = WRITERS[kind]
    check_named(tmp_path / name, write)


def test_a_full_disk_names_the_picture(tmp_path: Path) -> None:
    chart = alt.Chart(alt.InlineData([{"x": 1}])).mark_point().encode(x="x:Q")
    check_named(tmp_path / "picture.svg", lambda path: save_figure(chart, path))


def test_a_full_disk_names_the_page(tmp_path: Path) -> None:
    story = Story(title="a fit", verdicts=("2.7",))
    check_named(tmp_path / "page.html", lambda path: write_page(story, path, pictures=False))


def test_a_full_disk_names_the_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        check_named(journal.path, lambda _: journal.append({"text": "x" * 1000}))


def test_an_error_about_something_else_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(FileNotFoundError, match="other"), atomic_file(tmp_path / "a") as fresh:
        fresh.write_text((tmp_path / "other").read_text())
    with pytest.raises(ConnectionResetError), atomic_file(tmp_path / "a"):
        raise ConnectionResetError(errno.ECONNRESET, "reset")
    with pytest.raises(IsADirectoryError, match=r"in'$"), atomic_file(tmp_path / "in") as fresh:
        fresh.write_text("x")
