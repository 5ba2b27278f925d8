"""Any result as plain JSON with its bulk as arrays and tables, and back, without running code.

Problem: two dozen kinds of result contain each other (a combination holds chains, and those hold
fits). Decision: one walk over frozen dataclasses that names each class by its path inside Augury.
Reading imports only Augury's own modules, and builds only their dataclasses, tuples and enums.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from importlib import import_module
from types import FunctionType
from typing import Any

import numpy as np
import polars as pl

from augury.display import Several
from augury.errors import UsageError
from augury.laws import Law, law_from, law_record

# Classes that were moved or renamed after a record was written: old path -> new path.
MOVED: dict[str, str] = {
    "augury.forecast.backtest:Backtest": "augury.forecast.backtesting:Backtest",
    "augury.forecast.combine:Combination": "augury.forecast.combination:Combination",
    "augury.forecast.predict:Forecast": "augury.forecast.prediction:Forecast",
}
_PATH = re.compile(r"augury\.(fitting|forecast|notes|evaluate)(\.\w+)*:[A-Za-z_]\w*")


@dataclass
class Bulk:
    """What does not belong in JSON: arrays (flattened) and tables."""

    arrays: list[Any] = field(default_factory=list)
    tables: list[pl.DataFrame] = field(default_factory=list)


def to_record(value: Any, bulk: Bulk) -> Any:
    """Convert a value to plain JSON; arrays and tables go to `bulk`.

    Raises:
        UsageError: it contains something that cannot be saved.
    """
    if isinstance(value, Enum):
        return {"enum": _class_path(type(value)), "value": value.value}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, np.generic):
        return to_record(value.item(), bulk)
    if isinstance(value, np.ndarray):
        return _array_record(value, bulk)
    if isinstance(value, pl.DataFrame):
        bulk.tables.append(value)
        return {"table": len(bulk.tables) - 1}
    if isinstance(value, Law):
        return {"law": law_record(value)}
    if isinstance(value, Several):
        return {"several": [to_record(x, bulk) for x in value]}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        values = {name: to_record(getattr(value, name), bulk) for name in value._fields}
        return {"class": _class_path(type(value)), "fields": values}
    if is_dataclass(value) and not isinstance(value, type):
        return _dataclass_record(value, bulk)
    if isinstance(value, Mapping):
        return {"map": [[to_record(k, bulk), to_record(x, bulk)] for k, x in value.items()]}
    if isinstance(value, list):
        return [to_record(x, bulk) for x in value]
    if isinstance(value, tuple):
        return {"tuple": [to_record(x, bulk) for x in value]}
    raise UsageError(f"cannot save a value of type {type(value).__name__}")


def from_record(record: Any, bulk: Bulk) -> Any:
    """Rebuild the value of a record.

    Raises:
        UsageError: a law from another package has to be imported first. ValueError, KeyError,
        TypeError: the record is damaged.
    """
    if isinstance(record, list):
        return [from_record(x, bulk) for x in record]
    if not isinstance(record, dict):
        return record
    if "enum" in record:
        return _class_at(record["enum"], Enum)(record["value"])
    if "float" in record:
        return float(record["float"])
    if "array" in record:
        flat = bulk.arrays[record["array"]]
        return np.asarray(flat).astype(record["dtype"]).reshape(record["shape"])
    if "table" in record:
        return bulk.tables[record["table"]]
    if "law" in record:
        return law_from(record["law"])
    if "several" in record:
        return Several(from_record(x, bulk) for x in record["several"])
    if "constant" in record:
        return _constant(record)
    if "class" in record:
        values = {name: from_record(x, bulk) for name, x in record["fields"].items()}
        return _class_at(record["class"], object)(**values)
    if "map" in record:
        return {from_record(k, bulk): from_record(x, bulk) for k, x in record["map"]}
    return tuple(from_record(x, bulk) for x in record["tuple"])


def _array_record(value: Any, bulk: Bulk) -> dict[str, Any]:
    if value.dtype.kind not in "fiub":
        return {"tuple": [to_record(x, bulk) for x in value.tolist()]}
    bulk.arrays.append(value.ravel())
    return {"array": len(bulk.arrays) - 1, "dtype": str(value.dtype), "shape": list(value.shape)}


def _dataclass_record(value: Any, bulk: Bulk) -> dict[str, Any]:
    cls = type(value)
    values = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
    if any(isinstance(x, FunctionType | np.ufunc) for x in values.values()):
        # Functions are not saved, but a module constant that holds them is, by its name.
        for name, constant in vars(import_module(cls.__module__)).items():
            if constant is value:
                return {"constant": name, "class": _class_path(cls)}
        raise UsageError(f"cannot save {cls.__name__}: it holds a function")
    return {"class": _class_path(cls), "fields": {n: to_record(x, bulk) for n, x in values.items()}}


def _constant(record: Mapping[str, Any]) -> Any:
    cls = _class_at(record["class"], object)
    found = getattr(import_module(cls.__module__), record["constant"], None)
    if not isinstance(found, cls):
        raise ValueError(f"{record['constant']} does not exist in {cls.__module__}")
    return found


def _class_path(cls: type) -> str:
    path = f"{cls.__module__}:{cls.__qualname__}"
    if not _PATH.fullmatch(path):
        raise UsageError(f"cannot save a value of type {path}")
    return path


def _class_at(path: str, kind: type) -> Any:
    """Return a data class of Augury by its path.

    Raises:
        ValueError: the path names anything else.
    """
    path = MOVED.get(path, path)
    if not _PATH.fullmatch(path):
        raise ValueError(f"'{path}' is not a class of a result")
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError as error:
        raise ValueError(f"this version of Augury has no {path}") from error
    if not (isinstance(found, type) and issubclass(found, kind)) or not (
        is_dataclass(found) or issubclass(found, Enum) or hasattr(found, "_fields")
    ):
        raise ValueError(f"'{path}' is not a class of a result")
    return found
