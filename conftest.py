"""Compiled fits are kept between tests and documents; blocks of README.md and docs/ run as tests.

Each document runs in a folder of its own.
"""

import gc
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from augury.runtime.garbage import collect_garbage_less
from augury.runtime.jobs import keep_to_one_thread

BEFORE = "__before__"

# What is compiled is kept, for other workers, other processes and the next time.
CACHE = Path(__file__).parent / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")
# Compiled in one piece instead of 32, and without LLVM's expensive passes: tests of NUTS, mixtures,
# questions and the lab take 83 s of CPU instead of 93 with nothing compiled yet. What Augury does
# not compile by its own `jit` (NumPyro's sampler, single operations) is compiled as its own.
FLAGS = (
    "--xla_cpu_parallel_codegen_split_count=1",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_backend_optimization_level=1",
    "--xla_cpu_use_fusion_emitters=false",
)
# A thread each, as every core has a process; workers that a test starts have the same flags, and so
# has this process: JAX finds what was compiled by its flags, and twice the same are others.
keep_to_one_thread(os.environ)
given = os.environ["XLA_FLAGS"].split()
os.environ["XLA_FLAGS"] = " ".join([*given, *(flag for flag in FLAGS if flag not in given)])

# Collecting garbage takes a tenth of what the tests do: what has been imported is looked at no more
# (below), and what is new less often.
collect_garbage_less()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


def enter(namespace: dict[str, Any]) -> None:
    """Blocks write files: not into the tree."""
    namespace[BEFORE] = os.getcwd(), tempfile.TemporaryDirectory()
    os.chdir(namespace[BEFORE][1].name)


def leave(namespace: Mapping[str, Any]) -> None:
    """Back, and the folder is gone."""
    folder, temporary = namespace[BEFORE]
    os.chdir(folder)
    temporary.cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
    setup=enter,
    teardown=leave,
).pytest()
