"""Damaged result files: each gives a clear error, never a crash or a wrong number."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augury.data.metrics import why_not_a_score
from augury.data.readers import read_results
from augury.data.readers.lm_eval import LABELS
from augury.errors import DataError
from tests.data.readers.kept import FIXTURES, NAMES

RELAXED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
DEEP = 100_000
# Errors in every kind of file, and content that fits no format.
BAD = {
    "empty": b"",
    "blank": b" \n\n",
    "cut off": b'{"results": {"t": {"acc": 0.',
    "bare text": b"hello",
    "null": b"null",
    "list": b"[]",
    "number": b"3",
    "no keys": b"{}",
    "deep lists": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP,
    "latin-1": '{"results": "ü"}'.encode("latin-1"),
    "utf-16": '{"results": {}}'.encode("utf-16"),
    "zeros": b"\x00" * 100,
    "a key twice": b'{"a": 1, "a": 2}',
    "huge number": b'{"results": {"t": {"acc": ' + b"9" * 5000 + b"}}}",
    "two values": b"{} {}",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("case", BAD)
def test_no_format_at_all(tmp_path: Path, kind: str, case: str) -> None:
    """One line that begins with the file; with keep_going, the rest is read."""
    path = tmp_path / NAMES[kind]
    path.write_bytes(BAD[case])
    with pytest.raises(DataError) as error:
        read_results(kind, path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def sample(**changes: Any) -> dict[str, Any]:
    """A line of --log_samples."""
    return {
        "doc_id": 0, "doc": {"q": "2+2?"}, "target": "4", "resps": [["4"]],
        "filtered_resps": ["4"], "filter": "none", "metrics": ["acc"], "acc": 1.0,
    } | changes  # fmt: skip


def lm_eval(**changes: Any) -> dict[str, Any]:
    """A small result file of the flat form, with changed keys."""
    config = {"model_args": "pretrained=m-1b,revision=step5", "num_fewshot": 0}
    whole = {"results": {"t": {"acc": 0.5, "acc_stderr": 0.1}}, "config": config}
    return whole | changes


# One odd field -> what is listed for it. The score next to it stays.
ODD: dict[str, tuple[dict[str, Any], str]] = {
    "score is text": ({"acc": "high"}, "'acc': the score is not a number (got 'high')"),
    "score is a list": ({"acc": [1]}, "'acc': a list is not a score (got [1])"),
    "score is true": ({"acc": True}, "'acc': true or false is not a score (got True)"),
    "score is an object": ({"acc": {"a": "b"}}, "'acc': an object without numbers is not a score"),
    "score is infinite": ({"acc": math.inf}, "'acc': the score is infinite (got inf)"),
    "score is huge": ({"acc": 10**400}, "'acc': the score is infinite"),
    "not run": ({"acc": -1}, "'acc': the score means 'not run' (got -1)"),
    "length not run": ({"4096,none": -1.0}, "'4096': the score means 'not run' (got -1.0)"),
    "not scored": ({"bypass,none": 999}, "'bypass': the score means 'not scored' (got 999)"),
    "error alone": ({"b_stderr": 0.1}, "'b_stderr': no score for this error (got 0.1)"),
    "a metric in both forms": ({"b": 0.5, "b,none": 0.6}, "'b': duplicate metric (got [0.5, 0.6])"),
    "a count": ({"count": 3}, "'count': a count is not a score (got 3)"),
    "a spread": ({"acc_std": 0.3}, "'acc_std': a measure of spread is not a score (got 0.3)"),
    "a duration": ({"eval_time": 3.5}, "'eval_time': a duration is not a score (got 3.5)"),
}  # fmt: skip
# Odd values next to the scores: the scores stay, the value is unknown.
BESIDE: dict[str, tuple[dict[str, Any], str, str]] = {
    "config is text": ({"config": "x"}, "config: is not an object (got 'x')", "model"),
    "shots are text": ({"config": {"num_fewshot": "five"}},
                       "shots of 't': is not a whole number of at least 0 (got 'five')", "shots"),
    "shots are negative": ({"config": {"num_fewshot": -1}}, "shots of 't': is not", "shots"),
    "shots do not fit": ({"config": {"num_fewshot": [1, 2, 3]}},
                         "config.num_fewshot: not one for each of 1 tasks", "shots"),
    "instances are text": ({"n-samples": {"t": {"effective": "many"}}},
                           "results of 't': instances: is not a whole number", "n"),
    "instances are a list": ({"n-samples": [1]}, "n-samples: is not an object (got [1])", "n"),
    "groups are a list": ({"groups": [1]}, "groups: is not an object (got [1])", "is_group"),
    "error is negative": ({"results": {"t": {"acc": 0.5, "acc_stderr": -0.1}}},
                          "'acc': the standard error is negative (got -0.1)", "stderr"),
    "error is text": ({"results": {"t": {"acc": 0.5, "acc_stderr": "small"}}},
                      "'acc': the standard error is not a number (got 'small')", "stderr"),
    "error is a list": ({"results": {"t": {"acc": 0.5, "acc_stderr": [1]}}},
                        "'acc_stderr': a list is not a score", "stderr"),
}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("case", ODD)
def test_one_odd_field_never_costs_a_file(tmp_path: Path, case: str, indent: int | None) -> None:
    """It is listed with file, key and value; if it is the only entry, it is the file's error."""
    entry, line = ODD[case]
    path = tmp_path / "results.json"
    good = {"x": 0.25, "x_stderr": 0.1}
    for results in ({"t": entry, "u": good}, {"t": {**entry, "x": 0.75}, "u": good}):
        path.write_text(json.dumps(lm_eval(results=results), indent=indent))
        found = read_results("lm-eval", path)
        kept = found.table.filter(metric="x")
        assert kept["value"].to_list() == [e["x"] for e in results.values() if "x" in e]
        assert kept["stderr"].to_list()[-1] == 0.1
        assert found.table.filter(pl.col("metric") != "x")["value"].drop_nulls().is_empty()
        (listed,) = found.left_out
        assert str(listed).startswith(f"{path}: results of 't': ")
        assert line in str(listed)
        assert line in str(found)
        assert found.to_dict()["left_out"][0]["key"] == listed.key


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("case", BESIDE)
def test_what_is_odd_beside_the_scores_is_unknown(
    tmp_path: Path, case: str, indent: int | None
) -> None:
    changes, line, column = BESIDE[case]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(lm_eval(**changes), indent=indent))
    found = read_results("lm-eval", path)
    assert found.table["value"].to_list() == [0.5]
    assert column not in found.table.columns
    assert line in str(found.left_out[0])


# name -> a file in which nothing can be trusted, and the text its message must contain
WRONG = {
    "only text": (lm_eval(results={"t": {"acc": "high"}}), "'acc': the score is not a number"),
    "task is a number": (lm_eval(results={"t": 3}), "results of 't': is not an object of scores"),
    "task is a list": (lm_eval(results={"t": ["acc"]}), "results of 't': is not an object"),
    "no scores": (lm_eval(results={}), "no scores"),
    "results are missing": ({"config": {}}, "the key 'results' is missing"),
    "results are text": ({"results": "x"}, "the key 'results' is missing or not an object"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files(tmp_path: Path, case: str) -> None:
    value, message = WRONG[case]
    path = tmp_path / "results.json"
    for indent in (None, 2):
        path.write_text(json.dumps(value, indent=indent))
        with pytest.raises(DataError) as error:
            read_results("lm-eval", path)
        assert str(error.value).startswith(f"{path}: ")
        assert message in str(error.value)


@pytest.mark.parametrize("indent", [None, 2, 4])
@pytest.mark.parametrize("place", ["results", "t", "acc", "config", "model_args"])
def test_a_key_twice_anywhere(tmp_path: Path, place: str, indent: int | None) -> None:
    """Python and most parsers silently take the last one."""
    text = json.dumps(lm_eval(), indent=indent)
    at = text.index(f'"{place}":')
    value, _ = json.JSONDecoder().raw_decode(text[at + len(place) + 3 :].lstrip())
    path = tmp_path / "results.json"
    path.write_text(f'{text[:at]}"{place}": {json.dumps(value)}, {text[at:]}')
    assert json.loads(path.read_text())["results"]
    with pytest.raises(DataError, match=f"duplicate key '{place}'"):
        read_results("lm-eval", path)


@pytest.mark.parametrize("apart", [" ", "\t", "\n", "  "])
def test_a_key_twice_with_its_colon_apart(tmp_path: Path, apart: str) -> None:
    """Valid JSON that no tool writes: the second time, there are blanks before the colon."""
    second = f'"acc"{apart}: 0.25}}'
    files = {"results.json": json.dumps(lm_eval(results={"t": {"acc": 0.5}}), indent=2)}
    files["samples_t.jsonl"] = json.dumps(sample())
    for name, text in files.items():
        at = text.index("}", text.index('"acc":'))
        blank = apart.replace("\n", " ") if name.endswith("l") else apart
        (tmp_path / name).write_text(f"{text[:at]}, {second.replace(apart, blank)}{text[at + 1 :]}")
        with pytest.raises(DataError, match="duplicate key 'acc'"):
            read_results("lm-eval", tmp_path / name)


def test_missing_scores_stay_missing(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    metrics = {"a": None, "b": math.nan, "c": "N/A", "d": 0.25, "d_stderr": "N/A"}
    path.write_text(json.dumps(lm_eval(results={"t": metrics})))
    table = read_results("lm-eval", path).table
    assert table.select("metric", "value").rows() == [
        ("a", None), ("b", None), ("c", None), ("d", 0.25)
    ]  # fmt: skip


def plain(value: Any) -> dict[tuple[str, str], tuple[float | None, float | None]]:
    """(task, metric) -> (value, stderr), by the simplest parser."""
    made = {}
    for task, entry in value["results"].items():
        for metric, score in entry.items():
            if not metric.endswith("_stderr"):
                pair = (score, entry.get(f"{metric}_stderr"))
                missing = [x is None or (isinstance(x, float) and math.isnan(x)) for x in pair]
                made[task, metric] = tuple(
                    None if m else float(x) for m, x in zip(missing, pair, strict=True)
                )
    return made


def ours(table: pl.DataFrame) -> dict[tuple[str, str], tuple[float | None, float | None]]:
    table = table if "stderr" in table.columns else table.with_columns(stderr=None)
    keys = table.select("task", "metric").rows()
    return dict(zip(keys, table.select("value", "stderr").rows(), strict=True))


numbers = st.one_of(
    st.floats(0, 1),
    st.floats(-1e300, 1e300),
    st.none(),
    st.just(math.nan),
    st.integers(-(10**6), 10**6),
)
names = (
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters=","), min_size=1, max_size=8
    )
    .filter(
        lambda s: not s.endswith("_stderr") and s.strip() and not s.isdecimal() and s not in LABELS
    )
    # "bypass" replaces a metric that was not computed and is read as missing; Hypothesis draws
    # words of the package's own source.
    .filter(lambda s: why_not_a_score(s) is None and s != "bypass")
)


@pytest.mark.slow
@RELAXED
@given(
    results=st.dictionaries(
        names, st.dictionaries(names, numbers, min_size=1, max_size=4), min_size=1, max_size=4
    ),
    indent=st.sampled_from([None, 2, 4]),
    ascii_only=st.booleans(),
)
def test_any_names_and_numbers_come_back(
    tmp_path: Path, results: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    path = tmp_path / "results.json"
    text = json.dumps(lm_eval(results=results), indent=indent, ensure_ascii=ascii_only)
    path.write_bytes(text.encode())
    assert ours(read_results("lm-eval", path).table) == plain(json.loads(text))


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({k for k, _ in pairs}) == len(pairs)
    return dict(pairs)


@RELAXED
@given(data=st.data())
def test_bytes_changed_anywhere(tmp_path: Path, data: st.DataObject) -> None:
    """However a file is changed, it is named in an error, or read as the simple parser reads it."""
    raw = bytearray(json.dumps(lm_eval(), indent=data.draw(st.sampled_from([None, 2]))).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        new = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from([b'"', b"{", b"}", b","])))
        raw[at : at + data.draw(st.integers(0, 3))] = new
    path = tmp_path / "results.json"
    path.write_bytes(bytes(raw))
    table = attempt("lm-eval", path)
    if table is not None:
        value = json.loads(bytes(raw).decode("utf-8-sig"), object_pairs_hook=once)
        got = {(t, m): v for (t, m), (v, _) in ours(table).items()}
        for (_, metric), score in got.items():
            forms = (metric, f"{metric},none", f"{metric},")
            entries = [e for e in value["results"].values() if isinstance(e, dict)]
            scores = [e[form] for e in entries for form in forms if form in e]
            assert score in scores or score is None


def attempt(kind: str, path: Path) -> pl.DataFrame | None:
    """The table, or None after an error that names the file."""
    said = ""
    try:
        return read_results(kind, path).table
    except DataError as error:
        said = str(error)
    assert said.startswith(str(path))
    return None


def kept(kind: str) -> Iterator[Path]:
    return (p for p in sorted((FIXTURES / kind).rglob("*")) if p.is_file())


@pytest.mark.parametrize("kind", [k for k in NAMES if (FIXTURES / k).exists()])
@settings(RELAXED, max_examples=60)
@given(data=st.data())
def test_real_files_cut_or_changed(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    """The stored files of every tool: an error that names the file, or a table."""
    source = data.draw(st.sampled_from([*kept(kind)]))
    raw = bytearray(source.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    cut = data.draw(st.booleans())
    if cut:
        del raw[at:]
    else:
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    path = tmp_path / source.name
    path.write_bytes(bytes(raw))
    table = attempt(kind, path)
    if table is not None:
        assert table.height
        # After a cut, only line-based files can be complete, if they end at a line.
        whole = bytes(raw).strip() == source.read_bytes().strip()
        lines = path.suffix in (".jsonl", ".csv") or "tfevents" in path.name
        assert not cut or whole or lines
    path.unlink()


@pytest.mark.parametrize(
    "name", ["a b", "ümlaut é", "new\nline", 'quo"te', "-dash", "perc%20ent", "*?[x]", "日本"]
)
def test_paths_with_odd_characters(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / f"{name}.json").write_text(json.dumps(lm_eval()))
    found = read_results("lm-eval", tmp_path)
    assert found.table.select("model", "step", "value").rows() == [("m-1b", 5, 0.5)]
    assert found.table["file"].to_list() == [str(folder / f"{name}.json")]
    (folder / f"{name}.json").write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        read_results("lm-eval", folder)


def test_half_a_character_in_a_name(tmp_path: Path) -> None:
    """JSON can encode what is not valid text."""
    path = tmp_path / "results.json"
    path.write_text('{"results": {"t\\ud800": {"acc": 0.5}}}')
    with pytest.raises(DataError) as error:
        read_results("lm-eval", path)
    assert str(error.value).startswith(str(path))


def test_a_measurement_in_two_files(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps(lm_eval()))
    with pytest.raises(DataError, match=r"b\.json: the same measurement as in .*a\.json \(t acc\)"):
        read_results("lm-eval", tmp_path)
    found = read_results("lm-eval", tmp_path, keep_going=True)
    assert found.table.height == 1
    assert len(found.failures) == 1
    # A different checkpoint is a different measurement.
    config = {"model_args": "pretrained=m-1b,revision=step6", "num_fewshot": 0}
    (tmp_path / "b.json").write_text(json.dumps(lm_eval(config=config)))
    assert read_results("lm-eval", tmp_path).table["step"].to_list() == [5, 6]


def test_keep_going_reads_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(lm_eval()))
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.json").write_text("[]")
    with pytest.raises(DataError, match=r"b\.json"):
        read_results("lm-eval", tmp_path)
    found = read_results("lm-eval", tmp_path, keep_going=True)
    assert found.table.height == 1
    assert [Path(f.source or "").name for f in found.failures] == ["b.json", "c.json"]
    shutil.rmtree(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        read_results("lm-eval", tmp_path, keep_going=True)
