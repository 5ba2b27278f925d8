"""Code blocks of README.md and docs/ run as tests, each document in a folder of its own."""

import os
import tempfile
from collections.abc import Mapping
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

BEFORE = "__before__"


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
