"""Skips fail where everything is installed, and tests can run in any order.

A rule of pytest's own would skip in silence what nobody runs any more: `.ci/run` sets
AUGURY_NO_SKIPS where everything that tests can need is installed.
"""

import gc
import os
import random
import sys
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Hypothesis limits wall time, but no test may depend on how fast or busy a machine is.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")

# Skips that stay allowed: the shared data are not in the repository, and a GPU may be present.
MAY_BE_ABSENT = ("the shared data", "the options are for CPUs", "of `make real`")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle",
        type=int,
        metavar="SEED",
        help="run files in a random order, and the tests of each in a random order",
    )


# The module that makes transformers models; importing from it needs torch.
EXPORTED = "tests.evaluate.exported"


@cache
def _needs_torch(module: ModuleType | None) -> bool:
    """Whether a test module uses transformers models; a document has no module."""
    return module is not None and any(
        EXPORTED in (getattr(x, "__module__", None), getattr(x, "__name__", None))
        for x in vars(module).values()
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle whole files, so that fixtures shared within a file are made once in any order.

    Without shuffling, tests that need torch come first: then one worker does them all, and the
    others do not import it.
    """
    seed = config.getoption("shuffle", None)
    if seed is None:
        items.sort(key=lambda item: not _needs_torch(getattr(item, "module", None)))
        return
    rng = random.Random(seed)  # the same order in every worker
    order = {path: rng.random() for path in sorted({item.path for item in items})}
    items.sort(key=lambda item: (order[item.path], rng.random()))


# Linux ends a process that needs more than 65,530 memory maps, and every compiled program takes two
# or three: one process that runs the whole suite would get there.
MAPS = Path("/proc/self/maps")
MOST_MAPS = 40_000


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Between files, forget compiled programs if there are too many."""
    jax = sys.modules.get("jax")
    if jax is None or nextitem is None or nextitem.path == item.path or not MAPS.exists():
        return
    if MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


def _refuse(report: Any) -> None:
    """Turn a skipped report into a failed one if skips are failures."""
    if not os.environ.get("AUGURY_NO_SKIPS") or report.outcome != "skipped":
        return
    if hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(absent in reason for absent in MAY_BE_ABSENT):
        report.outcome = "failed"
        report.longrepr = f"{reason}: a skip is a failure here (AUGURY_NO_SKIPS)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that makes a package look as if it were not installed."""

    def hide(name: str) -> None:
        for module in [name, *sys.modules]:
            if module == name or module.startswith(f"{name}."):
                monkeypatch.setitem(sys.modules, module, None)

    return hide
