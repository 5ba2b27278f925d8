"""`augury read`: a table and what it lacks, or a one-line error and no file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from augury.cli import main
from augury.data import BY_NAME, read_table
from augury.data.readers import KINDS, read_results, write_results
from augury.errors import DataError, UsageError
from tests.data.readers.kept import FIXTURES, NAMES


@pytest.fixture
def augury(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run `augury read ARGS`: (status, standard output, standard error)."""

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["augury", "read", *map(str, args)])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv", "jsonl"])
def test_what_is_written_is_an_observation_table(tmp_path: Path, augury: Any, suffix: str) -> None:
    out = tmp_path / f"table.{suffix}"
    status, said, _ = augury("lm-eval", FIXTURES / "lm-eval", "--out", out)
    assert status == 0
    assert said.startswith("7 rows (1 files, 1 models, 4 tasks, 6 metrics)\n")
    assert said.endswith(f"Table: {out}\n")
    table = read_table(out)
    assert table["value"].to_list() == read_results("lm-eval", FIXTURES / "lm-eval").table[
        "value"
    ].to_list()  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "folder"),
    [(k, k) for k in ("lm-eval", "lighteval", "humaneval", "evalplus", "bigcode", "loss")]
    + [
        ("lm-eval", "lm-eval-samples"),
        ("inspect", "inspect/2026-11-21T08-40-26-00-00_tiny-sums.eval"),
    ],
)
def test_every_kind_comes_back(tmp_path: Path, kind: str, folder: str) -> None:
    """Our own reader reads the written table, checks identities, and finds the same rows."""
    found = read_results(kind, FIXTURES / folder)
    out = write_results(found, tmp_path / "table.parquet")
    assert read_table(out).equals(found.table)
    known = [c for c in found.table.columns if c in BY_NAME]
    assert found.table.columns[: len(known)] == known
    assert found.table["file"].null_count() == 0
    assert not [s.name for s in found.table if s.null_count() == len(s)]


def test_one_evaluation_in_two_forms() -> None:
    """The .json and the .eval of the same model, task and scorer."""
    with pytest.raises(DataError, match=r"\.eval: the same measurement as in .*\.json"):
        read_results("inspect", FIXTURES / "inspect")


def test_json(tmp_path: Path, augury: Any) -> None:
    out = tmp_path / "table.parquet"
    status, said, _ = augury("lighteval", FIXTURES / "lighteval", "--out", out, "--json")
    assert status == 0
    told = json.loads(said)
    assert set(told) == {"rows", "columns", "failures", "unresolved", "notes", "left_out", "out"}
    assert told["rows"] == pl.read_parquet(out).height == 14
    (lacking,) = told["unresolved"]
    assert (lacking["model"], lacking["missing"], lacking["files"]) == ("tiny-5k", ["params"], 3)


def test_a_wrong_file_and_nothing_is_written(tmp_path: Path, augury: Any) -> None:
    good = '{"results": {"t": {"acc": 0.5}}, "config": {"model_args": "pretrained=m-1b"}}'
    results, out = tmp_path / "results", tmp_path / "table.parquet"
    results.mkdir()
    (results / "a.json").write_text(good)
    (results / "b.json").write_text('{"results": {"t": {"acc"')
    out.write_text("as it was")
    status, said, complaint = augury("lm-eval", results, "--out", out)
    assert (status, said) == (2, "")
    assert complaint == (
        f"augury: {results / 'b.json'}: line 1, character 25: not JSON (Expecting ':' delimiter); "
        "expected complete JSON without duplicate keys\n"
    )
    assert out.read_text() == "as it was"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results", "table.parquet"]
    status, said, _ = augury("lm-eval", results, "--out", out, "--keep-going")
    assert status == 0
    lines = said.splitlines()
    assert lines[1] == "1 could not be read:"
    assert "b.json: line 1, character 25" in lines[2]
    assert lines[3:5] == ["1 left unresolved:", f"  m-1b: step not found ({results / 'a.json'})"]
    assert pl.read_parquet(out)["value"].to_list() == [0.5]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("odd", "x", "--out", "t.parquet"), "cannot read 'odd': expected one of lm-eval, inspect"),
        (("lm-eval", "no-such", "--out", "t.parquet"), "no-such: there is no such file or folder"),
        (("lm-eval", ".", "--out", "t.parquet"), ".: no file of this kind in this folder"),
        (("lm-eval", "a.json", "--out", "no/t.parquet"), "the folder no does not exist"),
        (("lm-eval", "a.json", "--out", "t.xls"), "cannot write t.xls: expected one of .parquet"),
        (("lm-eval", "a.json", "--out", "t.csv", "--models", "m.csv"), "m.csv: there is no such"),
    ],
)
def test_wrong_calls(
    tmp_path: Path, augury: Any, monkeypatch: pytest.MonkeyPatch, args: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if "a.json" in args:
        (tmp_path / "a.json").write_text('{"results": {"t": {"acc": 0.5}}}')
    status, said, complaint = augury(*args)
    assert (status, said) == (2, "")
    assert complaint.startswith("augury: ")
    assert message in complaint
    assert complaint.count("\n") == 1
    assert not [p for p in tmp_path.iterdir() if p.name != "a.json"]


def test_tables_of_our_own_go_together(tmp_path: Path, augury: Any) -> None:
    (tmp_path / "a.csv").write_text("model,step,task,value\nm-1b,1,t,0.5\n")
    (tmp_path / "b.jsonl").write_text('{"model": "m-1b", "step": 2, "task": "t", "value": 0.6}\n')
    found = read_results("table", [tmp_path / "a.csv", tmp_path / "b.jsonl"])
    assert found.table.select("model", "step", "value").rows() == [
        ("m-1b", 1, 0.5), ("m-1b", 2, 0.6)
    ]  # fmt: skip
    assert [u.missing for u in found.unresolved] == [("params",)] * 2
    with pytest.raises(UsageError, match="a table names its own models"):
        read_results("table", tmp_path / "a.csv", models=tmp_path / "models.csv")


def test_every_kind_is_tested() -> None:
    assert set(KINDS) == set(NAMES)
    with pytest.raises(UsageError, match="cannot read 'lm_eval'"):
        read_results("lm_eval", ".")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("params\n1e9\n", "column 'model': the column is missing"),
        ("model,params\nm,1e9\nm,2e9\n", "column 'model': duplicate model"),
        ("model,params\nm,-1\n", "row 1, column 'params'"),
    ],
)
def test_wrong_tables_of_models(tmp_path: Path, rows: str, message: str) -> None:
    models = tmp_path / "models.csv"
    models.write_text(rows)
    with pytest.raises(Exception, match=message) as error:
        read_results("lm-eval", FIXTURES / "lm-eval", models=models)
    assert str(models) in str(error.value)


@pytest.mark.slow
def test_files_read_by_several_processes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any kind, in order, with left-out entries, errors and foreign files unchanged."""
    from augury.data.readers import workers

    for i in range(12):
        (tmp_path / f"m-{i + 1}m").mkdir()
        results: dict[str, Any] = {"t": {"acc,none": i / 12, "odd": [i]}, f"u{i % 3}": {"f1": 0.5}}
        file = {"results": results, "config": {"model_args": f"pretrained=org/m-{i + 1}m"}}
        text = json.dumps(file, indent=2) if i != 7 else '{"results": {'
        (tmp_path / f"m-{i + 1}m" / "results.json").write_text(text)
    (tmp_path / "config.json").write_text('{"a": 1}')
    alone = read_results("lm-eval", tmp_path, keep_going=True)
    monkeypatch.setattr(workers, "WORTH_A_PROCESS", 1.0)
    monkeypatch.setattr(workers, "cores", lambda: 3)
    together = read_results("lm-eval", tmp_path, keep_going=True)
    assert together.table.equals(alone.table)
    assert together.left_out == alone.left_out
    assert [*map(str, together.failures)] == [*map(str, alone.failures)]
    for kind, folder in (("loss", "loss"), ("lighteval", "lighteval"), ("bigcode", "bigcode")):
        monkeypatch.setattr(workers, "cores", lambda: 1)
        alone = read_results(kind, FIXTURES / folder)
        monkeypatch.setattr(workers, "cores", lambda: 2)
        assert read_results(kind, FIXTURES / folder).table.equals(alone.table)


def test_a_reader_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader given as an object, and by another package's entry point."""
    from augury.data.readers import READERS, ModelInfo, Part, Reader, find_reader, kinds, reader

    module = tmp_path / "myreading.py"
    module.write_text(
        "import polars as pl\n"
        "from augury.data.readers import Part, Reader, ModelInfo\n"
        "def read(path):\n"
        "    task, score = path.read_text().split()\n"
        "    rows = pl.DataFrame({'task': [task], 'metric': ['acc'], 'value': [float(score)]})\n"
        "    return Part(path, ModelInfo('org/mine-1b', 'step5'), rows, (task,))\n"
        "READER = Reader('mine', lambda path: path.suffix == '.mine', read, 'my own')\n"
    )
    (tmp_path / "a.mine").write_text("sums 0.5")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(reader, "_from_outside", lambda: {"mine": "myreading:READER"})
    assert "mine" in kinds()
    assert set(READERS) == set(kinds())
    table = read_results("mine", tmp_path).table
    assert table.select("model", "params", "step", "task", "value").rows() == [
        ("org/mine-1b", 1e9, 5, "sums", 0.5)
    ]
    own = Reader("other", lambda p: True, find_reader("mine").read)
    assert read_results(own, tmp_path / "a.mine").table.equals(table)
    assert isinstance(own.read(tmp_path / "a.mine"), Part)
    assert ModelInfo().model is None
    monkeypatch.setattr(reader, "_from_outside", lambda: {"mine": "nowhere:READER"})
    with pytest.raises(UsageError, match="cannot load the reader 'mine' from nowhere:READER"):
        find_reader("mine")
    monkeypatch.setattr(reader, "_from_outside", lambda: {"mine": "json:dumps"})
    with pytest.raises(UsageError, match="json:dumps is not a Reader, but a function"):
        find_reader("mine")


def test_rows_of_models_that_no_file_is_of_are_listed(tmp_path: Path, augury: Any) -> None:
    table = tmp_path / "models.csv"
    table.write_text("model,params\nno-such-model,1e9\n")
    out = tmp_path / "t.parquet"
    status, said, _ = augury("lm-eval", FIXTURES / "lm-eval", "--models", table, "--out", out)
    assert status == 0
    assert f"{table}: no file belongs to 'no-such-model'" in said
