"""XLA compiler options: code compiles with them, even if XLA has dropped one."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np
import pytest
from jax.extend.backend import get_compile_options

from augury.runtime import compiling


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    compiling.options.cache_clear()
    yield
    compiling.options.cache_clear()


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the options are for CPUs")
def test_this_xla_knows_the_options() -> None:
    assert compiling.options() == compiling.QUICK
    assert compiling.options(brief=True) != compiling.QUICK
    assert float(compiling.jit(lambda x: 2.0 * x)(np.float64(1.5))) == 3.0
    assert float(compiling.jit(lambda x: 2.0 * x, brief=True)(np.float64(1.5))) == 3.0


def test_an_xla_that_does_not_know_an_option_compiles_with_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(compiling.QUICK, "xla_option_of_yesteryear", True)
    assert compiling.options() == {}
    assert float(compiling.jit(lambda x: 2.0 * x)(np.float64(1.5))) == 3.0


def test_a_gpu_is_left_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiling.options() == {}


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the options are for CPUs")
def test_the_flags_of_the_tests_are_heard() -> None:
    """XLA reads no flag after a word that is none; those of `conftest.py` stood behind one."""
    asked = get_compile_options(num_replicas=1, num_partitions=1)
    built = asked.executable_build_options
    assert built.debug_options.xla_backend_optimization_level == 1
