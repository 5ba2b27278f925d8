"""Interpreters with the tools whose files are read, made once under build/field."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("build/field")


@dataclass(frozen=True)
class Tool:
    """One version of a tool.

    Attributes:
        name: name of the kind that Augury reads.
        version: as in the registry; None is the installed version.
        script: writes the files with the tool's interpreter.
        packages: what it needs in addition to the packages here, which it sees as well.
        whole: whether it gets all its requirements and sees none of the packages here.
    """

    name: str
    version: str | None
    script: str
    packages: tuple[str, ...] = ()
    whole: bool = False

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name}-{self.version or 'here'}"


LM_EVAL = [Tool("lm-eval", v, "make_lm_eval.py") for v in ("0.4.3", "0.4.5", "0.4.8", None)]
TOOLS = [
    *LM_EVAL,
    Tool("inspect", "0.3.60", "make_inspect.py", ("inspect-ai==0.3.60", "textual<1"), whole=True),
    Tool("inspect", "0.3.285", "make_inspect.py", ("inspect-ai==0.3.285",), whole=True),
    Tool(
        "lighteval", "0.13.0", "make_lighteval.py",
        ("GitPython", "termcolor==2.3.0", "colorlog", "aenum==3.1.15", "nltk==3.9.1", "pycountry",
         "latex2sympy2_extended==1.0.6", "langcodes", "inspect-ai==0.3.285", "xxhash==3.5.0"),
    ),
]  # fmt: skip


def prepare(tool: Tool) -> tuple[str, dict[str, str]]:
    """The tool's interpreter and the needs of its environment; installed if absent."""
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HOME": str((ROOT / "hf").resolve()), "TQDM_DISABLE": "1"}
    quiet["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    environment = os.environ | quiet
    folder = (ROOT / tool.label).resolve()
    if tool.name == "lm-eval":
        if tool.version is None:
            return sys.executable, environment
        if not folder.exists():
            wanted = ["--target", str(folder), f"lm-eval=={tool.version}"]
            _pip(sys.executable, ["--no-deps", *wanted])
        return sys.executable, environment | {"PYTHONPATH": str(folder)}
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True)
        if not tool.whole:
            import numpy

            (site,) = folder.glob("lib/python*/site-packages")
            (site / "shared.pth").write_text(f"{Path(numpy.__file__).parent.parent}\n")
            _pip(str(python), ["--no-deps", f"{tool.name}=={tool.version}"])
        _pip(str(python), [*tool.packages])
        (folder / "installed").touch()
    return str(python), environment


def _pip(python: str, words: list[str]) -> None:
    subprocess.run([python, "-m", "pip", "install", "-q", *words], check=True)
