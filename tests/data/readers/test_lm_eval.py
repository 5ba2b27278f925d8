"""lm-evaluation-harness results: nothing is lost, everything is resolved, nothing is invented."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from augury.data import observations
from augury.data.readers import read_results
from augury.errors import DataError
from augury.forecast.trends import published_trends
from tests.shared import DATA, INABILITIES, INABILITIES_T, PYTHIA, PYTHIA_TOKENS, needs_inabilities

PYTHIA_FILES = DATA / "pythia-lm-eval"
needs_pythia = pytest.mark.skipif(not PYTHIA_FILES.exists(), reason="the shared data are absent")


@needs_pythia
def test_every_score_of_216_files() -> None:
    """Compared with a simple count: value and error of every task x metric of every file."""
    files = sorted(PYTHIA_FILES.rglob("*.json"))
    plain = {}
    for path in files:
        for task, entry in json.loads(path.read_text())["results"].items():
            for metric, value in entry.items():
                if not metric.endswith("_stderr"):
                    plain[str(path), task, metric] = (value, entry[f"{metric}_stderr"])
    assert (len(files), len(plain)) == (216, 37_152)
    assert len({key[1:] for key in plain}) == 172
    found = read_results("lm-eval", PYTHIA_FILES)
    table = found.table
    ours = dict(
        zip(
            table.select("file", "task", "metric").rows(),
            table.select("value", "stderr").rows(),
            strict=True,
        )
    )
    assert ours == plain
    assert table.height == len(plain)
    assert not found.unresolved
    assert not found.failures
    assert set(table["family"]) == {"pythia-v1.1"}
    assert table["shots"].unique().to_list() == [0]
    runs = table.select("model", "params", "step").unique()
    assert runs.height == 216
    nominal = {f"EleutherAI/pythia-v1.1-{k}": v for k, (_, v) in PYTHIA.items()}
    nominal["EleutherAI/pythia-v1.1-1b-bf16"] = nominal.pop("EleutherAI/pythia-v1.1-1b")
    assert dict(runs.select("model", "params").unique().rows()) == nominal
    assert runs.group_by("model").len()["len"].to_list() == [27] * 8
    # The file names ("6.9b_step43000.json") agree with the contents.
    for path, params, step in table.select("file", "params", "step").unique().rows():
        size, at = Path(path).stem.split("_")
        assert (PYTHIA[size.split("-")[0]][1], f"step{step}") == (params, at)


@needs_inabilities
def test_published_t_values_from_the_raw_files(tmp_path: Path) -> None:
    """All 36 and their adjusted p values, from the 64 result files and a table of models."""
    models = tmp_path / "models.csv"
    rows = [f"pythia-{k},{v:.0f},{PYTHIA_TOKENS:.0f}" for k, (_, v) in PYTHIA.items()]
    models.write_text("\n".join(["model,params,tokens_per_step", *rows]))
    found = read_results("lm-eval", INABILITIES / "results", models=models)
    table = found.table
    assert not found.unresolved
    assert table.height == 64 * 22
    own = table.filter(pl.col("metric").is_in(["acc", "mc1", "mc2"]))
    own = own.with_columns(
        task=pl.when(pl.col("metric") == "acc").then("task").otherwise(
            pl.format("truthfulqa_{}", "metric")
        )
    )  # fmt: skip
    published = published_trends(own)
    assert published.height == 36
    for task, values in INABILITIES_T.items():
        of_task = published.filter(pl.col("task").str.ends_with(task))
        for effect, (t, q) in zip(("params", "tokens", "interaction"), values, strict=True):
            row = of_task.row(by_predicate=pl.col("effect") == effect, named=True)
            assert row["t"] == pytest.approx(t, abs=0.0051), (task, effect)
            assert (row["q"] < 0.001) if q is None else round(row["q"], 3) == q, (task, effect)


def test_models_csv_has_the_last_word(tmp_path: Path) -> None:
    """Exact sizes, families and losses of the user's table, by model and by checkpoint."""
    for step in (10, 20):
        config = {"model_args": f"pretrained=org/mix-1.4b,revision=step{step}"}
        file = {"results": {"t": {"acc": 0.5, "acc_stderr": 0.1}}, "config": config}
        (tmp_path / f"{step}.json").write_text(json.dumps(file))
    models = tmp_path / "models.csv"
    models.write_text(
        "model,step,params,family,tokens_per_step,loss\n"
        "mix-1.4b,,1.3e9,mix,1000,\nmix-1.4b,20,,,,2.5\n"
    )
    table = read_results("lm-eval", sorted(tmp_path.glob("*.json")), models=models).table
    assert table["params"].to_list() == [1.3e9, 1.3e9]
    assert table["tokens"].to_list() == [1e4, 2e4]
    assert table["loss"].to_list() == [None, 2.5]
    assert table["family"].to_list() == ["mix", "mix"]
    assert "params_kind" not in table.columns


def test_a_piece_that_was_read_before_hides_nothing(tmp_path: Path) -> None:
    """Files with the same settings as one already read are parsed only in part."""
    file = {
        "results": {"t": {"acc,none": 0.5}},
        "configs": {"t": {"task": "t", "metric_list": [{"metric": "acc"}]}},
        "n-shot": {"t": 0},
        "config": {"model_args": "pretrained=org/mix-1b"},
        "date": 5,
    }
    text = json.dumps(file, indent=2)
    path = tmp_path / "results.json"
    path.write_text(text)
    assert read_results("lm-eval", path).table["value"].to_list() == [0.5]
    for broken in (
        text + "\n}",  # something after its end
        text.replace('"task": "t",', '"task": "t"'),  # in the settings
        text.replace('  "n-shot"', '  n-shot"'),
        text.replace("\n}", "\n"),
        text.replace('"date": 5', '"date": 5,'),
        text.replace('  "date"', '  "results": {"t": {"acc,none": 0.9}},\n  "date"'),
    ):
        assert broken != text
        path.write_text(broken)
        with pytest.raises(DataError):
            read_results("lm-eval", path)
    added = text.replace('  "date"', '  "groups": {"g": {"acc,none": 0.75}},\n  "date"')
    path.write_text(added + "\n")
    assert read_results("lm-eval", path).table["value"].to_list() == [0.5, 0.75]


def test_wordings_of_one_benchmark(tmp_path: Path) -> None:
    """A task's wordings are rows of one task, told apart by `prompt`; as both conventions write."""
    numbered = {f"evalita-mp_te_prompt-{k}": {"acc,none": 0.5 + k / 100} for k in (1, 2, 3)}
    numbered["naijarc_hau_prompt_1"] = {"acc,none": 0.25}
    config = {"model_args": "pretrained=org/mix-1b,revision=step500", "num_fewshot": 2}
    shots = dict.fromkeys(numbered, 5)
    (tmp_path / "a.json").write_text(
        json.dumps({"results": numbered, "config": config, "n-shot": shots}, indent=2)
    )
    table = read_results("lm-eval", tmp_path / "a.json").table
    assert table.select("task", "prompt", "value", "shots").rows() == [
        ("evalita-mp_te", "1", 0.51, 5),
        ("evalita-mp_te", "2", 0.52, 5),
        ("evalita-mp_te", "3", 0.53, 5),
        ("naijarc_hau", "1", 0.25, 5),
    ]
    entries = [
        {"task_name": "wic", "prompt_name": name, "acc": 0.5, "acc_stderr": 0.02}
        for name in ("GPT-3 prompt", "same_sense", "null")
    ]
    by_task = {f"wic+{entry['prompt_name']}": entry for entry in entries}
    fork = {
        "results": [{**e, "dataset_path": "super_glue", "prompt_jinja": "{{word}}"}
                    for e in entries],
        "versions": dict.fromkeys(by_task, 0),
        "table_results": by_task,
        "config": config,
    }  # fmt: skip
    (tmp_path / "b.json").write_text(json.dumps(fork, indent=2))
    found = read_results("lm-eval", tmp_path / "b.json")
    assert found.table.select("task", "prompt", "value", "stderr").rows() == [
        ("wic", "GPT-3 prompt", 0.5, 0.02),
        ("wic", "same_sense", 0.5, 0.02),
        ("wic", None, 0.5, 0.02),
    ]
    assert not found.left_out


def test_samples_of_a_wording(tmp_path: Path) -> None:
    """Instances of one wording carry it; the results beside them give the shots of its task."""
    stamp = "2025-01-02T03-04-05.678901"
    task = "naijarc_hau_prompt_2"
    lines = [
        {"doc_id": i, "resps": [["a"]], "filtered_resps": ["a"], "filter": "none",
         "metrics": ["acc"], "acc": float(i % 2)}
        for i in range(4)
    ]  # fmt: skip
    (tmp_path / f"samples_{task}_{stamp}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / f"results_{stamp}.json").write_text(
        json.dumps({"results": {task: {"acc,none": 0.5}}, "n-shot": {task: 3},
                    "config": {"model_args": "pretrained=org/mix-1b"}})
    )  # fmt: skip
    table = read_results("lm-eval", tmp_path).table
    assert table.height == 5
    assert table.select("task", "prompt", "shots").unique().rows() == [("naijarc_hau", "2", 3)]


def test_wordings_are_not_duplicates() -> None:
    """Two wordings are two measurements; the same wording twice is one written twice."""
    row = {"model": "a", "task": "t", "step": 1, "value": 0.5}
    assert observations([row | {"prompt": "x"}, row | {"prompt": "y"}]).height == 2
    with pytest.raises(DataError, match="the same measurement as row 1"):
        observations([row | {"prompt": "x"}, row | {"prompt": "x"}])
