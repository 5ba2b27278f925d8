"""Tables as users have them: the meaning is read; unclear cells are errors, not missing."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augury.data import observations, parse_map, read_table, write_table
from augury.data.numbers import read_cell
from augury.data.read import parse_scale, repeated_rows
from augury.data.schema import BY_NAME
from augury.errors import AuguryError, DataError, UsageError


def attempt(make: Any, *args: Any) -> tuple[Any, str]:
    """The table, or None and the line that says why not."""
    try:
        return make(*args), ""
    except AuguryError as error:
        return None, str(error)


PLAIN = [(7e7, 7e8, 3.7706), (7e7, 1.4e9, 3.5105), (1.6e8, 3.2e9, 3.0854)]
NEEDED = ("params", "tokens", "loss")
ROWS = "7e7,7e8,3.7706\n7e7,1.4e9,3.5105\n1.6e8,3.2e9,3.0854\n"
HEAD = "params,tokens,loss\n"
DIALECTS = {
    "plain": HEAD + ROWS,
    "spaces": "params, tokens , loss\n 7e7, 7e8, 3.7706\n7e7 ,1.4e9,3.5105\n1.6e8,3.2e9,3.0854\n",
    "blank lines": "\n" + HEAD + "\n" + ROWS.replace("\n", "\n,,\n\n"),
    "a comment": "# my runs\n" + HEAD + ROWS,
    "suffixes": HEAD + "70M,0.70B,3.7706\n70m,1.4b,3.5105\n160M,3.2 B,3.0854\n",
    "thousands": HEAD + '"70,000,000","700,000,000",3.7706\n'
    '"70,000,000","1,400,000,000",3.5105\n"160,000,000","3,200,000,000",3.0854\n',
    "thin spaces": HEAD + "70 000 000,700_000_000,3.7706\n"
    "70\u202f000\u202f000,1\u00a0400\u00a0000\u00a0000,3.5105\n160'000'000,3'200'000'000,3.0854\n",
    "semicolons": "params;tokens;loss\n70000000;700000000;3,7706\n"
    "70000000;1400000000;3,5105\n160000000;3200000000;3,0854\n",
    "points for thousands": "params;tokens;loss\n70.000.000;700.000.000;3,7706\n"
    "70.000.000;1.400.000.000;3,5105\n160.000.000;3.200.000.000;3,0854\n",
    "semicolons and points": (HEAD + ROWS).replace(",", ";"),
    "tabs in a csv": (HEAD + ROWS).replace(",", "\t"),
    "carriage returns": (HEAD + ROWS).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_is_read_as_what_it_means(tmp_path: Path, dialect: str, encoding: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(DIALECTS[dialect].encode(encoding))
    table = read_table(path, require=NEEDED)
    assert table.select(NEEDED).rows() == PLAIN
    mapped = read_table(path, columns=parse_map(["unique_tokens= tokens"]))
    assert mapped["unique_tokens"].to_list() == [t for _, t, _ in PLAIN]


def test_a_row_keeps_its_number_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("params,tokens,loss\n7e7,7e8,3.7\n,,\n7e7,x,3.5\n")
    with pytest.raises(DataError, match="row 3, column 'tokens'"):
        read_table(path)


@pytest.mark.parametrize(
    ("column", "cell", "number"),
    [
        ("params", "1.4B", 1.4e9), ("params", "70 m", 7e7), ("tokens", "2T", 2e12),
        ("tokens", "1,200B", 1.2e12), ("step", "64k", 64_000), ("flops", "1e21", 1e21),
        ("tokens", "2,097,152", 2097152), ("tokens", "1,024", 1024), ("loss", "3,771", None),
        ("loss", "3.7M", None), ("value", "45%", 0.45), ("value", "45.5 %", 0.455),
        ("stderr", "1%", 0.01), ("loss", "45%", None), ("value", "70M", None),
        ("params", "7,00", None), ("params", "70,0000", None), ("params", "1.2.3", None),
        ("params", "70MB", None), ("params", "about 70M", None), ("params", "7-8B", None),
        ("loss", "1,234,567", 1234567.0), ("params", "+7e7", 7e7), ("share_web", "12%", 0.12),
    ],
)  # fmt: skip
def test_a_cell_is_one_number_or_none(column: str, cell: str, number: float | None) -> None:
    from augury.data.schema import column_of

    known = column_of(column)
    assert known is not None
    made = read_cell(cell, known)
    assert made == (None if number is None else pytest.approx(number, rel=1e-15))


def test_a_point_that_can_be_either_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("model;tokens;loss\na;70.000;3,77\nb;1,5;3,5\n")
    with pytest.raises(DataError, match="row 1, column 'tokens': a point is the decimal point or"):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "losses"),
    [
        (HEAD.replace("\n", ",\n") + ROWS, [3.7706, 3.5105, 3.0854]),  # a comma after the names
        (HEAD + ROWS.replace("3.5105", ""), [3.7706, None, 3.0854]),
        ('params,tokens,note,loss\n1,2,"a\nb",3\n1,3,\u2028,\n', [3.0, None]),
    ],
)
def test_an_empty_last_cell_is_no_row_that_ends_too_soon(
    tmp_path: Path, text: str, losses: list[float | None]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert read_table(path)["loss"].to_list() == losses


def test_a_line_separator_inside_a_text_ends_no_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"model": "a\u2028b", "loss": 3.0}\n{"model": "c"}\n')
    assert read_table(path)["loss"].to_list() == [3.0, None]


@given(cut=st.integers(len(HEAD), len(HEAD + ROWS) - 2), middle=st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_row_that_ends_too_soon_is_named(tmp_path: Path, cut: int, middle: bool) -> None:
    """Wherever a table or one of its lines ends: no cell goes missing silently."""
    whole = HEAD + ROWS
    line = whole[:cut].count("\n")
    kept = whole[:cut] + ("\n" + ROWS if middle else "")
    cells = kept.split("\n")[line].count(",") + 1
    path = tmp_path / "t.csv"
    path.write_text(kept)
    table, said = attempt(read_table, path)
    if cells < 3 and kept.split("\n")[line]:
        assert f"row {line}: has {cells} cell" in said
    elif table is not None:
        assert (
            not any(table.select(NEEDED).null_count().row(0)) or kept.split("\n")[line][-1] == ","
        )


WHOLE = ("2.0", "1E5", "3", " 7 ", "1e3")
UNREADABLE = (
    "inf",
    "-inf",
    "nan",
    "1e400",
    "18446744073709551616",
    "9" * 5000,
    "2.5",
    "two",
    "1e300",
)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("column", ["step", "seed", "finetune_examples", "shots"])
@pytest.mark.parametrize("cell", [*WHOLE, *UNREADABLE])
def test_a_count_that_is_there_is_never_missing(
    tmp_path: Path, suffix: str, column: str, cell: str
) -> None:
    path = tmp_path / f"t{suffix}"
    if suffix == ".jsonl":
        path.write_text(f'{{"model": "a", "{column}": {json.dumps(cell)}}}\n')
    elif suffix == ".parquet":
        pl.DataFrame({"model": ["a"], column: [cell]}).write_parquet(path)
    else:
        path.write_text(f"model{',' if suffix == '.csv' else chr(9)}{column}\n"
                        f"a{',' if suffix == '.csv' else chr(9)}{cell}\n")  # fmt: skip
    if cell in WHOLE:
        assert read_table(path)[column].to_list() == [int(float(cell))]
    else:
        with pytest.raises(DataError, match=f"row 1, column '{column}'") as error:
            read_table(path)
        assert len(str(error.value)) < 400


@pytest.mark.parametrize("number", ["1e400", "18446744073709551616", "9" * 5000, "-1", "Infinity"])
def test_numbers_of_json_lines_beyond_any_count(tmp_path: Path, number: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(f'{{"model": "a", "step": {number}}}\n')
    with pytest.raises(DataError, match=r"t\.jsonl") as error:
        read_table(path)
    assert "\n" not in str(error.value)


ODD_COLUMNS: dict[str, pl.Series] = {
    "list": pl.Series([[1, 2], [3]]),
    "array": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)),
    "struct": pl.Series([{"a": 1}, {"a": 2}]),
    "duration": pl.Series([datetime.timedelta(seconds=1), None]),
    "date": pl.Series([datetime.date(2026, 1, 1), None]),
    "datetime": pl.Series([datetime.datetime(2026, 1, 1), None]),
    "time": pl.Series([datetime.time(1, 2), None]),
    "binary": pl.Series([b"a\xff", b"b"]),
    "categorical": pl.Series(["a", "b"], dtype=pl.Categorical),
    "decimal": pl.Series(["1.5", "2.5"]).cast(pl.Decimal(10, 2)),
    "boolean": pl.Series([True, False]),
    "null": pl.Series([None, None], dtype=pl.Null),
    "object": pl.Series([object(), object()], dtype=pl.Object),
    "uint64": pl.Series([2**64 - 1, 1], dtype=pl.UInt64),
    "list of text": pl.Series([["a"], []]),
}  # fmt: skip


@pytest.mark.parametrize("half", ["\\ud800", "a\\udc00b", "\\udfff\\ud800"])
@pytest.mark.parametrize("place", ['"model": "{}"', '"note": {{"x": ["{}"]}}', '"col{}": 1'])
def test_half_a_character_in_json_lines_is_named(tmp_path: Path, place: str, half: str) -> None:
    path = tmp_path / "t.jsonl"
    rest = '"params": 1, "tokens": 1, "loss": 1'
    path.write_text(f"{{{rest}}}\n{{{rest}, {place.format(half)}}}\n")
    found, said = attempt(read_table, path)
    if "note" in place:  # invalid text is kept as JSON in ASCII
        assert found.height == 2
        return
    assert "text contains an unpaired surrogate" in said
    assert half[-4:] in said or half[-5:-1] in said
    assert "\n" not in said
    path.write_text(f"{{{rest}, {place.format(chr(92) + 'ud83d' + chr(92) + 'ude00')}}}\n")
    assert read_table(path).height == 1


@pytest.mark.parametrize("kind", ODD_COLUMNS)
@pytest.mark.parametrize(
    "column", ["model", "params", "step", "value", "higher_is_better", "share_web", "other"]
)
def test_a_column_of_any_type_is_read_or_refused(tmp_path: Path, kind: str, column: str) -> None:
    """What was read can be written; there is never a traceback from another library."""
    table = pl.DataFrame({"model": ["a", "b"], column: ODD_COLUMNS[kind]})
    made, said = attempt(lambda: observations(table))
    if made is None:
        assert f"column '{column}'" in said
        return
    for suffix in (".csv", ".parquet", ".jsonl"):
        written, said = attempt(lambda path: write_table(made, path), tmp_path / f"t{suffix}")
        assert written is not None or f"column '{column}'" in said or "cannot be written" in said


def test_units_that_differ_by_powers_of_a_thousand_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [(n, d, 6 * n * 1e6 * d * 1e9) for n in (70, 160, 410) for d in (0.7, 2.8)]
    path.write_text("params,tokens,flops\n" + "\n".join(f"{n},{d},{c:.4g}" for n, d, c in rows))
    with pytest.raises(DataError, match=r"1e\+15 times 6 N D .* --scale params=1e6 --scale tokens"):
        read_table(path)
    table = read_table(path, scale=parse_scale(["params=1e6", "tokens = 1e9"]))
    assert table["params"].to_list() == [7e7, 7e7, 1.6e8, 1.6e8, 4.1e8, 4.1e8]
    assert table["tokens"][0] == pytest.approx(7e8)
    # Other counts (attention, embeddings) change compute by less: that is not a unit error.
    path.write_text(
        "params,tokens,flops\n" + "\n".join(f"{n}e6,{d}e9,{1.6 * c:.4g}" for n, d, c in rows)
    )
    assert read_table(path).height == 6
    for wrong in (["tokens"], ["tokens=x"], ["tokens=-1"], ["tokens=nan"]):
        with pytest.raises(UsageError, match="--scale"):
            parse_scale(wrong)
    with pytest.raises(UsageError, match="there is no such column"):
        read_table(path, scale={"odd": 2.0})


def test_a_table_appended_to_itself_is_noticed() -> None:
    once = pl.DataFrame({"params": [1.0, 2.0, 3.0], "loss": [3.0, 2.0, 1.0]})
    assert repeated_rows(once) is None
    assert repeated_rows(pl.concat([once, once])) == "rows 4-6 repeat rows 1-3"
    some = repeated_rows(pl.concat([once, once[1:2]]))
    assert some == "1 of 4 rows repeat an earlier one, the first is row 4"


@pytest.mark.slow
def test_a_command_says_that_rows_repeat(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    import sys

    from augury.cli import main

    path = tmp_path / "twice.csv"
    rows = [f"{n:g},{1.5 + 400 / n**0.3:.4f}" for n in np.geomspace(1e7, 1e9, 8)]
    path.write_text("params,loss\n" + "\n".join(rows * 2))
    monkeypatch.setattr(sys, "argv", ["augury", "fit", str(path), "--law", "power", "--json"])
    main()
    said = capsys.readouterr()
    assert said.err == f"augury: note: {path}: rows 9-16 repeat rows 1-8\n"
    assert json.loads(said.out)["n"] == 16


TRIES: Any = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from(
        [
            *WHOLE,
            *UNREADABLE,
            *["70M", "1.4B", "2T", "45%", "1,000", "3,77", "NA", "-", "x", "1e5", "0", "-1"],
        ]
    ),
    st.sampled_from(["", "true", "#", '"', "1;2", "1_000", "½", "٣", "0x10"]),
)
names = st.sampled_from(
    [
        "params",
        "tokens",
        "flops",
        "loss",
        "step",
        "seed",
        "value",
        "n",
        "passes",
        "samples",
        "chance",
        "higher_is_better",
        "shots",
        "note",
    ]
)


@pytest.mark.slow
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    columns=st.dictionaries(names, st.tuples(numbers, numbers, numbers), min_size=1, max_size=4),
    separator=st.sampled_from([",", ";", "\t"]),
    quote=st.booleans(),
)  # fmt: skip
def test_every_cell_is_a_number_missing_by_a_word_for_it_or_an_error(
    tmp_path: Path, columns: dict[str, tuple[str, ...]], separator: str, quote: bool
) -> None:
    """If a table is read, no filled cell of a numeric column becomes null."""
    from augury.data.numbers import MISSING

    def written(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"' if quote or separator in cell else cell

    body = "\n".join(
        separator.join(map(written, row)) for row in zip(*columns.values(), strict=True)
    )
    path = tmp_path / "t.csv"
    path.write_text(separator.join(columns) + "\n" + body + "\n")
    table, said = attempt(read_table, path)
    if table is None:
        assert "\n" not in said
        return
    joined = not quote and '"' in body  # a bare quote joins cells: a row may be short; "," is one
    if table.height != 3 or set(columns) - set(table.columns) or joined:
        return  # blank lines are dropped too
    for name, cells in columns.items():
        column = BY_NAME.get(name)
        if column is None:
            continue
        for cell, value in zip(cells, table[name].to_list(), strict=True):
            missing = cell.strip() in MISSING
            assert (value is None) == missing, (name, cell, value)
            if value is not None and column.kind == "number":
                assert math.isfinite(value)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_bytes_of_tables_changed_anywhere(tmp_path: Path, data: st.DataObject) -> None:
    """A table, or a one-line error that begins with the file."""
    suffix = data.draw(st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]))
    table = pl.DataFrame(
        {"model": ["a", "b"], "step": [1, 2], "params": [1e6, 2e6], "loss": [3.0, 2.5]}
    )
    path = tmp_path / f"t{suffix}"
    write_table(table, path)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3)
            | st.sampled_from([b'"', b";", b"\n", b"\r", b",", b"9" * 4500, b"[", b"{"])
        )
    path.write_bytes(bytes(raw))
    read, said = attempt(read_table, path)
    assert read is not None or said.startswith(str(path))
    assert "\n" not in said
