"""vLLM does not fit the test environment: check only that it says so."""

from __future__ import annotations

import sys

import pytest

from augury.errors import UsageError
from augury.evaluate.vllm import VLLMBackend


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UsageError, match=r'pip install "augury\[vllm\]", in an environment'):
        VLLMBackend("EleutherAI/pythia-70m")
