"""Tables with one column of scores per task read as the same measurements in rows do."""

import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from augury.data import read_table
from augury.data.read import parse_tasks
from tests.cli.test_cli import augury as augury  # fixture
from tests.data.test_read import complaint, write

WIDE = (
    'model,params,tokens,icl/arc,icl/boolq,"a, b"\n'
    "s,1e8,2e9,25.5%,0.5,.1\nm,2e8,4e9,0.31,,.2\nl,4e8,8e9,0.4,0.6,.3\n"
)
SCORES = Path("../shared/data/obs-scaling/base_llm_benchmark_eval.csv")


def test_every_task_is_a_row(tmp_path: Path) -> None:
    """A cell left empty is no row; a percentage is a number, as in any column of scores."""
    read = read_table(write(tmp_path, WIDE), tasks=["icl/*"])
    assert read.select("model", "task", "value").rows() == [
        ("s", "icl/arc", 0.255),
        ("m", "icl/arc", 0.31),
        ("l", "icl/arc", 0.4),
        ("s", "icl/boolq", 0.5),
        ("l", "icl/boolq", 0.6),
    ]
    assert read["flops"][0] == 6 * 1e8 * 2e9
    assert "a, b" in read.columns


@given(
    st.lists(
        st.tuples(*[st.none() | st.floats(0, 1)] * 3).filter(
            lambda x: any(v is not None for v in x)
        ),
        min_size=1,
        max_size=8,
    )
)
def test_wide_and_long_tables_are_the_same(cells: list[tuple[float | None, ...]]) -> None:
    wide = [{"model": str(i), "params": i + 1.0} | dict(zip("xyz", row, strict=True))
            for i, row in enumerate(cells)]  # fmt: skip
    long = [
        {"model": w["model"], "params": w["params"], "task": t, "value": w[t]}
        for t in "xyz"
        for w in wide
        if w[t] is not None
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in (("wide", wide), ("long", long)):
            pl.DataFrame(rows, infer_schema_length=None).write_csv(Path(folder) / f"{name}.csv")
        assert_frame_equal(
            read_table(f"{folder}/wide.csv", tasks=["x", "y", "z"]),
            read_table(f"{folder}/long.csv"),
        )


def test_rows_keep_their_numbers_in_the_file(tmp_path: Path) -> None:
    read = read_table(write(tmp_path, WIDE), tasks=["icl/boolq"], where="params > 1e8")
    assert read["row"].to_list() == [3]


BAD = {
    "text": (
        WIDE.replace("0.31", "good"),
        ["icl/*"],
        "t.csv, row 2, column 'icl/arc': text in a number column (got 'good'); expected a "
        "finite number",
    ),
    "no such column": (
        WIDE,
        ["mmlu*"],
        "t.csv, column 'mmlu*': no column has this name or pattern; expected one of: model, "
        "params, tokens, icl/arc, icl/boolq, a, b",
    ),
    "nothing measured": (
        "params,x\n1e6,\n",
        ["x"],
        "t.csv, column 'x': every cell is empty; expected scores",
    ),
    "tasks in rows": (
        "task,params,x\na,1e6,.5\n",
        ["x"],
        "t.csv: column 'task' already exists: columns of single tasks cannot be read as well",
    ),
}


@pytest.mark.parametrize(("text", "tasks", "expected"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_read(tmp_path: Path, text: str, tasks: list[str], expected: str) -> None:
    assert complaint(write(tmp_path, text), tasks=tasks) == expected


def test_a_pattern_takes_no_column_of_ours(tmp_path: Path) -> None:
    text = "model,params,tokens,x,y\ns,1e8,2e9,.2,.3\n"
    assert read_table(write(tmp_path, text), tasks=["*"])["task"].to_list() == ["x", "y"]


def test_names_with_commas() -> None:
    there = ("a, b", "c", "d")
    assert parse_tasks(["a, b", "c, d"], there) == ("a, b", "c", "d")


def test_commands_take_them(augury: Any, tmp_path: Path) -> None:
    """A ladder of wide rows is answered as the same ladder in long ones."""
    wide = pl.DataFrame(
        [{"model": f"m{i}", "params": n, "tokens": 20 * n, "a": 0.2 + 0.05 * i, "b": 0.4 + 0.01 * i}
         for i, n in enumerate((1e7, 2e7, 4e7, 8e7, 1.6e8, 3.2e8))]
    )  # fmt: skip
    wide.write_csv(tmp_path / "wide.csv")
    long = wide.unpivot(["a", "b"], index=["model", "params", "tokens"], variable_name="task")
    long.write_csv(tmp_path / "long.csv")
    at = ("--at", "params=1e9,tokens=2e10", "--json")
    ours = augury("ladder", tmp_path / "wide.csv", "--tasks", "a,b", *at)
    assert (ours.status, ours.out) == (0, augury("ladder", tmp_path / "long.csv", *at).out)
    one = augury("forecast", tmp_path / "wide.csv", "--tasks", "a", *at)
    same = ("--where", "task = 'a'", "--output", "value")
    assert (one.status, one.out) == (0, augury("forecast", tmp_path / "long.csv", *same, *at).out)
    said = augury("ladder", tmp_path / "wide.csv", *at)
    assert '(--tasks "A,B" if columns A and B hold the scores of a task each)' in said.err


@pytest.mark.skipif(not SCORES.exists(), reason="the shared data are not here")
def test_a_public_leaderboard(augury: Any) -> None:
    """Ruan et al. 2024: eight benchmarks in a column each; ARC-C is missing for some models."""
    said = augury(
        "ladder", SCORES, "--map", "params=Model Size (B)", "--map", "model=Model",
        "--map", "tokens=Pretraining Data Size (T)", "--scale", "params=1e9", "--scale",
        "tokens=1e12", "--where", "tokens is not null", "--tasks", "MMLU,ARC-C,HellaSwag",
        "--at", "params=400B,tokens=15T",
    )  # fmt: skip
    assert said.status == 0
    assert said.out.startswith("3 tasks at params=4e+11, tokens=1.5e+13, 90% intervals: answered")
