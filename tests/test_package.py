"""Rules for the package as a whole."""

import inspect
import re
import subprocess
import sys
import tomllib
import typing
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import augury
from tests.structure import outside

ROOT = Path(__file__).parent.parent


def test_import_stays_light() -> None:
    heavy = "torch,transformers,ray,vllm,peft,jax,scipy,numpy,polars,altair,pandas"
    code = f"import sys, augury; print([m for m in '{heavy}'.split(',') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_process_of_a_study_loads_no_statistics() -> None:
    """Half a second of CPU: `import scipy` loads `scipy.stats` where it is first used."""
    code = "import sys, augury.lab, augury.finetune, augury.forecast, augury.study.run.runner\n"
    code += "print([m for m in ('scipy.stats', 'scipy.optimize', 'jax') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.slow
def test_mypy_reads_no_package_that_only_an_extra_brings() -> None:
    """So that `make lint` gives the same result with and without the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    required = project["project"]["dependencies"] + project["dependency-groups"]["test"]
    names = {re.split(r"[^\w-]", requirement)[0].lower() for requirement in required}
    names |= {"markupsafe", "pydantic-core", "pydantic_core"}  # installed with jinja2 and pydantic
    there = {n for n, of in packages_distributions().items() if names & {x.lower() for x in of}}
    skipped = {
        pattern.removesuffix(".*")
        for override in project["tool"]["mypy"]["overrides"]
        if override.get("follow_imports") == "skip"
        for pattern in override["module"]
    }
    read = {"augury", "benchmarks", "tests"}
    found = outside(*(ROOT / folder for folder in ("src", "benchmarks")))
    assert found - sys.stdlib_module_names - there - skipped == read


# Functions that fit, forecast or measure and must name the source of their method.
METHODS = ("backtest", "combine", "emergence_point", "fit", "fit_chain", "fit_emergence",
           "fit_many", "forecast_curve", "forecast_ladder", "forecast_pass_rate", "pass_until",
           "predict", "trends")  # fmt: skip
FUNCTIONS = [name for name in augury.__all__ if inspect.isfunction(getattr(augury, name))]


def sections(doc: str) -> dict[str, str]:
    """Text of "Args:", "Returns:" and the like, by name."""
    parts = re.split(r"^(Args|Attributes|Returns|Raises|Sources?):", doc, flags=re.M)
    return dict(zip((p.removesuffix("s") for p in parts[1::2]), parts[2::2], strict=True))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_answers_what_goes_in_what_comes_out_and_what_goes_wrong(name: str) -> None:
    function = getattr(augury, name)
    told = sections(inspect.getdoc(function) or "")
    for argument in inspect.signature(function).parameters:
        assert re.search(rf"\b{argument}\b.*:", told["Arg"]), f"{name}: {argument}"
    assert told["Return"].strip()
    if name != "all_laws":
        assert "Error:" in told["Raise"] or "Error, " in told["Raise"]


@pytest.mark.parametrize("name", METHODS)
def test_help_names_the_source_of_every_method(name: str) -> None:
    assert sections(inspect.getdoc(getattr(augury, name)) or "")["Source"].strip()


def test_help_of_fit_has_shapes_units_errors_and_sources() -> None:
    doc = inspect.getdoc(augury.fit) or ""
    for word in ("nats per token", "plain numbers", "(S, P) draws", "DataError", "UsageError",
                 "FitError", "arXiv 2203.15556"):  # fmt: skip
        assert word in doc
    assert "(S, P)" in (inspect.getdoc(augury.Fit) or "")


def test_every_public_name_is_there_and_typed_as_it_is_loaded() -> None:
    """The names that a type checker sees are those loaded on demand."""
    needed = "fit predict Chain backtest pass_until emergence_point trends read Study"
    assert set(needed.split()) <= set(augury.__all__) == set(dir(augury))
    source = Path(augury.__file__).read_text().split("if TYPE_CHECKING:")[1].split("\n\n")[0]
    typed = set(re.findall(r"\w+", re.sub(r"from \S+ import|\w+ as ", "", source)))
    assert typed == set(augury.__all__)
    assert typing.get_type_hints(augury.fit)["return"] is augury.Fit
