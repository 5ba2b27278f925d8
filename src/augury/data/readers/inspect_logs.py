"""Inspect: logs as `.json` or `.eval` (a zip archive, its members deflated or Zstandard).

Scores of whole tasks are the metrics of each scorer (`accuracy` with the `stderr` beside it).
Samples become a row for each instance and scorer; over epochs, C or 1 is a pass, I or 0 is none,
and a score that is anything else (partial, a number) goes into the mean alone. N, "no answer", is
a failure, as Inspect counts it; a sample without a score is missing.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from augury.data.readers.files import content, mapping, number, parsed, short, text, whole
from augury.data.readers.part import Part, Said, frame, guarded
from augury.errors import DataError

ZSTANDARD = 93  # method of a zip member that the standard library knows from Python 3.14 on
LOCAL = struct.Struct("<4s5H3I2H")  # a member's own header: APPNOTE.TXT 4.3.7
LETTERS = {"C": 1.0, "I": 0.0, "N": 0.0, "P": 0.5}
# Metrics that are the error of the one beside them.
ERRORS = ("stderr", "bootstrap_stderr")
LARGEST = 2**31  # bytes of one member unpacked: more is no log, but something made to fill memory


def fits(path: Path) -> bool:
    """Whether a file in a folder may be one of these."""
    return path.suffix in (".json", ".eval") and path.name not in ("logs.json", "listing.json")


def read(paths: list[Path]) -> Iterator[Part | DataError]:
    """Each file's part, or what is wrong with it."""
    return (guarded(path, _log) for path in paths)


def _log(path: Path) -> Part:
    source = str(path)
    data = content(path)
    if data[:2] == b"PK" or path.suffix == ".eval":
        head, samples = _archive(data, source)
    else:
        head = mapping(parsed(data, source), source, "the log")
        samples = head.get("samples") or []
        if not isinstance(samples, list):
            raise DataError("'samples' is no list", source=source, value=short(samples))
    told = mapping(head.get("eval"), source, "the key 'eval'")
    task = text(told, "task", "task_registry_name")
    if task is None:
        raise DataError("the log names no task", source=source)
    if head.get("version") not in (None, 2):
        raise DataError("a log of another version", source=source, value=head.get("version"),
                        expected="version 2; `inspect log convert` makes one")  # fmt: skip
    notes = []
    if head.get("status") != "success":
        notes.append(f"{path.name}: the evaluation ended with status {head.get('status')!r}")
    args = told.get("task_args")
    shots = args.get("fewshot") if isinstance(args, dict) else None
    shots = shots if isinstance(shots, int) and not isinstance(shots, bool) else None
    rows = [*_scores(head, source), *_instances(samples, source)]
    twice = [
        key for key, k in Counter((r["metric"], r.get("instance")) for r in rows).items() if k > 1
    ]
    if twice:
        raise DataError("a score stands there twice", source=source, value=twice[0])
    if not rows:
        raise DataError("there are no scores and no samples", source=source, value=notes[:1])
    columns: dict[str, list[Any]] = {"task": [task] * len(rows), "shots": [shots] * len(rows)}
    for name in ("metric", "instance", "value", "stderr", "n", "passes", "samples"):
        columns[name] = [row.get(name) for row in rows]
    args = told.get("model_args")
    revision = text(args, "revision") if isinstance(args, dict) else None
    path_of = text(args, "model_path") if isinstance(args, dict) else None
    model = path_of or text(told, "model")
    if model is not None and path_of is None:
        model = model.partition("/")[2] or model  # "hf/org/name": the first part says who serves
    return Part(path, Said(model, revision), frame(columns), (task,), notes=tuple(notes))


def _scores(head: dict[str, Any], source: str) -> Iterator[dict[str, Any]]:
    results = head.get("results")
    if results is None:
        return
    scores = mapping(results, source, "the key 'results'").get("scores") or []
    config = head["eval"].get("config")
    epochs = config.get("epochs") if isinstance(config, dict) else None
    epochs = whole(epochs, source, "eval.config.epochs") or 1
    completed = whole(results.get("completed_samples"), source, "results.completed_samples") or 0
    if not isinstance(scores, list):
        raise DataError("'results.scores' is no list", source=source, value=short(scores))
    for i, item in enumerate(scores):
        score = mapping(item, source, f"results.scores[{i}]")
        scorer = text(score, "name", "scorer") or str(i)
        reducer = text(score, "reducer")  # how epochs became one score, if not by their mean
        scorer = scorer if reducer in (None, "mean") else f"{scorer}/{reducer}"
        metrics = mapping(score.get("metrics"), source, f"the metrics of '{scorer}'")
        values = {}
        for name, metric in metrics.items():
            where = f"the metric '{name}' of '{scorer}'"
            value = mapping(metric, source, where).get("value")
            values[name] = number(value, source, where)
        error = next((values[e] for e in ERRORS if values.get(e) is not None), None)
        # Older logs do not count what was scored, only what was completed.
        counted = score.get("scored_samples", completed // epochs)
        n = whole(counted, source, f"the samples of '{scorer}'")
        for name, value in values.items():
            if name in ERRORS:
                continue
            mean = name in ("accuracy", "mean")
            yield {
                "metric": f"{scorer}/{name}",
                "value": value,
                "stderr": error if mean else None,
                "n": n or None,
            }


def _instances(samples: list[Any], source: str) -> Iterator[dict[str, Any]]:
    seen: dict[tuple[str, str], list[float | None]] = {}
    epochs: set[tuple[str, int]] = set()
    for i, item in enumerate(samples):
        sample = mapping(item, source, f"sample {i + 1}")
        name = text(sample, "id")
        epoch = whole(sample.get("epoch", 1), source, f"sample {i + 1}: the epoch")
        if name is None:
            raise DataError(f"sample {i + 1} has no id", source=source)
        if (name, epoch or 0) in epochs:
            raise DataError(f"sample '{name}' stands there twice in epoch {epoch}", source=source)
        epochs.add((name, epoch or 0))
        scores = sample.get("scores") or {}
        for scorer, score in mapping(scores, source, f"scores of sample '{name}'").items():
            where = f"sample '{name}', scorer '{scorer}'"
            value = mapping(score, source, where).get("value")
            if isinstance(value, dict | list):
                for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                    at = seen.setdefault((f"{scorer}/{key}", name), [])
                    at.append(_value(part, source, where))
            else:
                seen.setdefault((scorer, name), []).append(_value(value, source, where))
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


def _value(value: Any, source: str, where: str) -> float | None:
    if isinstance(value, str):
        if value in LETTERS:
            return LETTERS[value]
        words = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
        if value.lower() in words:
            return words[value.lower()]
        try:
            return number(float(value), source, where)
        except ValueError:
            raise DataError(f"{where} holds text", source=source, value=short(value),
                            expected="C, I, P, N or a number") from None  # fmt: skip
    return number(value, source, where, truth=True)


def _archive(data: bytes, source: str) -> tuple[dict[str, Any], list[Any]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise DataError(f"not a whole zip archive: {error}", source=source,
                        expected="an .eval log written to its end") from error  # fmt: skip
    members = {info.filename: info for info in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise DataError("a member stands twice in the archive", source=source)
    first = next((n for n in ("header.json", "_journal/start.json") if n in members), None)
    if first is None:
        raise DataError("there is no header.json in the archive", source=source,
                        expected="an .eval log of Inspect")  # fmt: skip
    head = mapping(_member(data, members[first], source), source, first)
    if first != "header.json":
        head = {**head, "status": head.get("status", "started")}
    names = sorted(n for n in members if n.startswith("samples/") and n.endswith(".json"))
    return head, [_member(data, members[n], source) for n in names]


def _member(data: bytes, info: zipfile.ZipInfo, source: str) -> Any:
    """A parsed member, its length and checksum verified."""
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
        raise DataError("is too large for a log", source=where, value=info.file_size,
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
            raise DataError("is packed in an unknown way", source=where, value=info.compress_type,
                            expected="deflate or Zstandard")  # fmt: skip
    except (zlib.error, pl.exceptions.PolarsError, OSError) as error:
        raise DataError("cannot be unpacked", source=where, expected="a whole member") from error
    if zlib.crc32(raw) != info.CRC:
        raise DataError("the checksum does not fit", source=where, expected="a whole member")
    return parsed(raw, where)


def _zstandard(packed: bytes) -> bytes:
    """Unpack with what Polars brings to read packed tables: every line is a cell of one column."""
    lines = pl.read_csv(
        packed, has_header=False, separator="\x01", quote_char=None, infer_schema=False,
        new_columns=["line"], truncate_ragged_lines=False,
    )["line"]  # fmt: skip
    return "\n".join(lines.fill_null("")).encode()
