"""Which model a file belongs to: from models.csv, its contents, its name, its folders' names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from augury.data.model_names import (
    SIZE,
    family_of,
    model_of,
    parse_model_name,
    size_of,
    step_of,
    tokens_of,
)
from augury.data.read import read_table
from augury.data.readers.part import ModelInfo
from augury.errors import DataError

Known = TypeVar("Known")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?")
# What tools add to a model's name in file names.
ADDED = re.compile(
    r"(?:[._-]+(?:eval[_-]?results|results|read_samples(?:\.jsonl)?|(?:[a-z]+[_-])?temp[_-][\d.]*\d))+$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ResolvedModel:
    """A model as far as it is known.

    Attributes:
        columns: model, family, step, params, params_kind, tokens, loss ... that are known.
        missing: which of params and step are unknown.
        why: why, if its name contains something like it.
    """

    columns: dict[str, Any]
    missing: tuple[str, ...]
    why: tuple[str, ...] = ()


class Models:
    """A user's models.csv: column model (as files name it, or its last part), and any others.

    A row without a step applies to all checkpoints of its model. `tokens_per_step` gives tokens.
    """

    def __init__(self, path: Path | None) -> None:
        """Read the table.

        Raises:
            DataError: the column model is missing, or a model (and step) has two rows.
        """
        self.source = None if path is None else str(path)
        self._rows: dict[tuple[str, int | None], dict[str, Any]] = {}
        self._used: set[tuple[str, int | None]] = set()
        if path is None:
            return
        table = read_table(path, require=["model"])
        for i, row in enumerate(table.iter_rows(named=True), 1):
            known = {k: v for k, v in row.items() if v is not None}
            key = (str(known["model"]), known.get("step"))
            if key in self._rows:
                raise DataError("duplicate model", source=self.source, row=i, column="model",
                                value=key[0], expected="each model (and step) once")  # fmt: skip
            self._rows[key] = known

    def __contains__(self, name: str) -> bool:
        """Return whether the table has a row for a model of this name."""
        return any(known == name for known, _ in self._rows)

    def of(self, name: str | None, step: int | None) -> dict[str, Any]:
        """Return the table's columns for a model at a step."""
        if name is None:
            return {}
        for known in dict.fromkeys((name, name.rsplit("/", 1)[-1])):
            every, one = self._rows.get((known, None), {}), self._rows.get((known, step), {})
            steps = [s for name, s in self._rows if name == known]
            at = step
            if step is None and not every and len(steps) == 1:
                at = steps[0]  # its only checkpoint
                one = self._rows[known, at]
            if every or one:
                self._used |= {(known, None), (known, at)}
                return {k: v for k, v in {**every, **one}.items() if k != "model"}
        return {}

    @property
    def unused(self) -> tuple[str, ...]:
        """Return rows that no file matched, as model or model@step."""
        return tuple(
            name if step is None else f"{name}@{step}"
            for name, step in self._rows
            if (name, step) not in self._used
        )


def resolve_model(info: ModelInfo, path: Path, models: Models) -> ResolvedModel:
    """Combine what is known: the user's table first, then the file, then names.

    Sizes read from a name are nominal, and `params_kind` says so; those a tool counted are "total".
    A name with two sizes gives none. An adapter counts as a model of its own, with its
    `base_model`.
    """
    places = _places(path)
    name, step = info.model, step_of(info.revision, info.adapter, info.model)
    if step is None:
        step = step_of(*places)
    if name is None:
        # A folder that the user's table names is a model, and so is one whose name gives a size.
        name = next((p for p in places if p in models), None)
        name = name or next((p for p in places if SIZE.search(p)), None)
    if info.adapter is not None:
        model: str | None = info.adapter
        known = models.of(info.adapter, step) or models.of(model_of(info.adapter), step)
    else:
        model = model_of(name)
        known = models.of(info.model or name, step) or models.of(model, step)
    columns: dict[str, Any] = {"model": model, "step": step}
    if info.params:
        columns |= {"params": info.params, "params_kind": "total"}
    elif size := size_of(info.adapter) or size_of(name) or _first(size_of, places):
        columns |= {"params": size, "params_kind": "nominal"}
    if model is not None:
        columns["family"] = family_of(model_of(model) or model)
    if info.adapter is not None:
        columns |= {"adapter": info.adapter, "base_model": model_of(info.model)}
    columns |= info.columns
    if "params" in known:
        columns.pop("params_kind", None)
    if not {"tokens", "tokens_per_step"} & set(known):
        columns["tokens"] = tokens_of(info.revision, info.model)
    columns |= known
    missing = tuple(c for c in ("model", "params", "step") if columns.get(c) is None)
    why = parse_model_name(name, info.revision).unclear if missing else ()
    return ResolvedModel({k: v for k, v in columns.items() if v is not None}, missing, why)


def identity_frame(known: list[dict[str, Any]]) -> pl.DataFrame:
    """Build one row per model, with all columns any of them has."""
    names = list(dict.fromkeys(name for row in known for name in row))
    return pl.DataFrame({n: pl.Series(n, [r.get(n) for r in known], strict=False) for n in names})


def _first(read: Callable[[str | None], Known | None], texts: Iterable[str | None]) -> Known | None:
    return next((x for x in map(read, texts) if x is not None), None)


def _places(path: Path) -> list[str]:
    """Return the file's name without date and suffix, then its folders, nearest first."""
    stem = STAMP.sub("", path.name.removesuffix(path.suffix))
    places = [ADDED.sub("", stem), *reversed(path.parent.parts[-4:])]
    return [re.sub("__|--", "/", p) for p in places]
