"""Types of values in a study file, each with its check: laws, SQL, files, models, seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from augury.errors import AuguryError


def _law(text: str) -> str:
    from augury.laws import parse_law

    try:
        parse_law(text)
    except AuguryError as error:
        raise ValueError(str(error)) from error
    return text


def _sql(text: str) -> str:
    import polars as pl

    try:
        pl.sql_expr(text)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise ValueError(f"is not an SQL expression: {str(error).splitlines()[0]}") from error
    return text


def _lab_task(name: str) -> str:
    from augury.lab.tasks import TASKS

    if name not in TASKS:
        raise ValueError(f"the lab has no task '{name}'; it has: {', '.join(TASKS)}")
    return name


def _seeds(value: Any) -> Any:
    """Accept a number of seeds, or a list of seeds."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("must be a number of seeds, at least 1, or a list of seeds")
        return list(range(value))
    return value


def _file(text: str, info: ValidationInfo) -> str:
    """Check that a file exists, relative to the study file."""
    folder = (info.context or {}).get("folder")
    if folder is not None and not (Path(folder) / text).exists():
        raise ValueError(f"there is no such file or folder: {Path(folder) / text}")
    return text


def _model(text: str, info: ValidationInfo) -> str:
    from augury.evaluate.models import EXPECTED, SCHEMES

    kind, _, rest = text.partition(":")
    if kind not in SCHEMES or not rest:
        raise ValueError(
            f"expected {EXPECTED}" + ("" if kind in SCHEMES else f"; schemes: {', '.join(SCHEMES)}")
        )
    if kind in ("http", "https") and "#" not in rest:
        raise ValueError(f"which model of the server? expected {kind}:URL#MODEL")
    if kind == "lab":
        _file(rest, info)
    return text


def _task(name: str) -> str:
    """Accept a task of the lab by its bare name, or SCHEME:NAME."""
    from augury.evaluate.tasks import SCHEMES

    scheme, colon, rest = name.partition(":")
    if not colon or scheme == "lab":
        return _lab_task(rest if colon else name)
    if scheme not in SCHEMES or not rest:
        raise ValueError(
            f"no task '{name}'; expected a task of the lab or "
            f"{' or '.join(f'{s}:NAME' for s in SCHEMES if s != 'lab')}"
        )
    return name


def _checker(text: str) -> str:
    from augury.evaluate.checkers import checker

    if text != "choice" and text.split(":")[0] != "unit-tests":
        try:
            checker(text)
        except AuguryError as error:
            raise ValueError(str(error)) from error
    return text


def _extract(rule: str) -> str:
    from augury.evaluate.extract import extractor

    try:
        extractor(rule)
    except AuguryError as error:
        raise ValueError(str(error)) from error
    return rule


def _unescape(text: str) -> str:
    from augury.evaluate.stops import unescape

    return unescape(text)


def all_different(values: list[Any]) -> list[Any]:
    twice = sorted({v for v in values if values.count(v) > 1})
    if twice:
        raise ValueError(f"{twice[0]} is given twice")
    return values


# What a study asks about a task: its pass rate at the target, or where it emerges.
Question = Literal["pass-rate", "emergence", "loss"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
LawName = Annotated[str, AfterValidator(_law)]
Sql = Annotated[str, AfterValidator(_sql)]
File = Annotated[str, AfterValidator(_file)]
ModelName = Annotated[str, AfterValidator(_model)]
CheckerName = Annotated[str, AfterValidator(_checker)]
TaskName = Annotated[str, AfterValidator(_task)]
LabTaskName = Annotated[str, AfterValidator(_lab_task)]
Extract = Annotated[str, AfterValidator(_extract)]
Escaped = Annotated[str, AfterValidator(_unescape)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Seeds = Annotated[
    list[Annotated[int, Field(ge=0)]],
    BeforeValidator(_seeds, json_schema_input_type=int | list[int]),
    AfterValidator(all_different),
]
