"""Reading tables: values are preserved, and an error is named in one line."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from augury.data import observations, parse_map, read_table, run_ids, write_table
from augury.errors import AuguryError, DataError, UsageError

CHINCHILLA = Path("../shared/data/chinchilla-epoch/svg_extracted_data.csv")
NEEDED = ("params", "tokens", "loss")


def write(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def complaint(path: Path, **options: object) -> str:
    with pytest.raises(AuguryError) as caught:
        read_table(path, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(path), path.name)


GOOD = "params,tokens,loss\n1e6,2e7,3.5\n2e6,4e7,3.1\n"

BAD_CELLS = {
    "missing column": (
        "params,tokens\n1e6,2e7\n",
        "t.csv, column 'loss': the column is missing; "
        "expected the column, or a mapping onto it from one of: params, tokens, flops",
    ),
    "a column under another name": (
        "Params (M),Tokens (B),Time\n70,1.4,3\n",
        "t.csv, column 'params': the column is missing; expected the column, or a mapping onto it "
        '(--map "params=Params (M)" --scale params=1e6) from one of: '
        "Params (M), Tokens (B), Time",
    ),
    "negative params": (
        GOOD + "-5,2e7,3\n",
        "t.csv, row 3, column 'params': the value is not a positive finite number (got -5.0); "
        "expected a positive finite number (non-embedding parameters N)",
    ),
    "zero tokens": (
        GOOD + "5e5,0,3\n",
        "t.csv, row 3, column 'tokens': the value is not a positive finite number (got 0.0); "
        "expected a positive finite number (pretraining tokens seen D)",
    ),
    "zero loss": (
        "params,tokens,loss\n1e6,2e7,0\n",
        "t.csv, row 1, column 'loss': the value is not a positive finite number (got 0.0); "
        "expected a positive finite number (pretraining validation loss, nats per token)",
    ),
    "text": (
        GOOD + "1e6,2e7,3.2 nats\n",
        "t.csv, row 3, column 'loss': text in a number column (got '3.2 nats'); "
        "expected a positive finite number",
    ),
    "nan": (
        GOOD + "1e6,2e7,NaN\n",
        "t.csv, row 3, column 'loss': the value is not a positive finite number (got nan); "
        "expected a positive finite number (pretraining validation loss, nats per token)",
    ),
    "infinite": (
        GOOD + "inf,2e7,3\n",
        "t.csv, row 3, column 'params': the value is not a positive finite number (got inf); "
        "expected a positive finite number (non-embedding parameters N)",
    ),
    "missing value": (
        GOOD + "1e6,2e7,\n",
        "t.csv, row 3, column 'loss': the value is missing; expected a positive finite number",
    ),
    "empty file": ("", "t.csv: the file is empty; expected a header and rows"),
    "header only": (
        "params,tokens,loss\n",
        "t.csv: there are no rows; expected a header and rows",
    ),
    "ragged row": (
        GOOD + "1e6,2e7,3,4\n",
        "t.csv, row 3: has 4 cells; expected 3, as in the header",
    ),
    "missing text": (
        "model,params,tokens,loss\nm,1e6,2e7,3\n,1e6,2e7,3\n",
        "t.csv, row 2, column 'model': the value is missing; expected text",
    ),
    "short row": (
        GOOD + "1e6,2\n1e6,3e7,3\n",
        "t.csv, row 3: has 2 cells; expected 3, as in the header",
    ),
    "short last row without its end": (
        GOOD + "1e6,2e7,3\n1e",
        "t.csv, row 4: has 1 cell; expected 3, as in the header",
    ),
    "column twice": (
        "params,loss,loss\n1,2,3\n",
        "t.csv, column 'loss': duplicate column in the header; expected unique names",
    ),
    "fractional step": (
        "model,step,params,tokens,loss\na,1.5,1,2,3\n",
        "t.csv, row 1, column 'step': not a whole number (got 1.5); expected a whole number",
    ),
    "duplicate key": (
        "model,step,params,tokens,loss\na,1,1,2,3\nb,1,1,2,3\na,1,1,2,3\n",
        "t.csv, row 3: the same measurement as row 1 (model=a, params=1.0, step=1, tokens=2.0); "
        "expected each measurement once; a column that distinguishes them is missing",
    ),
}


@pytest.mark.parametrize("case", BAD_CELLS)
def test_bad_csv_is_named(tmp_path: Path, case: str) -> None:
    text, message = BAD_CELLS[case]
    needed = (*NEEDED, "model") if case == "missing text" else NEEDED
    assert complaint(write(tmp_path, text), require=needed) == message


def test_other_bad_files(tmp_path: Path) -> None:
    assert complaint(tmp_path / "no.csv") == "no.csv: there is no such file; expected a table"
    assert complaint(tmp_path / "no") == "no: there is no such file; expected a table"
    (tmp_path / "folder.csv").mkdir()
    assert complaint(tmp_path / "folder.csv") == (
        "folder.csv: is a folder without measurements; "
        "expected a file, or a study's folder (measurements/*/rows.parquet)"
    )
    assert complaint(write(tmp_path, "x", "t.xlsx")).startswith(
        "t.xlsx: unknown format '.xlsx'; expected .csv"
    )
    assert complaint(write(tmp_path, b"loss\n3\n\xff\xfe\n")) == (
        "t.csv: line 3 is not UTF-8 (got b'\\xff'); expected UTF-8 text"
    )
    lines = '{"loss": 3}\n{"loss": \n'
    assert complaint(write(tmp_path, lines, "t.jsonl")).startswith("t.jsonl: line 2 is not JSON")
    assert complaint(write(tmp_path, "[1]\n", "t.jsonl")).startswith(
        "t.jsonl: line 1 is not an object (got '[1]')"
    )
    deep = write(tmp_path, "[" * 100_000 + "\n", "t.jsonl")
    assert complaint(deep).startswith("t.jsonl: line 1 is not JSON")


def test_truncated_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"loss": np.linspace(1, 2, 1000)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    message = complaint(path)
    assert message.startswith("t.parquet: not a whole Parquet file")
    assert message.endswith("expected a complete Parquet file")


def test_bad_mapping_and_filter(tmp_path: Path) -> None:
    path = write(tmp_path, "Model Size,loss\n1e6,3\n")
    assert complaint(path, columns={"params": "Size"}) == (
        "t.csv, column 'Size': the column to be read as 'params' is missing; "
        "expected one of: Model Size, loss"
    )
    assert complaint(path, columns={"loss": "Model Size"}).startswith(
        "t.csv: cannot read 'Model Size' as 'loss'"
    )
    assert complaint(path, where="los < 3").startswith("cannot filter by 'los < 3'")
    assert complaint(path, where="loss < ").startswith("cannot filter by 'loss < '")
    assert complaint(path, where="loss < 1").startswith("t.csv: no row is left after 'loss < 1'")
    with pytest.raises(UsageError, match="expected OUR_COLUMN=THEIR COLUMN"):
        parse_map(["params"])
    assert parse_map(["params=Model Size", "flops=a=b"]) == {
        "params": "Model Size",
        "flops": "a=b",
    }


def test_known_bad_rows_can_be_filtered_out(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "-1,2e7,9\n")
    assert read_table(path, where="params > 0").height == 2


def test_a_byte_order_mark_and_foreign_words_are_tolerated(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbfparams,loss,note\n1e6,NA,x\n 7e9 ,3.5,y\n")
    table = read_table(path)
    assert table["params"].to_list() == [1e6, 7e9]
    assert table["loss"].to_list() == [None, 3.5]
    assert table["note"].to_list() == ["x", "y"]


def test_flops_are_computed_in_floating_point(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"params": [13_000_000_000], "tokens": [5_000_000_000_000]}).write_parquet(path)
    assert read_table(path)["flops"].item() == pytest.approx(6 * 13e9 * 5e12, rel=1e-15)


@pytest.mark.skipif(not CHINCHILLA.exists(), reason="the shared data are not here")
def test_a_real_file_of_others() -> None:
    table = read_table(
        CHINCHILLA,
        columns={"params": "Model Size", "flops": "Training FLOP"},
        where="loss < 3.43",
        require=NEEDED,
    )
    assert table.height == 240
    expected = table["flops"] / (6 * table["params"])
    assert np.allclose(table["tokens"], expected, rtol=1e-15)


rows = st.lists(
    st.fixed_dictionaries(
        {
            "params": st.floats(1e3, 1e12),
            "tokens": st.floats(1e3, 1e13),
            "value": st.none() | st.floats(-1e6, 1e6),
            "step": st.integers(0, 10**9),
            "note": st.text("abc ü,;'\"", min_size=1),
        }
    ),
    min_size=1,
    max_size=20,
)


@pytest.mark.slow
@given(rows=rows, suffix=st.sampled_from([".csv", ".tsv", ".parquet", ".jsonl"]))
def test_what_is_written_is_read_back(
    rows: list[dict[str, object]], suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = observations([{"run": str(i), **row} for i, row in enumerate(rows)])
    path = tmp_path_factory.mktemp("t") / f"t{suffix}"
    write_table(table, path)
    assert_frame_equal(read_table(path), table, check_column_order=False, rel_tol=1e-15)


def test_a_bad_table_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2, column 'loss'"):
        write_table(pl.DataFrame({"loss": [3.0, -1.0]}), tmp_path / "t.parquet")
    with pytest.raises(UsageError, match="cannot write"):
        write_table(pl.DataFrame({"loss": [3.0]}), tmp_path / "t.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_more_passes_than_samples() -> None:
    with pytest.raises(
        DataError, match=r"row 2, column 'passes': more passes than samples \(got 3"
    ):
        observations({"passes": [1, 3], "samples": [2, 2]})


def test_runs_are_told_apart_by_what_the_table_says() -> None:
    assert run_ids(pl.DataFrame({"loss": [1.0, 2.0]})).tolist() == [0, 1]
    named = pl.DataFrame({"model": ["a", "a", "b", "a"], "seed": [0, 1, 0, 0]})
    assert run_ids(named).tolist() == [0, 1, 2, 0]
    assert run_ids(named.with_columns(run=pl.Series([7, 7, 7, 8]))).tolist() == [0, 0, 0, 1]
    # A study's table has this column but leaves it empty: its models are not one run.
    assert run_ids(named.with_columns(run=pl.lit(None, pl.String))).tolist() == [0, 1, 2, 0]
    assert run_ids(named.with_columns(run=pl.Series([7, None, None, 7]))).tolist() == [0, 1, 2, 0]
    empty = pl.DataFrame({"run": [None, None]}, schema={"run": pl.String})
    assert run_ids(empty).tolist() == [0, 1]
