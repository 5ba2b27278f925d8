"""Names of models, families, sizes and steps: what is parsed from them, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from augury.data.readers.models import Models, resolve_model
from augury.data.readers.part import ModelInfo

NOWHERE = Path("r.json")


@pytest.mark.parametrize(
    ("name", "revision", "model", "family", "params", "step"),
    [
        ("EleutherAI/pythia-v1.1-1b-bf16", "step143000", "EleutherAI/pythia-v1.1-1b-bf16",
         "pythia-v1.1", 1e9, 143000),
        ("EleutherAI/pythia-1.4b-deduped", "step0", "EleutherAI/pythia-1.4b-deduped",
         "pythia-deduped", 1.4e9, 0),
        ("allenai/OLMo-2-1124-7B", "stage1-step1000-tokens5B", "allenai/OLMo-2-1124-7B",
         "OLMo-2-1124", 7e9, 1000),
        ("/data/runs/mix-410M/step_2000", None, "mix-410M", "mix", 4.1e8, 2000),
        ("./out/mix-70m/checkpoint-500/", "main", "mix-70m", "mix", 7e7, 500),
        ("mix-70m/global_step500", None, "mix-70m", "mix", 7e7, 500),
        ("bigscience/bloom-7b1", None, "bigscience/bloom-7b1", "bloom", 7.1e9, None),
        ("gpt2", None, "gpt2", "gpt2", None, None),
        # Context lengths, mixtures, tokens, versions and units are not sizes or steps.
        ("org/phi-3-mini-128k-instruct", None, "org/phi-3-mini-128k-instruct",
         "phi-3-mini-128k-instruct", None, None),
        ("mixtral-8x7b", None, "mixtral-8x7b", "mixtral-8x7b", None, None),
        ("open-1b-350bt", None, "open-1b-350bt", "open-350bt", 1e9, None),
        ("draft-1b-of-7b", None, "draft-1b-of-7b", "draft-of", None, None),
        ("m-0.5b", "step64k", "m-0.5b", "m", 5e8, None),
        ("m-1b-0.5MtokBS", "multistep9", "m-1b-0.5MtokBS", "m-0.5MtokBS", 1e9, None),
        ("m-1b", "step10-of-step20", "m-1b", "m", 1e9, None),
    ],
)  # fmt: skip
def test_names(
    name: str,
    revision: str | None,
    model: str,
    family: str,
    params: float | None,
    step: int | None,
) -> None:
    found = resolve_model(ModelInfo(name, revision), NOWHERE, Models(None))
    columns = found.columns
    assert (columns.get("model"), columns.get("family")) == (model, family)
    assert (columns.get("params"), columns.get("step")) == (params, step)
    assert ("params" in found.missing) == (params is None)
    assert ("step" in found.missing) == (step is None)


@pytest.mark.parametrize(
    ("path", "model", "params", "step"),
    [
        ("runs/org__mix-1.4b/step300/results_2026-01-01T00-00-00.json", "org/mix-1.4b", 1.4e9, 300),
        ("zero-shot/6.9b_step43000.json", "6.9b", 6.9e9, 43000),
        ("a/org--mix-7b_step20_vllm_temp_0.8.eval_results.json", "org/mix-7b", 7e9, 20),
        ("out/results.json", None, None, None),
    ],
)
def test_names_of_files_and_folders(
    path: str, model: str | None, params: float | None, step: int | None
) -> None:
    columns = resolve_model(ModelInfo(), Path(path), Models(None)).columns
    assert (columns.get("model"), columns.get("params"), columns.get("step")) == (
        model, params, step
    )  # fmt: skip


def test_what_the_file_says_goes_before_its_name() -> None:
    said = ModelInfo("org/mix-1b", "step5", params=1.1e9)
    columns = resolve_model(said, Path("mix-7b/step9/r.json"), Models(None)).columns
    assert (columns["params"], columns["params_kind"], columns["step"]) == (1.1e9, "total", 5)


def test_the_users_table_goes_before_all(tmp_path: Path) -> None:
    path = tmp_path / "models.csv"
    path.write_text("model,step,params,width\nmix-1b,,9e8,512\nother,7,1e6,\n")
    models = Models(path)
    columns = resolve_model(ModelInfo("org/mix-1b", "step5", params=1.1e9), NOWHERE, models).columns
    assert (columns["params"], columns["step"], columns["width"]) == (9e8, 5, 512)
    assert "params_kind" not in columns
    # The table has one checkpoint of the model, and the file names none.
    columns = resolve_model(ModelInfo("other"), NOWHERE, models).columns
    assert (columns["params"], columns["step"]) == (1e6, 7)


def test_rows_of_the_users_table_that_match_nothing(tmp_path: Path) -> None:
    path = tmp_path / "models.csv"
    path.write_text("model,step,params\nmix-1b,,9e8\nmix-1b,5,9e8\nmix-1b,6,9e8\nmyx-2b,,2e9\n")
    models = Models(path)
    resolve_model(ModelInfo("org/mix-1b", "step5"), NOWHERE, models)
    assert models.unused == ("mix-1b@6", "myx-2b")
