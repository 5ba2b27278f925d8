"""Inspect: logs as `.json` or `.eval` (a zip archive, its members deflated or Zstandard).

Scores of whole tasks are the metrics of each scorer (`accuracy` with its `stderr`). Samples become
one row per instance and scorer. Over epochs, C or 1 is a pass, I or 0 is a failure; any other score
(partial, a number) only enters the mean. N, "no answer", is a failure, as Inspect counts it; a
sample without a score, as after an error, gives a row without one.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from augury.data.metrics import why_not_a_score
from augury.data.readers.files import (
    first_text,
    parse_json,
    read_content,
    read_score,
    require_object,
    shorten,
)
from augury.data.readers.part import ForeignFileError, LeftOut, ModelInfo, Part, make_frame
from augury.data.readers.reader import Reader
from augury.errors import DataError

ZSTANDARD = 93  # compression method that the standard library supports from Python 3.14 on
LOCAL = struct.Struct("<4s5H3I2H")  # a member's own header: APPNOTE.TXT 4.3.7
LETTERS = {"C": 1.0, "I": 0.0, "N": 0.0, "P": 0.5}
# Metrics that are the error of the metric next to them.
ERRORS = ("stderr", "bootstrap_stderr")
# Settings that do not change the answers.
UNASKED = ("max_connections", "max_retries", "timeout", "attempt_timeout", "batch", "cache_prompt")
Leave = Callable[[str, Any, str], None]  # key, value, and why it is left out
LARGEST = 2**31  # maximum bytes of one unpacked member: more is not a log but a zip bomb


def fits(path: Path) -> bool:
    """Return whether a file in a folder may be an Inspect log."""
    return path.suffix in (".json", ".eval") and path.name not in ("logs.json", "listing.json")


def _read_log(path: Path) -> Part:
    source = str(path)
    data = read_content(path)
    if data[:2] == b"PK" or path.suffix == ".eval":
        head, samples = _archive(data, source)
    else:
        head = require_object(parse_json(data, source), source, "the log")
        samples = head.get("samples") or []
        if not isinstance(samples, list):
            raise DataError("'samples' is not a list", source=source, value=shorten(samples))
    if "eval" not in head:
        raise ForeignFileError(
            "the key 'eval' is missing",
            source=source,
            value=shorten([*head][:6]),
            expected="a log of Inspect",
        )
    told = require_object(head["eval"], source, "the key 'eval'")
    task = first_text(told, "task", "task_registry_name")
    if task is None:
        raise DataError("the log names no task", source=source)
    if head.get("version") not in (None, 2):
        raise DataError("the log has another version", source=source, value=head.get("version"),
                        expected="version 2; `inspect log convert` makes one")  # fmt: skip
    notes = []
    if head.get("status") != "success":
        notes.append(f"{path.name}: the evaluation ended with status {head.get('status')!r}")
    args = told.get("task_args")
    shots = args.get("fewshot") if isinstance(args, dict) else None
    shots = shots if isinstance(shots, int) and not isinstance(shots, bool) else None
    left_out: list[LeftOut] = []

    def leave(key: str, value: Any, why: str) -> None:
        left_out.append(LeftOut(path, key, shorten(value), why))

    rows = [*_scores(head, leave), *_instances(samples, source, leave)]
    notes += _not_judged(samples, path)
    twice = [
        key for key, k in Counter((r["metric"], r.get("instance")) for r in rows).items() if k > 1
    ]
    if twice:
        raise DataError("duplicate score", source=source, value=twice[0])
    if not rows:
        if left_out:
            raise left_out[0].error()
        # An evaluation that failed, or was never scored.
        raise ForeignFileError(
            "no scores and no samples", source=source, value="; ".join(notes) or None
        )
    columns: dict[str, list[Any]] = {"task": [task] * len(rows), "shots": [shots] * len(rows)}
    version = told.get("task_version")
    if isinstance(version, int | str) and not isinstance(version, bool) and version not in (0, "0"):
        columns["task_version"] = [str(version)] * len(rows)
    for name in ("metric", "instance", "value", "stderr", "n", "passes", "samples"):
        columns[name] = [row.get(name) for row in rows]
    return Part(path, _model_info(told), make_frame(columns), (task,), notes=tuple(notes),
                left_out=tuple(left_out))  # fmt: skip


READER = Reader("inspect", fits, _read_log, "Inspect logs")


def _model_info(told: dict[str, Any]) -> ModelInfo:
    """Return the model, and how it was prompted: arguments of the task and of the generation."""
    args = told.get("model_args")
    args = args if isinstance(args, dict) else {}
    path_of = first_text(args, "model_path")
    model = path_of or first_text(told, "model")
    if model is not None and path_of is None:
        model = model.partition("/")[2] or model  # "hf/org/name": the first part names the provider
    asked: dict[str, Any] = {}
    for name, neutral in (("task_args", ("fewshot",)), ("model_generate_config", UNASKED)):
        own = told.get(name)
        own = own if isinstance(own, dict) else {}
        asked |= {k: v for k, v in own.items() if k not in neutral and v not in (None, "", [], {})}
    config = told.get("config")
    limit = config.get("limit") if isinstance(config, dict) else None
    if limit is not None:
        asked["limit"] = limit
    variant = ";".join(
        f"{k}={v if isinstance(v, str) else json.dumps(v, sort_keys=True, default=str)}"
        for k, v in sorted(asked.items())
    )
    settings: dict[str, Any] = {"run_id": told.get("run_id"), "eval_id": told.get("eval_id")}
    with suppress(ValueError):
        settings["date"] = datetime.fromisoformat(str(told.get("created"))).timestamp()
    return ModelInfo(
        model,
        first_text(args, "revision"),
        columns={"variant": variant} if variant else {},
        settings={k: v for k, v in settings.items() if isinstance(v, str | int | float)},
    )


def _not_judged(samples: list[Any], path: Path) -> list[str]:
    """Return notes on samples that were not judged or were cut off: they are not failures."""
    whole = [s for s in samples if isinstance(s, dict)]
    errors = sum(s.get("error") is not None for s in whole)
    limits = sum(s.get("limit") is not None for s in whole)
    return [
        f"{path.name}: {count} of {len(whole)} samples {what}"
        for count, what in ((errors, "ended in an error: rows without a value"),
                            (limits, "were cut off by a limit"))
        if count
    ]  # fmt: skip


def _scores(head: dict[str, Any], leave: Leave) -> Iterator[dict[str, Any]]:
    results = head.get("results")
    if results is None:
        return
    scores = (results.get("scores") if isinstance(results, dict) else None) or []
    if not isinstance(results, dict) or not isinstance(scores, list):
        leave("results.scores", scores or results, "is not a list of scores")
        return
    config = head["eval"].get("config")
    epochs = _count(config.get("epochs") if isinstance(config, dict) else None) or 1
    completed = _count(results.get("completed_samples")) or 0
    for i, item in enumerate(scores):
        metrics = item.get("metrics") if isinstance(item, dict) else None
        if not isinstance(metrics, dict):
            leave(f"results.scores[{i}]", item, "is not an object with metrics")
            continue
        scorer = first_text(item, "name", "scorer") or str(i)
        reducer = first_text(item, "reducer")  # how epochs became one score, if not by their mean
        scorer = scorer if reducer in (None, "mean") else f"{scorer}/{reducer}"
        values = {}
        for name, metric in metrics.items():
            value, why = read_score(metric.get("value") if isinstance(metric, dict) else metric)
            if why is not None:
                leave(f"the metric '{name}' of '{scorer}'", metric, why)
                if why != "is infinite":
                    continue
            values[name] = value
        error = next((values[e] for e in ERRORS if values.get(e) is not None), None)
        if error is not None and error < 0:
            leave(f"the standard error of '{scorer}'", error, "is negative")
            error = None
        # Older logs do not count what was scored, only what was completed.
        n = _count(item.get("scored_samples", completed // epochs))
        for name, value in values.items():
            if name in ERRORS:
                continue
            if why_not_a_score(name) is not None:
                leave(f"the metric '{name}' of '{scorer}'", value, str(why_not_a_score(name)))
                continue
            mean = name in ("accuracy", "mean")
            yield {
                "metric": f"{scorer}/{name}",
                "value": value,
                "stderr": error if mean else None,
                "n": n or None,
            }


def _count(value: Any) -> int | None:
    whole = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if whole and 0 <= value <= 2**53 and value == int(value) else None


def _instances(samples: list[Any], source: str, leave: Leave) -> Iterator[dict[str, Any]]:
    """Yield one row per instance and scorer. Rows that were not judged have no value."""
    seen: dict[tuple[str, str], list[float | None]] = {}
    parts_of: dict[str, dict[str, None]] = {}  # for scorers that give several scores
    unscored: list[tuple[str, str]] = []  # (scorer, instance): one missing value for all of them
    unjudged: list[str] = []  # instances without any score
    epochs: set[tuple[str, int]] = set()
    for i, sample in enumerate(samples):
        name = first_text(sample, "id") if isinstance(sample, dict) else None
        if name is None:
            leave(f"sample {i + 1}", sample, "has no id")
            continue
        epoch = _count(sample.get("epoch", 1)) or 0
        if (name, epoch) in epochs:
            raise DataError(f"duplicate sample '{name}' in epoch {epoch}", source=source)
        epochs.add((name, epoch))
        scores = sample.get("scores") or {}
        if not isinstance(scores, dict):
            leave(f"scores of sample '{name}'", scores, "is not an object of scores")
            scores = {}
        if not scores:
            unjudged.append(name)
        for scorer, item in scores.items():
            where = f"sample '{name}', scorer '{scorer}'"
            value = item.get("value") if isinstance(item, dict) else item
            if isinstance(value, dict | list):
                for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                    parts_of.setdefault(scorer, {})[str(key)] = None
                    at = seen.setdefault((f"{scorer}/{key}", name), [])
                    at.append(_read_value(part, where, leave))
            elif value is None or (isinstance(value, float) and math.isnan(value)):
                unscored.append((scorer, name))
            else:
                seen.setdefault((scorer, name), []).append(_read_value(value, where, leave))
    scorers = {scorer for scorer, _ in seen}
    for scorer, name in unscored:
        # A scorer with several scores reports a single NaN if it gave none of them.
        for key in parts_of.get(scorer, {None: None}):
            seen.setdefault((scorer if key is None else f"{scorer}/{key}", name), []).append(None)
    for name in unjudged:
        for scorer in scorers:
            seen.setdefault((scorer, name), []).append(None)
    for (scorer, name), values in seen.items():
        there = [v for v in values if v is not None]
        counted = bool(there) and all(v in (0.0, 1.0) for v in there)
        yield {
            "metric": scorer,
            "instance": name,
            "value": sum(there) / len(there) if there else None,
            "passes": sum(there) if counted else None,
            "samples": len(there) if counted else None,
        }


def _read_value(value: Any, where: str, leave: Leave) -> float | None:
    if isinstance(value, str):
        words = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
        known = LETTERS.get(value, words.get(value.lower()))
        if known is not None:
            return known
        try:
            value = float(value)
        except ValueError:
            leave(where, value, "is not C, I, P, N or a number")
            return None
    made, why = read_score(value, truth=True)
    if why is not None:
        leave(where, value, why)
    return made


def _archive(data: bytes, source: str) -> tuple[dict[str, Any], list[Any]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise DataError(f"not a whole zip archive: {error}", source=source,
                        expected="a complete .eval log") from error  # fmt: skip
    members = {info.filename: info for info in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise DataError("duplicate member in the archive", source=source)
    first = next((n for n in ("header.json", "_journal/start.json") if n in members), None)
    if first is None:
        raise DataError("the archive has no header.json", source=source,
                        expected="an .eval log of Inspect")  # fmt: skip
    head = require_object(_member(data, members[first], source), source, first)
    if first != "header.json":
        head = {**head, "status": head.get("status", "started")}
    names = sorted(n for n in members if n.startswith("samples/") and n.endswith(".json"))
    return head, [_member(data, members[n], source) for n in names]


def _member(data: bytes, info: zipfile.ZipInfo, source: str) -> Any:
    """Return a parsed member after checking its length and checksum."""
    where = f"{source}:{info.filename}"
    try:
        magic, _, flags, *_, names, extra = LOCAL.unpack_from(data, info.header_offset)
    except struct.error as error:
        raise DataError("the archive is cut off", source=where) from error
    start = info.header_offset + LOCAL.size + names + extra
    packed = data[start : start + info.compress_size]
    if magic != b"PK\x03\x04" or flags & 1 or len(packed) != info.compress_size:
        raise DataError("the archive is cut off or encrypted", source=where)
    if info.file_size > LARGEST:
        raise DataError("is too large to be a log", source=where, value=info.file_size,
                        expected=f"at most {LARGEST} bytes")  # fmt: skip
    try:
        if info.compress_type == zipfile.ZIP_STORED:
            raw = packed
        elif info.compress_type == zipfile.ZIP_DEFLATED:
            raw = zlib.decompressobj(-15).decompress(packed, info.file_size + 1)
        elif info.compress_type == ZSTANDARD:
            raw = _zstandard(packed)
            raw = raw if zlib.crc32(raw) == info.CRC else raw + b"\n"
        else:
            raise DataError(
                "uses an unknown compression method",
                source=where,
                value=info.compress_type,
                expected="deflate or Zstandard",
            )
    except (zlib.error, pl.exceptions.PolarsError, OSError) as error:
        raise DataError("cannot be unpacked", source=where, expected="a complete member") from error
    if zlib.crc32(raw) != info.CRC:
        raise DataError("the checksum does not match", source=where, expected="a complete member")
    return parse_json(raw, where)


def _zstandard(packed: bytes) -> bytes:
    """Unpack with what Polars uses to read packed tables: every line is a cell of one column."""
    lines = pl.read_csv(
        packed, has_header=False, separator="\x01", quote_char=None, infer_schema=False,
        new_columns=["line"], truncate_ragged_lines=False,
    )["line"]  # fmt: skip
    return "\n".join(lines.fill_null("")).encode()
