"""Damaged logs of samples: each gives a clear error or a listed line, never a wrong number."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.data.readers import read_results
from augury.errors import DataError
from tests.data.readers.test_fuzz import RELAXED, sample


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"doc_id": 1, "acc', "line 2, character"),
        (json.dumps(sample(doc_id=1))[:-1] + ', "acc": 0.0}', "line 2: duplicate key 'acc'"),
        ('{"doc_id": 7, ' + json.dumps(sample())[1:], "line 2: duplicate key 'doc_id'"),
        (json.dumps(sample()) * 2, "line 2, character"),
    ],
)
def test_broken_lines(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "samples_t_2026-01-01T00-00-00.jsonl"
    path.write_text(json.dumps(sample()) + "\n" + line + "\n" + json.dumps(sample(doc_id=2)))
    with pytest.raises(DataError) as error:
        read_results("lm-eval", path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("line", "listed", "rows"),
    [
        (sample(doc_id=1, acc="x", metrics=["b"]), "line 2: 'b': the metric is missing", 2),
        (sample(doc_id=1, metrics="acc", acc=None), "line 2: 'metrics': is not a list of names", 2),
        (sample(doc_id=[1]), "line 2: 'doc_id': is not a number or a name (got [1])", 2),
        (sample(doc_id=1, filter=3, acc=None), "line 2: 'filter': is not a name (got 3)", 2),
        (sample(doc_id=1, acc=math.inf), "line 2: 'acc': is infinite (got inf)", 3),
        (sample(doc_id=1, acc=10**400), "line 2: 'acc': is infinite", 3),
        (sample(doc_id=1, acc=[1, 2]), "line 2: 'acc': is not a single number (got [1, 2])", 2),
        ([1], "line 2: is not an object (got [1])", 2),
        (None, "line 2: is not an object", 2),
        ({"a": 1}, "line 2: 'doc_id' is missing (got ['a'])", 2),
    ],
)  # fmt: skip
def test_odd_lines_cost_no_other(tmp_path: Path, line: Any, listed: str, rows: int) -> None:
    path = tmp_path / "samples_t_2026-01-01T00-00-00.jsonl"
    lines = [sample(), line, sample(doc_id=2, acc=0.0)]
    path.write_text("\n".join(json.dumps(x) for x in lines))
    found = read_results("lm-eval", path)
    assert found.table.height == rows
    assert found.table["value"].drop_nulls().to_list() == [1.0, 0.0]
    (left_out,) = found.left_out
    assert listed in str(left_out)


@pytest.mark.parametrize("cut", [1, 10, 80])
def test_a_torn_last_line_costs_no_other(tmp_path: Path, cut: int) -> None:
    """A killed program leaves half a line."""
    path = tmp_path / "samples_t_2026-01-01T00-00-00.jsonl"
    text = "\n".join(json.dumps(sample(doc_id=i)) for i in range(3))
    path.write_text(text[:-cut])
    found = read_results("lm-eval", path)
    assert found.table["instance"].to_list() == ["0", "1"]
    assert str(found.left_out[0]).startswith(f"{path}: line 3: the last line is cut off")


@RELAXED
@given(
    scores=st.lists(st.sampled_from([0.0, 1.0, 0.5, None, True, 0]), min_size=1, max_size=6),
    doc=st.dictionaries(st.sampled_from(["acc", "filter", "doc_id", "x"]), st.integers()),
    later=st.booleans(),
)
@pytest.mark.slow
def test_samples_whatever_the_documents_hold(
    tmp_path: Path, scores: list[Any], doc: dict[str, int], later: bool
) -> None:
    """Keys in documents with the tool's own names, before or after the tool's."""
    lines = []
    for i, score in enumerate(scores):
        line = sample(doc_id=i, acc=score)
        del line["doc"]
        lines.append(json.dumps(line | {"doc": doc} if later else {"doc": doc} | line))
    path = tmp_path / "samples_t_2026-01-01T00-00-00.jsonl"
    path.write_text("\n".join(lines))
    table = read_results("lm-eval", path).table
    assert table["instance"].to_list() == [str(i) for i in range(len(scores))]
    assert table["value"].to_list() == [None if s is None else float(s) for s in scores]
    outcomes = all(s in (0, 1, None) for s in scores)
    if outcomes and any(s is not None for s in scores):
        assert table["passes"].to_list() == table["value"].to_list()
        assert table["samples"].sum() == sum(s is not None for s in scores)
    else:
        assert "passes" not in table.columns


def test_repeats_are_counted_only_where_the_score_is_their_share(tmp_path: Path) -> None:
    """A majority vote over four answers is not four passes."""
    drawn = {"resps": [list("abcd")], "filtered_resps": [list("abcd")]}
    for name, scores, counted in (
        ("acc", [0.25, 1.0, 0.0], True),
        ("acc", [1.0, 1.0, 0.0], False),
        ("pass@1", [1.0, 1.0, 0.0], True),
        ("pass@4", [1.0, 0.25, 0.0], False),
        ("acc", [0.3, 1.0, 0.0], False),
    ):
        lines = [
            json.dumps(sample(doc_id=i, metrics=[name], **{name: s}, **drawn))
            for i, s in enumerate(scores)
        ]
        path = tmp_path / "samples_t_2026-01-01T00-00-00.jsonl"
        path.write_text("\n".join(lines))
        table = read_results("lm-eval", path).table
        assert ("passes" in table.columns) == counted, (name, scores)
        if counted:
            assert table["passes"].to_list() == [4 * s for s in scores]
            assert set(table["samples"]) == {4}


def test_one_instance_on_several_lines_is_several_samples(tmp_path: Path) -> None:
    path = tmp_path / "samples_t_2026-01-01T00-00-00.jsonl"
    path.write_text("\n".join(json.dumps(sample(acc=s)) for s in (1.0, 0.0, 1.0)))
    table = read_results("lm-eval", path).table
    assert table.select("instance", "passes", "samples").rows() == [("0", 2, 3)]
    assert table["value"].to_list() == pytest.approx([2 / 3])


@pytest.mark.slow
@pytest.mark.parametrize("n", [200_000, pytest.param(1_000_000, marks=pytest.mark.claims)])
def test_a_file_of_a_million_lines(n: int, tmp_path: Path) -> None:
    """The last line is cut, and the error says so. A fifth of them here, all by `make claims`."""
    path = tmp_path / "samples_t_2026-01-01T00-00-00.jsonl"
    head, tail = json.dumps(sample(doc_id=1234567)).split("1234567")
    path.write_text("\n".join(f"{head}{i}{tail}" for i in range(n)))
    with path.open("rb+") as f:
        f.truncate(path.stat().st_size - 5)
    cut = read_results("lm-eval", path)
    assert cut.table.height == n - 1
    assert cut.table["passes"].sum() == n - 1
    assert cut.left_out[0].key == f"line {n}"
