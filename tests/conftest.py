"""A skip is a failure where all is there; any order.

A rule of pytest's own would skip in silence what nobody runs any more: `.ci/run` sets
AUGURY_NO_SKIPS where everything that the tests can need is there.
"""

import os
import random
import sys
from collections.abc import Callable, Generator
from functools import cache
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Hypothesis's limits are of wall time: how fast a machine is, and how busy, is no test's business.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")

# The shared data are not part of the repository, and no package installs a GPU's absence.
MAY_BE_ABSENT = ("the shared data", "the options are for CPUs", "of `make real`")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle",
        type=int,
        metavar="SEED",
        help="run files in a random order, and the tests of each in a random order",
    )


# What makes models of transformers; who imports from it needs torch.
EXPORTED = "tests.evaluate.exported"


@cache
def _needs_torch(module: ModuleType | None) -> bool:
    """Whether a module of tests uses models of transformers; a document has no module."""
    return module is not None and any(
        EXPORTED in (getattr(x, "__module__", None), getattr(x, "__name__", None))
        for x in vars(module).values()
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle, files as wholes: what a file's tests share is made once in any order.

    Unshuffled, tests that need torch are first: then one worker of several does them all, and the
    others need not import it.
    """
    seed = config.getoption("shuffle", None)
    if seed is None:
        items.sort(key=lambda item: not _needs_torch(getattr(item, "module", None)))
        return
    rng = random.Random(seed)  # the same order in every worker
    order = {path: rng.random() for path in sorted({item.path for item in items})}
    items.sort(key=lambda item: (order[item.path], rng.random()))


def _refuse(report: Any) -> None:
    """Make a skipped report a failed one, where a skip is a failure."""
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
    """A function that has a package look as if it was not installed."""

    def hide(name: str) -> None:
        for module in [name, *sys.modules]:
            if module == name or module.startswith(f"{name}."):
                monkeypatch.setitem(sys.modules, module, None)

    return hide
